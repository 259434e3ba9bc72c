"""The text of a contraction: chunks, staged panels, register tiles, and what follows the sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from dlc.codegen.text import Coords
from dlc.codegen.unit import UnitPrinter
from dlc.graph import ITEM_BYTES, DType
from dlc.schedule.index import Affine, Iter, at
from dlc.schedule.kernel import Accumulate, Expr, Nest, Staged, Store, Test
from dlc.schedule.product import kept
from dlc.schedule.tile import LINE

ROWS_AHEAD, STEPS_AHEAD = 2, 32
"""So far ahead rows that are copied are asked for, and what steps of sums read."""


@dataclass(slots=True)
class ContractionPrinter(UnitPrinter):
    """Prints a kernel whose registers hold a tile of its free loops."""

    direct: bool = False
    """Whether operands are read where they lie, though they have copies."""
    first_chunk: str = ""
    """Whether the sums begin with this chunk; empty where there are no chunks."""

    @property
    def product(self) -> Nest:
        """The nest that accumulates."""
        return self.kernel.nests[0]

    def units(self) -> None:
        """The loop over units of work, and all inside."""
        blocks = self.cut
        self.line("rolled()")
        for buffer in [blocks.sums, *(staged.copy.buffer for staged in blocks.staged)]:
            if buffer is None:
                continue
            count = buffer.elements.value({}) + self.lanes
            self.own[buffer] = buffer.name
            self.line(f"{buffer.name} = scratch({count * max(4, ITEM_BYTES[buffer.dtype])})")
        self.each_unit()
        for iter in self.kernel.outer:
            self.find_ends(iter)
        self.chunks(list(blocks.chunks), [])
        if blocks.sums is not None:
            self.tile = {i: self.kernel.tile[i] for i in self.kernel.folds}
            order = sorted(self.kernel.outer, key=lambda i: i == self.kernel.lane)
            self.elements(order, self.follow_sums)
        self.scopes.pop()
        self.depth -= 1

    def chunks(self, iters: list[Iter], starts: list[str]) -> None:
        """The loops over chunks, around staging and tiles."""
        if not iters:
            self.first_chunk = " and ".join(starts)
            self.stage()
            with self.in_tile(dict(self.kernel.tile)):
                self.tiles(list(self.kernel.outer))
            if self.cut.alone:
                self.alone()
            return
        iter, step = iters[0], self.cut.chunks[iters[0]]
        inner = self.cut.within
        start, (low, high) = self.name(self.cut.starts[iter]), self.bounds(iter)
        whole = iter.size.constant is not None
        first = low
        if iter in self.kernel.parts and inner is not None:
            first, low, high = self.split(iter, inner)
        elif iter in self.kernel.parts and self.kernel.chain is not None:
            first, low, high = self.slab(iter)
            whole = False
        elif iter in self.kernel.parts or iter in self.kernel.taps or iter == inner:
            first = low = self.named(iter, "low", low)
            high, whole = self.named(iter, "high", high), False
        top = high if whole else f"imax({high}, {low} + 1)"
        self.line(f"for {start} in range({low}, {top}, {step}):")

        def inside() -> None:
            self.ends[iter] = f"{start} + {step}"
            if not whole or (iter.size.constant or 0) % step:
                self.ends[iter] = self.named(iter, "end", f"imin({start} + {step}, {high})")
            if inner is not None and iter in self.kernel.parts and inner not in iters:
                begin, self.ends[inner] = self.within(inner)
                self.line(f"{self.name(self.cut.starts[inner])} = {begin}")
            self.chunks(iters[1:], [*starts, f"{start} == {first}"])

        self.scoped(inside)

    def stage(self) -> None:
        """Copies what the chunk needs of the other operand."""
        lane = self.kernel.lane
        self.if_tiles([partial(self.rows, s) for s in self.cut.staged if s.along != lane])

    def stage_panel(self) -> None:
        """Copies what the tiles of one step along the lanes need of the lane operand."""
        lane = self.kernel.lane
        self.if_tiles([partial(self.panel, s) for s in self.cut.staged if s.along == lane])

    def if_tiles(self, copies: Sequence[Callable[[], None]]) -> None:
        """Copies, if a tile will read them: rows that are left over read what lies there."""
        ends = [*self.few.items(), *((i, w) for i, w in self.whole.items() if self.counted(i))]
        conditions = [f"{end} > {self.begin(i)}" for i, end in ends]
        if copies and conditions:
            self.line(f"if {' and '.join(conditions)}:")
            self.scoped(lambda: _all(copies))
        else:
            _all(copies)

    def panel(self, staged: Staged) -> None:
        """Copies a panel of the lane operand."""
        buffer, offset = staged.load.buffer, staged.load.offset
        assert buffer is not None
        assert offset is not None
        assert staged.copy.buffer is not None
        lane, store = staged.along, Store(staged.copy.buffer, staged.copy.offset, staged.load)
        width = self.tile[lane]

        def inside() -> None:
            for coords in self.coords([lane]):
                self.store_one(store, coords, self.value(staged.load, coords))
            self.prefetch(buffer, offset + width, {})

        with self.in_tile({lane: width}):
            self.nested(list(staged.loops), inside)

    def rows(self, staged: Staged) -> None:
        """Copies the other operand as it lies, to rows side by side."""
        load, copy, along = staged.load, staged.copy, staged.along
        buffer, target = load.buffer, copy.buffer
        assert buffer is not None
        assert target is not None
        assert copy.offset is not None
        assert load.offset is not None
        self.tile, dtype = {}, buffer.dtype
        step = load.offset.step(staged.loops[-1], 1)
        end = self.ends.get(along, self.size(along.size))

        def inside() -> None:
            to, source = self.scalar(copy.offset, {}), self.scalar(load.offset, {})
            mask = f"below({end} - {self.name(along)})"
            value = f"load_masked_{dtype}({self.argument(buffer)}, {source}, {mask})"
            self.line(f"store_{dtype}({self.argument(target)}, {to}, {value})")
            if step is not None:
                self.prefetch(buffer, load.offset + step * ROWS_AHEAD, {})

        self.nested(list(staged.loops), lambda: self.over(along, self.lanes, inside))

    # ---- tiles ----
    @contextmanager
    def in_tile(self, tile: dict[Iter, int], *, direct: bool = False) -> Iterator[None]:
        """Prints for another tile, and perhaps reads operands where they lie."""
        before = self.tile, self.direct
        self.tile, self.direct = tile, direct or self.direct
        yield
        self.tile, self.direct = before

    def innermost(self, iter: Iter) -> bool:
        """Whether the loop moves only the operand that stays in registers."""
        return iter in kept(self.kernel, self.tile, self.lanes)

    def beyond(self, dtype: DType, base: str, start: str, left: str) -> str:
        """Without the padding: multiply-adds of tiny numbers may take a hundred times as long."""
        return f"load_padded_{dtype}({base}, {start}, {left})"

    def summed(self, iters: list[Iter], inside: Callable[[], None]) -> None:
        """Loops over reduced axes, but for what meets the zeros around an operand."""
        if not iters:
            inside()
            return
        iter, *rest = iters
        low, high = self.begin(iter), self.ends.get(iter) or self.bounds(iter)[1]
        for test in self.zeros():
            if self.skips(iter, test, rest):
                first, end = self.met(iter, test)
                low, high = f"imax({low}, {first})", f"imin({high}, {end})"
        self.ranged(iter, low, high, 1, lambda: self.summed(rest, inside))

    def zeros(self) -> list[Test]:
        """Where operands are 0 unless these hold."""
        return [t for s in self.product.body for load in s.expr.args for t in load.zeros]

    def skips(self, iter: Iter, test: Test, inner: list[Iter]) -> bool:
        """Whether a test leaves the same turns of a loop for a whole tile, known outside of it."""
        step = test.index.of(iter).constant
        others = [atom for atom, _ in test.index.terms if atom != iter]
        outside = all(isinstance(a, Iter) and a not in self.tile and a not in inner for a in others)
        return bool(step) and outside

    def met(self, iter: Iter, test: Test) -> tuple[str, str]:
        """The turns of a loop for which a test holds."""
        step = test.index.of(iter).constant or 1
        rest = test.index - at(iter) * step
        top = rest - (test.size - 1)
        if step > 0:  # 0 <= step * iter + rest < size
            return self.divided(rest * -1 + (step - 1), step), self.divided(top * -1 + step, step)
        return self.divided(top + (-step - 1), -step), self.divided(rest + -step, -step)

    def divided(self, index: Affine, by: int) -> str:
        """A quotient that is rounded down, of an index that may be negative."""
        text = self.scalar(index, {})
        return text if by == 1 else f"floor_div({text}, {by})"

    def elements(self, iters: list[Iter], inside: Callable[[], None]) -> None:
        """Loops over all elements of a unit, the lanes innermost."""
        if not iters:
            inside()
            return
        if self.unrolled(iters[0]):
            self.elements(iters[1:], inside)
            return
        step = self.lanes if iters[0] == self.kernel.lane else 1
        self.over(iters[0], step, lambda: self.elements(iters[1:], inside))

    def tiles(self, iters: list[Iter]) -> None:
        """Loops over the tiles of a unit; a smaller tile does what whole ones leave of an axis."""
        if not iters:
            self.one_tile()
            return
        iter, rest = iters[0], iters[1:]
        step = self.tile.get(iter, 1)
        if self.unrolled(iter):
            self.tiles(rest)
            return
        if iter == self.kernel.lane:
            rows = (partial(self.tiles, rest), partial(self.known_rows, rest))
            self.columns(step, self.cut.last, lambda: _all([self.stage_panel, *rows]))
            return
        if self.counted(iter):
            self.ranged(iter, self.begin(iter), self.whole[iter], step, lambda: self.tiles(rest))
            return
        if iter not in self.cut.remainder or iter not in self.tile:
            self.over(iter, step, lambda: self.tiles(rest))
            return
        end = self.ends.get(iter, self.size(iter.size))
        self.ranged(iter, self.begin(iter), self.whole[iter], step, lambda: self.tiles(rest))
        few = self.cut.remainder[iter]

        def inside() -> None:
            if _runs(iter):
                self.clamp(iter)
            self.tiles(rest)

        with self.in_tile({**self.tile, iter: few}):
            self.ranged(iter, self.whole[iter], self.few.get(iter, end), few, inside)
        self.clamped.discard(iter)

    def known_rows(self, iters: list[Iter]) -> None:
        """What whole tiles leave of a run-time axis, in tiles over the axes of known size."""
        row = next((i for i in iters if self.counted(i)), None)
        if row is None:
            return
        lane = {i: n for i, n in self.tile.items() if i == self.kernel.lane}
        rest, end = [i for i in iters if i != row], self.ends.get(row, self.size(row.size))
        with self.in_tile(lane | self.cut.known, direct=True):
            self.ranged(row, self.whole[row], end, 1, lambda: self.tiles(rest))

    def columns(self, step: int, last: int, inside: Callable[[], None]) -> None:
        """The loop along the lanes; a narrower tile does what whole ones leave."""
        lane = self.kernel.lane
        assert lane is not None
        if not last:
            self.over(lane, step, inside)
            return
        begin, end = self.begin(lane), self.ends.get(lane, self.size(lane.size))
        middle = self.whole_end(lane, begin, end, step)
        self.full = True
        self.ranged(lane, begin, middle, step, inside)
        self.full = False
        with self.in_tile({**self.tile, lane: last}):
            self.ranged(lane, middle, end, last, inside)

    def alone(self) -> None:
        """The last row where it is left alone: more vectors of it."""
        lane, row = self.kernel.lane, self.cut.lonely()
        assert lane is not None
        assert row is not None
        rest = [i for i in self.kernel.outer if i not in (row, lane)]

        def lanes() -> None:
            self.columns(self.cut.alone, self.cut.alone_last, self.one_tile)

        end = self.ends.get(row, self.size(row.size))
        with self.in_tile({lane: self.cut.alone}, direct=True):
            self.ranged(row, self.few[row], end, 1, lambda: self.around(rest, lanes))

    def around(self, iters: list[Iter], inside: Callable[[], None]) -> None:
        """Loops over elements of a unit."""
        if iters:
            self.over(iters[0], 1, lambda: self.around(iters[1:], inside))
        else:
            inside()

    def clamp(self, iter: Iter) -> None:
        """Rows of a tile past the end of their axis are its last row; they are not stored."""
        self.clamped.add(iter)
        name, size = self.name(iter), self.size(iter.size)
        for row in range(1, self.tile[iter]):
            self.line(f"{name}_{row} = imin({name} + {row}, {size} - 1)")

    def guarded(self, coords: Coords, store: Callable[[], None]) -> None:
        """A store of rows that may be past the end of their axis."""
        rows = [i for i in self.clamped if coords.get(i)]
        if not rows:
            store()
            return
        inside = [f"{self.name(i)} + {coords[i]} < {self.size(i.size)}" for i in rows]
        self.line(f"if {' and '.join(inside)}:")
        self.scoped(store)

    def one_tile(self) -> None:
        """The sums of one tile over a chunk, and what becomes of them."""
        blocks, (s,) = self.cut, self.product.body
        assert isinstance(s, Accumulate)
        if not self.direct:
            s = replace(s, expr=_with(s.expr, {t.load: t.copy for t in blocks.staged}))
        for coords in self.sum_coords(s):
            self.line(f"{self.acc(s, coords)} = {self.shared(self.neutral(s))}")

        if blocks.sums is None and blocks.chunks:
            self.prefetch_sums(s)

        def step() -> None:
            self.ask_ahead()
            for coords in self.sum_coords(s):
                self.accumulate(s, coords, self.product, "")

        self.summed(list(self.product.reduced), step)
        if blocks.sums is not None:
            self.keep(s)
        elif blocks.chunks:
            self.added(self.first_chunk, self.product.after)
        else:
            self.follow()

    def ask_ahead(self) -> None:
        """Asks for what later steps read of some operands."""
        for load in self.cut.ahead:
            step = load.offset.step(self.product.reduced[-1], 1)
            assert load.buffer is not None
            assert step is not None
            self.prefetch(load.buffer, load.offset + step * STEPS_AHEAD, {})

    def prefetch_sums(self, s: Accumulate) -> None:
        """Asks for where the tile's sums will be added."""
        lane = self.kernel.lane
        for store in self.product.after:
            items = LINE // ITEM_BYTES[store.buffer.dtype]
            for coords in self.sum_coords(s):
                if lane is None or coords.get(lane, 0) % items == 0:
                    self.prefetch(store.buffer, store.offset, coords)

    def keep(self, s: Accumulate) -> None:
        """Stores the tile's sums, or adds them to those of earlier chunks."""
        sums = self.cut.sums
        assert sums is not None
        clamped, self.clamped = self.clamped, set()
        places = [
            (self.acc(s, coords), self.scalar(self.cut.sums_at, coords))
            for coords in self.sum_coords(s)
        ]
        self.clamped = clamped
        put = f"store_{sums.dtype}(sums, "
        later = [f"{put}{at_}, add(load_{sums.dtype}(sums, {at_}), {a}))" for a, at_ in places]
        first = [f"{put}{at_}, {a})" for a, at_ in places]
        if not self.first_chunk:
            for text in first:
                self.line(text)
            return
        for head, texts in ((f"if {self.first_chunk}:", first), ("else:", later)):
            self.line(head)
            self.depth += 1
            for text in texts:
                self.line(text)
            self.depth -= 1

    # ---- what follows ----
    def follow(self) -> None:
        """Everything after the sums, from registers."""
        self.past_caches(self.product, lambda: self.store(self.product.after))
        for nest in self.kernel.nests[1:]:
            self.past_caches(nest, lambda n=nest: self.reduce(n))  # type: ignore[misc]

    def follow_sums(self) -> None:
        """Everything after the sums, from memory, for one vector, or one window of them."""
        (s,) = self.product.body
        sums = self.cut.sums
        assert isinstance(s, Accumulate)
        assert sums is not None
        for coords in self.sum_coords(s):
            where = self.scalar(self.cut.sums_at, coords)
            self.line(f"{self.acc(s, coords)} = load_{sums.dtype}(sums, {where})")
        self.follow()


def _runs(iter: Iter) -> bool:
    return iter.size.constant is None


def _all(steps: Sequence[Callable[[], None]]) -> None:
    for step in steps:
        step()


def _with(expr: Expr, copies: dict[Expr, Expr]) -> Expr:
    """A product whose operands are read from their copies."""
    args = tuple(copies.get(a, a) for a in expr.args)
    deps = frozenset[Iter]().union(*(a.deps for a in args))
    return replace(expr, args=args, deps=deps)
