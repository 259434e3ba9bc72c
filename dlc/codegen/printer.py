"""Kernel IR to readable Numba text.

Every subexpression is printed once for each tile coordinate that it depends on; so the same
printer gives the inner loop of a matrix product, a pooling window and a row of a softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from dlc.codegen.ahead import asked
from dlc.codegen.streams import few, is_far, streamed
from dlc.codegen.sums import Sums
from dlc.codegen.text import Argument, Coords
from dlc.graph import Node, Size, product
from dlc.schedule.index import Affine, Iter, atom_iters
from dlc.schedule.kernel import Accumulate, Buffer, Expr, Nest, Store
from dlc.schedule.tile import LINE

TWO_LEVEL = 16
"""An innermost reduced loop at least so long is summed for itself, then added: smaller errors."""


@dataclass(frozen=True, slots=True)
class Printed:
    """The text of a kernel and what its arguments are: buffers and sizes, in order."""

    text: str
    arguments: tuple[Argument, ...]
    units: Size


class Printer(Sums):
    """Loops, nests and stores of one kernel."""

    __slots__ = ()

    def finish(self) -> Printed:
        """The whole text, with its head and the comments on what it computes."""
        head = ["def kernel(lo, hi, args):"]
        head += [
            f"    {name} = argument(args, {i})" for i, name in enumerate(self.arguments.values())
        ]
        for buffer, name in self.streams.items():
            many = f"{self.size(buffer.elements)} >= {few(buffer)}"
            head += [
                f"    {name} = 1 if {self.argument(buffer)} & {LINE - 1} == 0 and {many} else 0"
            ]
        where = sorted(
            {f"{s.source.path}:{s.line}" for m in self.kernel.members for s in m.spans[:1]}
        )
        note = [f"# {', '.join(describe(m) for m in self.kernel.members)}"]
        note += [f"# {', '.join(where)}"] if where else []
        self.lines += [f"    drained({name})" for name in self.streams.values()]
        counts = [self.blocks(i) for i in self.kernel.units]
        text = "\n".join([*note, *head, *self.lines]) + "\n"
        return Printed(text, tuple(self.arguments), product(counts))

    def units(self) -> None:
        """The loop over units of work."""
        self.tile = dict(self.kernel.tile)
        self.line("for unit in range(lo, hi):")
        self.depth += 1
        self.decode()
        if self.flat:
            self.whole_vectors(self.kernel.units[0])
        else:
            self.in_blocks(list(self.kernel.around.items()), [])
        self.depth -= 1

    def in_blocks(self, iters: list[tuple[Iter, int]], firsts: list[str]) -> None:
        """Loops over blocks of the reduced ones, whose sums are added to those before."""
        if not iters:
            self.first = " and ".join(firsts)
            self.outer_loops(list(self.kernel.serial))
            return
        (iter, rows), name = iters[0], self.fresh("block")
        first, begin, end = "0", *self.bounds(iter)
        if iter in self.kernel.parts:
            first, begin, end = self.slab(iter)
        self.line(f"for {name} in range({begin}, imax({end}, {begin} + 1), {rows}):")

        def inside() -> None:
            self.block[iter] = name, f"{name}_end"
            self.line(f"{name}_end = imin({name} + {rows}, {end})")
            self.in_blocks(iters[1:], [*firsts, f"{name} == {first}"])

        self.scoped(inside)

    def bounds(self, iter: Iter) -> tuple[str, str]:
        """Where a loop begins and ends in the unit, or in the block."""
        return self.block[iter] if iter in self.block else Sums.bounds(self, iter)

    def whole_vectors(self, iter: Iter) -> None:
        """The body without masks, and with them where the one axis ends."""
        step = self.kernel.step(iter, self.lanes)
        self.line(f"if {self.name(iter)} + {step} <= {self.size(iter.size)}:")
        self.full = True
        self.scoped(self.body)
        self.full = False
        self.line("else:")
        self.scoped(self.body)

    def decode(self, without: Iter | None = None) -> None:
        """From the number of a unit to the first index of each of its loops."""
        rest = "unit"
        for iter in reversed([i for i in self.kernel.units if i != without]):
            name, step = self.unit_name(iter), self.step_text(iter)
            blocks = self.blocks(iter)
            last = iter is self.kernel.units[0]
            if blocks == Size.of(1) and not self.flat:
                self.line(f"{name} = 0")
                continue
            block = rest if last else f"({rest} % {self.size(blocks)})"
            self.line(f"{name} = {block} * {step}" if step != "1" else f"{name} = {block}")
            if not last:
                after = self.fresh("rest")
                self.line(f"{after} = {rest} // {self.size(blocks)}")
                rest = after

    def outer_loops(self, serial: list[Iter]) -> None:
        """Loops inside a unit, around the nests."""
        if not serial:
            self.body()
            return
        iter, rest = serial[0], serial[1:]
        name, step = self.name(iter), self.kernel.step(iter, self.lanes)
        self.line(f"for {name} in range(0, {self.size(iter.size)}, {step}):")
        self.scoped(lambda: self.outer_loops(rest))

    def scoped(self, inside: Callable[[], None]) -> None:
        """Print inside a loop: what is named there is forgotten after it."""
        self.depth += 1
        self.scopes.append({})
        before = len(self.lines)
        inside()
        if len(self.lines) == before:
            self.line("pass")
        self.scopes.pop()
        self.depth -= 1

    def body(self) -> None:
        """The nests, one after the other."""
        self.scopes.append({})
        for nest in self.kernel.nests:
            self.past_caches(nest, lambda n=nest: self.nest(n))  # type: ignore[misc]
        self.scopes.pop()

    def nest(self, nest: Nest) -> None:
        """One nest: its free loops, then the reduced ones."""
        self.loops(nest, list(nest.free), lambda: self.reduce(nest))

    def past_caches(self, nest: Nest, inside: Callable[[], None]) -> None:
        """A nest with another form, if it may store past the caches, for where it does."""
        far = [] if self.flat and not self.full else streamed(self.kernel, nest, self.lanes)
        if not far:
            inside()
            return
        self.line(f"if {' and '.join([self.stream(b) for b in far])}:")
        self.past = far
        self.scoped(inside)
        self.past = []
        self.line("else:")
        self.scoped(inside)

    def stream(self, buffer: Buffer) -> str:
        """The name of whether an array goes past the caches, which the kernel's head finds out."""
        self.argument(buffer)
        self.size(buffer.elements)
        return self.streams.setdefault(buffer, f"far{len(self.streams)}")

    def loops(self, nest: Nest, iters: list[Iter], inside: Callable[[], None]) -> None:
        """Nested loops, around what `inside` prints."""
        if not iters:
            inside()
            return
        iter, rest = iters[0], iters[1:]
        self.hoist(nest, iters)
        name = self.name(iter)
        step = self.kernel.step(iter, self.lanes) if iter == self.kernel.lane else 1
        stride = f", {step}" if step > 1 else ""
        low, high = self.bounds(iter)
        self.line(f"for {name} in range({low}, {high}{stride}):")

        def turn() -> None:
            if iters == (nest.reduced or nest.free)[-1:] == [self.kernel.lane]:
                for buffer, offset in asked(self.kernel, nest, self.lanes):
                    self.prefetch(buffer, offset, {})
            self.loops(nest, rest, inside)

        self.scoped(turn)

    def hoist(self, nest: Nest, iters: list[Iter]) -> None:
        """Print what does not vary with the loops that follow, before them."""
        inner = set(iters) | set(nest.reduced)
        if iters[0] in nest.reduced:
            inner = set(nest.reduced[nest.reduced.index(iters[0]) :])
        if iters[0] in nest.reduced and len(iters) < len(nest.reduced) and self.tiled(nest):
            return
        for statement in self.statements(nest, iters):
            for expr in _invariant(statement.expr, inner):
                for coords in self.coords(expr.deps):
                    self.value(expr, coords)

    def tiled(self, nest: Nest) -> bool:
        """Whether registers hold several accumulators: hoisting would spill them."""
        return any(step > self.lanes for step in self.tile.values()) and bool(nest.reduced)

    def statements(self, nest: Nest, iters: list[Iter]) -> list[Accumulate | Store]:
        """What runs inside loops."""
        return [*nest.body, *(nest.after if iters[0] in nest.free else [])]

    def reduce(self, nest: Nest) -> None:
        """Accumulators, the reduced loops, and the stores after them."""
        sums = [s for s in nest.body if isinstance(s, Accumulate)]
        if all(map(self.unrolled, nest.reduced)):
            self.fold_tile(sums, nest.reduced)
            self.store([s for s in nest.body if isinstance(s, Store)])
            self.store(nest.after)
            return
        for s in sums:
            self.start(s)
        if len(nest.reduced) > 1 and self.two_level(nest):
            inner = nest.reduced[-1:]
            self.loops(nest, nest.reduced[:-1], lambda: self.partial(nest, inner, sums))
        else:
            self.loops(nest, list(nest.reduced), lambda: self.step(nest, ""))
        for s in sums:
            self.fold(s, nest)
        if self.first:
            self.added(self.first, nest.after)
        else:
            self.store(nest.after)

    def added(self, first: str, stores: list[Store]) -> None:
        """Stores where the sums begin, additions to memory elsewhere."""
        self.line(f"if {first}:")
        self.scoped(lambda: self.store(stores))
        self.line("else:")
        self.scoped(lambda: self.store([replace(s, add=True) for s in stores]))

    def two_level(self, nest: Nest) -> bool:
        """Whether the innermost loop is summed for itself."""
        size = nest.reduced[-1].size.constant
        step = self.lanes if nest.reduced[-1] == self.kernel.lane else 1
        long = size is None or size // step >= TWO_LEVEL
        sums = [s for s in nest.body if isinstance(s, Accumulate)]
        return long and bool(sums) and all(s.f == "sum" for s in sums)

    def partial(self, nest: Nest, inner: list[Iter], sums: list[Accumulate]) -> None:
        """The innermost loop summed for itself."""
        for s in sums:
            for coords in self.sum_coords(s):
                self.line(f"{self.acc(s, coords, 'inner_')} = {self.neutral(s)}")
        self.loops(nest, inner, lambda: self.step(nest, "inner_"))
        for s in sums:
            for coords in self.sum_coords(s):
                acc = self.acc(s, coords)
                self.line(f"{acc} = add({acc}, {self.acc(s, coords, 'inner_')})")

    def step(self, nest: Nest, prefix: str) -> None:
        """One iteration of the reduced loops."""
        for s in nest.body:
            if isinstance(s, Accumulate):
                for coords in self.sum_coords(s):
                    self.accumulate(s, coords, nest, prefix)
        self.store([s for s in nest.body if isinstance(s, Store)])

    def store(self, stores: list[Store]) -> None:
        """At each place of the tile first all values, then all stores: updates are in place."""
        if not stores:
            return
        every = frozenset[Iter]().union(*(s.offset.iters | s.expr.deps for s in stores))
        for coords in self.coords(every):
            ready = []
            for s in stores:
                own = {i: c for i, c in coords.items() if i in s.offset.iters | s.expr.deps}
                if all(coords[i] == 0 for i in coords if i not in own):
                    ready.append((s, own, self.value(s.expr, own)))
            for s, own, value in ready:
                self.guarded(own, lambda s=s, own=own, value=value: self.store_one(s, own, value))  # type: ignore[misc]

    def guarded(self, coords: Coords, store: Callable[[], None]) -> None:
        """A store that some printers make only under a condition."""
        store()

    def store_one(self, s: Store, coords: Coords, value: str) -> None:
        """One store at one place of the tile."""
        buffer, offset, lane = s.buffer, s.offset, self.kernel.lane
        base, dtype = self.argument(buffer), buffer.dtype
        where = self.scalar(offset, coords)
        if lane is None or lane not in offset.iters:
            if s.add:
                value = f"add(splat_{dtype}({base}, {where}), {value})"
            self.line(f"store_one_{dtype}({base}, {where}, {value})")
            return
        step = offset.step(lane, self.lanes)
        if step is None:
            ix, mask = self.vector(offset, coords), self.safe(None, coords)
            assert not s.add
            self.line(f"put_{dtype}({base}, {ix}, {value}, {mask})")
            return
        stride = self.size(step)
        if stride != "1":
            mask = self.safe(None, coords)
            if s.add:
                value = f"add(load_strided_{dtype}({base}, {where}, {stride}, {mask}), {value})"
            self.line(f"store_strided_{dtype}({base}, {where}, {stride}, {value}, {mask})")
            return
        room = buffer.padded and self.owned(buffer, offset)
        left = None if room else self.left(coords)
        if left is None:
            if s.add:
                value = f"add(load_{dtype}({base}, {where}), {value})"
            name = "stream" if buffer in self.past else "store"
            self.line(f"{name}_{dtype}({base}, {where}, {value})")
            return
        if s.add:
            before = f"load_masked_{dtype}({base}, {where}, {self.safe(None, coords)})"
            value = f"add({before}, {value})"
        self.line(f"store_below_{dtype}({base}, {where}, {value}, {left})")

    def turn(self) -> None:
        """A transposition in blocks of whole lines, each in squares of vectors."""
        (store,) = self.kernel.nests[0].body
        assert isinstance(store, Store)
        side = self.kernel.tile[self.kernel.lane]  # type: ignore[index]
        names = [self.name(i) for i in self.kernel.tile]
        sizes = [self.size(i.size) for i in self.kernel.tile]
        inside = [f"{name} + {side} <= {size}" for name, size in zip(names, sizes, strict=True)]
        starts = [self.fresh("from") for _ in names]
        self.line("for unit in range(lo, hi):")
        self.depth += 1
        self.decode()
        self.line(f"if {' and '.join(inside)}:")
        self.scoped(lambda: self.squares(store, side))
        self.line("else:")
        self.line(f"    {', '.join(starts)} = {', '.join(names)}")
        for name, start, size in zip(names, starts, sizes, strict=True):
            self.depth += 1
            end = f"imin({start} + {side}, {size})"
            self.line(f"for {name} in range({start}, {end}, {self.lanes}):")
        self.scoped(lambda: self.square(store))
        self.depth -= len(names) + 1

    def squares(self, store: Store, side: int) -> None:
        """A block of whole lines; past the caches, if they are aligned there.

        In the caches a line is read at once, past them a line is written at once.
        """
        lane, row = self.kernel.tile
        starts = range(0, side, self.lanes)
        near = [self.squared(store, {row: y, lane: x}) for x in starts for y in starts]
        past = [self.squared(store, {row: y, lane: x}) for y in starts for x in starts]
        kind, chain = store.buffer.dtype, self.kernel.chain
        if not is_far(store.buffer) or (chain is not None and store.buffer in chain.read):
            self.lines += [f"{'    ' * self.depth}turn_{kind}({place})" for place in near]
            return
        far, where = self.stream(store.buffer), self.scalar(store.offset, {})
        step = self.size(store.offset.step(row, self.lanes))  # type: ignore[arg-type]
        self.line(f"if {far} and ({where}) % {side} == 0 and {step} % {side} == 0:")
        inner = "    " * (self.depth + 1)
        self.lines += [f"{inner}turn_past_{kind}({place})" for place in past]
        self.line("else:")
        self.lines += [f"{inner}turn_{kind}({place})" for place in near]

    def squared(self, store: Store, coords: Coords) -> str:
        """The arguments of the transposition of a square."""
        lane, row = self.kernel.tile
        load = store.expr
        assert load.buffer is not None
        sides = ((store.buffer, store.offset, row), (load.buffer, load.offset, lane))
        return ", ".join(
            f"{self.argument(b)}, {self.scalar(o, coords)}, {self.size(o.step(i, self.lanes))}"  # type: ignore[arg-type]
            for b, o, i in sides
        )

    def square(self, store: Store) -> None:
        """One square; what is less than one row by row.

        The last square of an axis reaches back, unless it is cut into panels, whose ends it would
        cross.
        """
        lane, row = self.kernel.tile
        plain = [i for i in (row, lane) if i not in _cut_axes(store.offset, store.expr.offset)]
        starts = ["" if i in plain else f"{self.name(i)} + " for i in (row, lane)]
        inside = [
            f"{start}{self.lanes} <= {self.size(i.size)}"
            for start, i in zip(starts, (row, lane), strict=True)
        ]
        self.line(f"if {' and '.join(inside)}:")

        def block() -> None:
            for i in plain:
                name = self.name(i)
                self.line(f"{name} = imin({name}, {self.size(i.size)} - {self.lanes})")
            self.line(f"turn_{store.buffer.dtype}({self.squared(store, {})})")

        self.scoped(block)
        self.line("else:")
        self.tile = {lane: self.lanes}
        end = f"imin({self.name(row)} + {self.lanes}, {self.size(row.size)})"

        def rows() -> None:
            self.line(f"for {self.name(row)} in range({self.name(row)}, {end}):")
            self.scoped(lambda: self.store([store]))

        self.scoped(rows)

    def sort(self) -> None:
        """Bottom-up merge sort of indices, stable, NaN last; one unit sorts a row."""
        (load, store) = self.kernel.nests[0].body
        assert isinstance(load, Accumulate)
        assert isinstance(store, Store)
        source, axis = load.expr, self.kernel.nests[0].reduced[0]
        assert source.buffer is not None
        count = product([i.size for i in [*self.kernel.units, axis]])
        spare = Buffer("spare", "i32", (), {}, "arena", elements=count)
        names = {
            "x": self.argument(source.buffer), "out": self.argument(store.buffer),
            "spare": self.argument(spare), "n": self.size(axis.size), "D": source.dtype,
            "sx": self.size(source.offset.of(axis)), "so": self.size(store.offset.of(axis)),
        }  # fmt: skip
        self.line("for unit in range(lo, hi):")
        self.depth += 1
        self.decode()
        self.line(f"{self.name(axis)} = 0")
        self.line(f"x0 = {self.scalar(source.offset, {})}")
        self.line(f"o0 = {self.scalar(store.offset, {})}")
        for line in _MERGE_SORT.strip("\n").split("\n"):
            self.line(line.format(**names))
        self.depth -= 1


_MERGE_SORT = """
s0 = unit * {n}
for i in range(0, {n}):
    set_i32({out}, o0 + i * {so}, i)
width = 1
while width < {n}:
    for start in range(0, {n}, 2 * width):
        mid = imin(start + width, {n})
        end = imin(mid + width, {n})
        i = start
        j = mid
        for k in range(start, end):
            right = j < end
            if right and i < mid:
                a = splat_{D}({x}, x0 + get_i32({out}, o0 + i * {so}) * {sx})
                b = splat_{D}({x}, x0 + get_i32({out}, o0 + j * {so}) * {sx})
                right = any_lane(or_(lt(b, a), and_(ne(a, a), eq(b, b))))
            if right:
                set_i32({spare}, s0 + k, get_i32({out}, o0 + j * {so}))
                j = j + 1
            else:
                set_i32({spare}, s0 + k, get_i32({out}, o0 + i * {so}))
                i = i + 1
    for k in range(0, {n}):
        set_i32({out}, o0 + k * {so}, get_i32({spare}, s0 + k))
    width = 2 * width
"""


def _cut_axes(*offsets: Affine) -> set[Iter]:
    """The loops of which an index takes quotients and remainders."""
    atoms = [atom for offset in offsets for atom, _ in offset.terms]
    return {i for atom in atoms if not isinstance(atom, Iter) for i in atom_iters(atom)}


def describe(node: Node) -> str:
    """A node in a kernel's headline."""
    axes = ", ".join(str(a) for a in node.type.axes)
    return f"{node.path + ' ' if node.path else ''}{node.op}[{axes}]"


def _invariant(expr: Expr, inner: set[Iter]) -> Iterator[Expr]:
    """The largest parts of an expression that do not vary with the inner loops."""
    todo, seen = [expr], set[int]()
    while todo:
        e = todo.pop()
        if id(e) in seen:
            continue
        seen.add(id(e))
        if not e.deps & inner:
            if e.op != "ref":
                yield e
        else:
            todo += e.args
