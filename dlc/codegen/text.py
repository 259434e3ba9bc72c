"""The text of a kernel while it is printed: lines, arguments, names, places of the tile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product as cartesian

from dlc.graph import Size
from dlc.schedule.index import Iter
from dlc.schedule.kernel import Bound, Buffer, Kernel

Argument = Buffer | Size | Bound
Coords = dict[Iter, int]
"""A place in the register tile: how far each loop that the tile holds is ahead."""


@dataclass(slots=True)
class KernelText:
    """Lines so far, and what has a name: arguments, loops, values in the scopes of open loops."""

    kernel: Kernel
    lanes: int
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    arguments: dict[Argument, str] = field(default_factory=dict)
    scopes: list[dict[object, str]] = field(default_factory=lambda: [{}])
    names: dict[Iter, str] = field(default_factory=dict)
    tile: dict[Iter, int] = field(default_factory=dict)
    count: int = 0
    flat: bool = False
    """The size of the one loop is an argument: the text serves every size."""
    own: dict[Buffer, str] = field(default_factory=dict)
    """Memory of the thread itself."""
    clamped: set[Iter] = field(default_factory=set)
    """Loops whose tile may reach past the end: its rows have variables of their own."""
    first: str = ""
    """Whether sums that go to memory in between begin here; empty where none do."""
    block: dict[Iter, tuple[str, str]] = field(default_factory=dict)
    """Where loops begin and end for such a sum."""
    full: bool = False
    """Inside a branch where all lanes are inside their axis."""
    streams: dict[Buffer, str] = field(default_factory=dict)
    """What may be stored past the caches, and the variables that tell whether it is."""
    past: list[Buffer] = field(default_factory=list)
    """What is stored so where lines are printed now."""

    def line(self, text: str) -> None:
        """Append a line at the current depth."""
        self.lines.append("    " * self.depth + text)

    def blocks(self, iter: Iter) -> Size:
        """How many steps an outer loop takes."""
        step = self.unit_step(iter)
        return (iter.size + (step - 1)) // step

    def unit_step(self, iter: Iter) -> int:
        """How many elements of an outer loop a unit of work holds."""
        return self.kernel.step(iter, self.lanes)

    def step_text(self, iter: Iter) -> str:
        """So many as text."""
        return str(self.unit_step(iter))

    def unit_name(self, iter: Iter) -> str:
        """The variable of the first of them."""
        return self.name(iter)

    def bounds(self, iter: Iter) -> tuple[str, str]:
        """Where a loop begins and ends in the unit."""
        if iter in self.kernel.parts:
            return self.part(iter)
        return "0", self.size(iter.size)

    def share(self, iter: Iter, size: str) -> tuple[str, str]:
        """The unit's part of so many, where a loop is cut in parts."""
        over = self.kernel.parts[iter]
        name, count = self.unit_name(over), over.size
        return f"{name} * ({size}) // {count}", f"({name} + 1) * ({size}) // {count}"

    def part(self, iter: Iter) -> tuple[str, str]:
        """Where the part of a reduced loop that a unit runs through begins and ends."""
        chain, size = self.kernel.chain, self.size(iter.size)
        if chain is None:
            return self.share(iter, size)
        low, high = self.share(iter, self.size(chain.slabs))
        return f"{low} * {chain.rows}", f"imin({high} * {chain.rows}, {size})"

    def slab(self, iter: Iter) -> tuple[str, str, str]:
        """Where the part begins, and what of it the kernel is to add now."""
        low, high = self.part(iter)
        if self.kernel.chain is None:
            return low, low, high
        begin, rows = self.argument(Bound("begin")), self.argument(Bound("rows"))
        self.line(f"i_part_low = {low}")
        self.line(f"i_slab_low = imax(i_part_low, {begin})")
        self.line(f"i_slab_high = imin({high}, {begin} + {rows})")
        return "i_part_low", "i_slab_low", "i_slab_high"

    def fresh(self, prefix: str) -> str:
        """A name that no other value has."""
        self.count += 1
        return f"{prefix}{self.count}"

    def name(self, iter: Iter) -> str:
        """The variable of a loop."""
        if iter not in self.names:
            base = re.sub(r"\W", "_", iter.axis.name).lower()
            taken = set(self.names.values())
            name, n = f"i_{base}", 1
            while name in taken:
                n += 1
                name = f"i_{base}{n}"
            self.names[iter] = name
        return self.names[iter]

    def argument(self, thing: Argument) -> str:
        """The name of an argument, or of memory of the thread itself."""
        if isinstance(thing, Buffer) and thing in self.own:
            return self.own[thing]
        if thing not in self.arguments:
            if isinstance(thing, Buffer):
                base = re.sub(r"\W", "_", thing.name)
                self.arguments[thing] = f"p{len(self.arguments)}_{base}"
            else:
                self.arguments[thing] = f"n{len(self.arguments)}"
        return self.arguments[thing]

    def size(self, size: Size) -> str:
        """A size as a literal or an argument."""
        value = size.constant
        if value is None or (self.flat and size == self.kernel.outer[0].size):
            return self.argument(size)
        return str(value)

    def coords(self, deps: Iterable[Iter]) -> Iterator[Coords]:
        """All places in the tile, over those of `deps` that it holds."""
        held = [i for i in self.tile if i in deps and self.held(i) > 1]
        held.sort(key=self.innermost)
        steps = [range(0, self.tile[i], self.lanes if i == self.kernel.lane else 1) for i in held]
        for place in cartesian(*steps):
            yield dict(zip(held, place, strict=True))

    def unrolled(self, iter: Iter) -> bool:
        """Whether the tile holds every place of a loop that a nest reduces.

        It has no variable then: its index is its place in the tile.
        """
        reduced = iter in self.kernel.folds or iter not in self.kernel.outer
        held = iter in self.tile and self.tile[iter] == iter.size.constant
        return held and reduced and iter != self.kernel.lane

    def innermost(self, iter: Iter) -> bool:
        """Whether places of a tile are gone through along this loop before others."""
        return iter == self.kernel.lane

    def held(self, iter: Iter) -> int:
        """How many places of a loop the tile holds."""
        step = self.tile[iter]
        return step // self.lanes if iter == self.kernel.lane else step

    def suffix(self, coords: Coords) -> str:
        """The end of the name of a value at a place of the tile."""
        parts = [str(c // (self.lanes if i == self.kernel.lane else 1)) for i, c in coords.items()]
        return "".join(f"_{p}" for p in parts)

    def iter_text(self, iter: Iter, coords: Coords) -> str:
        """A loop variable at a place of the tile."""
        shift = coords.get(iter, 0)
        if self.unrolled(iter):
            return str(shift)
        if shift and iter in self.clamped:
            return f"{self.name(iter)}_{shift}"
        return f"{self.name(iter)} + {shift}" if shift else self.name(iter)
