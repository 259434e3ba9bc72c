"""A unit of a contraction as text: which of each loop belongs to it, to its part and its chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dlc.codegen.printer import Printer
from dlc.schedule.index import Iter, at, substitute
from dlc.schedule.kernel import Blocks


@dataclass(slots=True)
class UnitPrinter(Printer):
    """Prints loops between their ends."""

    ends: dict[Iter, str] = field(default_factory=dict)
    """Where a loop ends that does not run over its whole axis; it begins at its start."""
    whole: dict[Iter, str] = field(default_factory=dict)
    """Where the whole tiles of an axis end."""
    few: dict[Iter, str] = field(default_factory=dict)
    """Where the tiles of some rows end, if a last row is left alone."""
    steps: dict[Iter, str] = field(default_factory=dict)
    """How many elements of loops that are cut evenly a unit holds."""
    part_ends: tuple[str, str] = ("", "")
    """Where the part begins and ends, counted along the loop within which it may."""

    @property
    def cut(self) -> Blocks:
        """How the kernel's units are cut."""
        assert self.kernel.blocks is not None
        return self.kernel.blocks

    def each_unit(self) -> None:
        """The head of the loop over units, or over runs that differ in their lanes alone."""
        lane, run = self.kernel.lane, self.kernel.run
        for iter in self.cut.even:
            self.evenly(iter)
        every = "lo, hi" if run == 1 else f"lo // {run}, (hi + {run - 1}) // {run}"
        self.line(f"for unit in range({every}):")
        self.depth += 1
        self.scopes.append({})
        self.decode(lane if run > 1 else None)
        if lane is None or run == 1:
            return
        step, first = self.unit_step(lane), f"imax(lo - unit * {run}, 0)"
        self.line(f"{self.unit_name(lane)} = {first} * {step}")
        past = f"imin((hi - unit * {run}) * {step}, {self.size(lane.size)})"
        self.ends[lane] = self.named(lane, "end", past)

    def unit_step(self, iter: Iter) -> int:
        """How many elements of a loop a unit holds."""
        return self.cut.extent[iter]

    def step_text(self, iter: Iter) -> str:
        """So many, for a loop that is cut evenly a variable."""
        return self.steps.get(iter) or str(self.unit_step(iter))

    def evenly(self, iter: Iter) -> None:
        """Cuts a run-time loop into as few units as their extent allows, all about as long."""
        size, most, tile = self.size(iter.size), self.cut.extent[iter], self.kernel.tile[iter]
        units = self.named(iter, "units", f"imax(({size} + {most - 1}) // {most}, 1) * {tile}")
        text = f"({size} + {units} - 1) // {units} * {tile}"
        self.steps[iter] = self.named(iter, "step", text)

    def unit_name(self, iter: Iter) -> str:
        """The variable of the first of them."""
        return self.name(self.cut.starts[iter])

    def bounds(self, iter: Iter) -> tuple[str, str]:
        """Where a loop begins and ends in the unit."""
        if iter == self.cut.within:
            return self.within(iter)
        if iter not in self.kernel.taps:
            return Printer.bounds(self, iter)
        phase, end = self.kernel.taps[iter]
        return "0", self.scalar(substitute(end, {phase: at(self.cut.starts[phase])}), {})

    def split(self, batch: Iter, inner: Iter) -> tuple[str, str, str]:
        """Where the part begins, and what of it to add now: turns of `batch` that may be begun.

        In a chain that is so where there are not more slabs than parts: these are not taken slab
        by slab, whatever the number of threads.
        """
        turns, chain = self.size(inner.size), self.kernel.chain
        low, high = self.share(batch, f"{self.size(batch.size)} * {turns}")
        first, few = "", ""
        if chain is not None:
            few = f"{self.size(chain.slabs)} <= {self.kernel.parts[batch].size}"
            first, *slab = self.slab(batch)
            low, high = (
                f"{a} if {few} else {b} * {turns}" for a, b in zip((low, high), slab, strict=True)
            )
        low, high = self.named(inner, "part_low", low), self.named(inner, "part_high", high)
        self.part_ends = low, high
        low = self.named(batch, "low", f"{low} // {turns}")
        high = self.named(batch, "high", f"({high} + {turns} - 1) // {turns}")
        return self.named(batch, "first", f"{low} if {few} else {first}") if few else low, low, high

    def within(self, inner: Iter) -> tuple[str, str]:
        """What of the loop inside belongs to the part."""
        (batch,), (low, high), turns = self.kernel.parts, self.part_ends, self.size(inner.size)
        before = f"{self.name(self.cut.starts[batch])} * {turns}"
        return f"imax({low} - {before}, 0)", f"imin({high} - {before}, {turns})"

    def begin(self, iter: Iter) -> str:
        """Where the unit, or the chunk, begins in a loop."""
        start = self.cut.starts[iter]
        return self.name(start) if iter in self.ends else "0"

    def find_ends(self, iter: Iter) -> None:
        """Where the unit, and the whole tiles in it, end."""
        extent, size = self.cut.extent[iter], iter.size
        begin, end = "0", self.size(size)
        if iter in self.ends:
            end = self.ends[iter]
        elif iter in self.kernel.units:
            begin = self.name(self.cut.starts[iter])
            end = f"{begin} + {self.step_text(iter)}"
            if size.constant is None or size.constant % extent:
                end = self.named(iter, "end", f"imin({end}, {self.size(size)})")
            self.ends[iter] = end
        if iter in self.cut.remainder or self.counted(iter):
            tile = self.kernel.tile.get(iter) or self.cut.known[iter]
            whole = self.whole[iter] = self.whole_end(iter, begin, end, tile)
            if iter == self.cut.lonely():
                left = f"({end} - {whole}) % {self.cut.remainder[iter]}"
                self.few[iter] = self.named(iter, "few", f"{end} - (1 if {left} == 1 else 0)")

    def whole_end(self, iter: Iter, begin: str, end: str, tile: int) -> str:
        """A variable for where whole tiles between two places of a loop end."""
        text = f"({end} - {begin})" if begin != "0" else end
        first = f"{begin} + " if begin != "0" else ""
        return self.named(iter, "whole", f"{first}{text} // {tile} * {tile}")

    def counted(self, iter: Iter) -> bool:
        """Whether another tile does what whole ones leave of a run-time loop."""
        return bool(self.cut.known) and iter in self.kernel.tile and _runs(iter)

    def named(self, iter: Iter, prefix: str, text: str) -> str:
        """A variable for a place in a loop."""
        name = f"i_{prefix}_{self.name(iter).removeprefix('i_')}"
        self.line(f"{name} = {text}")
        return name

    def over(self, iter: Iter, step: int, inside: Callable[[], None], end: str = "") -> None:
        """One loop, from its beginning in the unit or chunk."""
        end = end or self.ends.get(iter) or self.bounds(iter)[1]
        self.ranged(iter, self.begin(iter), end, step, inside)

    def ranged(
        self, iter: Iter, begin: str, end: str, step: int, inside: Callable[[], None]
    ) -> None:
        """One loop between two places."""
        by = f", {step}" if step > 1 else ""
        self.line(f"for {self.name(iter)} in range({begin}, {end}{by}):")
        self.scoped(inside)

    def nested(self, iters: list[Iter], inside: Callable[[], None]) -> None:
        """Loops over reduced axes."""
        if not iters:
            inside()
            return
        self.over(iters[0], 1, lambda: self.nested(iters[1:], inside))


def _runs(iter: Iter) -> bool:
    return iter.size.constant is None
