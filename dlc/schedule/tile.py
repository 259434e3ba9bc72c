"""Lanes, register tiles and units of work of a lowered kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from dlc.graph import Size
from dlc.schedule.facts import estimate, volume
from dlc.schedule.index import Affine, Iter, Rem
from dlc.schedule.kernel import Accumulate, Buffer, Expr, Kernel, Nest, Store

WORK = 2000
"""Vector operations that make a unit of work worth its decoding."""
UNITS, FEW_UNITS = 64, 16
"""Loops become serial inside a unit while at least so many units remain. The work of a unit may be
so much smaller where there are few, and where else one image would be one unit."""
ALONG, LONG = 4, 32
"""The most vectors of a sum along the lanes; sums of fewer terms have one vector."""
SUMS, FEWEST_UNITS = 12, 8
"""The most sums beside each other; so many units are left for threads."""
LINE = 64
"""Bytes of a cache line."""
CROWDED = 1024
"""Elements at multiples of so many bytes share few sets of the first cache."""
WIDEST_ROW, BLOCK, BLOCK_ROWS = 32 * 1024, 32 * 1024, 4
"""Bytes of a row whose columns one unit sums; of the rows that it goes through at once; and how
many these are at least. With less of each row the processor does not see that memory is read in
order."""
WIDE = 16
"""So many lanes multiply twice as fast as 8, which take as long to read memory."""
FEW, CHOICES = 4, 16
"""Loops of so few values, and of so many together, are unrolled where they decide something."""


@dataclass(frozen=True, slots=True)
class Target:
    """What tiling asks of a machine."""

    lanes: int
    registers: int
    first_cache: int = 32 * 1024
    """Bytes of a core's nearest cache that may be counted on."""

    @property
    def wide(self) -> bool:
        """Whether a core multiplies much faster than it moves what is not near."""
        return self.lanes >= WIDE


@dataclass(frozen=True, slots=True)
class Access:
    """One load or store: its offset, the nest it stands in, and whether it stores."""

    buffer: Buffer
    offset: Affine
    nest: Nest
    store: bool
    loops: tuple[Iter, ...]
    """Those of the nest that it stands in."""


def tile(kernel: Kernel, target: Target) -> None:
    """Choose lane, tile, unit and serial loops of a kernel that is no contraction."""
    if kernel.template == "sort":
        kernel.units = list(kernel.outer)
        return
    if _turns(kernel, target):
        return
    for nest in kernel.nests:
        order_loops(kernel, nest)
    kernel.lane = _best_lane(kernel, target)
    _tile_rows(kernel, target)
    _tile_choices(kernel)
    for nest in kernel.nests:
        nest.free.sort(key=lambda i: i == kernel.lane)
        nest.reduced.sort(key=lambda i: i == kernel.lane)
    _cut(kernel, target)
    _read_whole_rows(kernel)


def _turns(kernel: Kernel, target: Target) -> bool:
    """Whether a kernel only transposes; then it does so in square blocks."""
    if len(kernel.nests) != 1 or kernel.nests[0].free or kernel.nests[0].reduced:
        return False
    (statement,) = kernel.nests[0].body if len(kernel.nests[0].body) == 1 else (None,)
    if not isinstance(statement, Store) or statement.add or statement.expr.op != "load":
        return False
    load = statement.expr
    same = load.buffer is not None and load.buffer.dtype == statement.buffer.dtype
    if load.tests or not same or load.dtype not in ("f32", "i32"):
        return False
    one, lanes = Size.of(1), target.lanes
    loops = [i for i in kernel.outer if estimate(i.size) >= lanes // 2]
    for a in loops:
        for b in loops:
            offsets = (statement.offset, load.offset)
            steps = [x.step(i, lanes) for x in offsets for i in (a, b)]
            if (
                a != b
                and None not in steps
                and steps[0] == one == steps[3]
                and one not in steps[1:3]
            ):
                side = max(lanes, LINE // 4)
                kernel.template, kernel.lane, kernel.tile = "turn", a, {a: side, b: side}
                inner = sorted((a, b), key=lambda i: max(stride(x, i) for x in offsets))
                kernel.units = [*(i for i in kernel.outer if i not in (a, b)), *inner[::-1]]
                return True
    return False


def accesses(kernel: Kernel) -> Iterator[Access]:
    """Every load and store of a kernel, each expression once a nest."""
    for nest in kernel.nests:
        seen: set[int] = set()
        inside, after = (*nest.free, *nest.reduced), tuple(nest.free)
        for statement, loops in [
            *((s, inside) for s in nest.body), *((s, after) for s in nest.after)
        ]:  # fmt: skip
            if isinstance(statement, Store):
                yield Access(statement.buffer, statement.offset, nest, True, loops)
            for expr in walk(statement.expr, seen):
                if expr.op == "load" and expr.buffer is not None:
                    yield Access(expr.buffer, expr.offset, nest, False, loops)


def walk(expr: Expr, seen: set[int]) -> Iterator[Expr]:
    """An expression and all below it, each once."""
    todo = [expr]
    while todo:
        e = todo.pop()
        if id(e) not in seen:
            seen.add(id(e))
            yield e
            todo += e.args


def stride(offset: Affine, iter: Iter, lanes: int = 1) -> int:
    """About how far a step of `iter` moves; a large number where it is not regular."""
    step = offset.step(iter, lanes)
    if step is None:
        return 1 << 20
    return abs(step.value(dict.fromkeys(step.symbols, 64)))


def order_loops(kernel: Kernel, nest: Nest) -> None:
    """The loops that move the farthest come first."""
    far: dict[Iter, int] = {}
    for access in accesses(kernel):
        if access.nest is nest:
            for iter in [*nest.free, *nest.reduced]:
                far[iter] = max(far.get(iter, 0), stride(access.offset, iter))
    nest.free.sort(key=lambda i: -far.get(i, 0))
    nest.reduced.sort(key=lambda i: -far.get(i, 0))


def _best_lane(kernel: Kernel, target: Target) -> Iter | None:
    scattered = any(m.op == "scatter" and m.attrs["over"] for m in kernel.members)
    loops = [i for n in kernel.nests for i in [*n.free, *n.reduced]]
    candidates = list(dict.fromkeys(kernel.outer if scattered else [*kernel.outer, *loops]))
    added = [s.offset for n in kernel.nests for s in n.body if isinstance(s, Store) and s.add]
    parts = {*kernel.parts, *kernel.parts.values()}
    candidates = [i for i in candidates if i not in parts]
    candidates = [i for i in candidates if all(o.step(i, target.lanes) is not None for o in added)]
    if not candidates:
        return None
    every = list(accesses(kernel))

    def score(iter: Iter) -> float:
        total = 0.0
        for access in every:
            if iter not in access.offset.iters:
                continue
            weight = volume([i.size for i in access.loops])
            fill = min(1.0, estimate(iter.size) / target.lanes)
            near = stride(access.offset, iter, target.lanes) == 1
            total += weight * fill * (1.0 if near else -0.5) * (2.0 if access.store else 1.0)
        return total

    return max(candidates, key=score)


def _tile_rows(kernel: Kernel, target: Target) -> None:
    """Several vectors at a time where something is summed, along the lanes or beside them."""
    lane = kernel.lane
    if lane is None:
        return
    vectors = 1
    if lane.size.constant is not None and kernel.template == "nests":
        panels = -(-lane.size.constant // target.lanes)
        along = any(lane in n.reduced for n in kernel.nests)
        most = _beside(kernel, panels) if not along else 1 if lane in kernel.outer else ALONG
        line = LINE // (4 * target.lanes)
        if lane in kernel.outer and panels % max(line, 1) == 0 and _walks(kernel):
            most = max(most, line)  # another unit would fetch the rest of the lines again
        vectors = next(v for v in range(most, 0, -1) if panels % v == 0)
    kernel.tile = {lane: vectors * target.lanes}


def _walks(kernel: Kernel) -> bool:
    """Whether a unit goes through loops that store something in each turn, an image perhaps."""
    return any(i != kernel.lane for nest in kernel.nests for i in nest.free)


def _beside(kernel: Kernel, panels: int) -> int:
    """The most vectors for long sums beside each other: in registers, with units for threads."""
    long = [n for n in kernel.nests if volume([i.size for i in n.reduced]) >= LONG]
    if not long:
        return 1
    sums = max(sum(isinstance(s, Accumulate) for s in n.body) for n in long)
    others = volume([i.size for i in kernel.outer if i != kernel.lane])
    return max(1, min(SUMS // max(sums, 1), panels * others // FEWEST_UNITS))


def _tile_choices(kernel: Kernel) -> None:
    """Loops that decide what is computed are unrolled: it is decided while the text is printed."""
    if kernel.lane is None:
        return
    found: dict[Iter, int] = {}
    for nest in kernel.nests:
        seen: set[int] = set()
        for statement in [*nest.body, *nest.after]:
            for expr in walk(statement.expr, seen):
                for test in expr.tests if expr.op == "inside" else ():
                    for iter, count in _deciding(test.index):
                        found[iter] = max(count, found.get(iter, 1))
    useful = {*kernel.outer, *_held(kernel, found)} - {kernel.lane}
    found = {i: n for i, n in found.items() if i in useful}
    if prod(found.values()) <= CHOICES:
        kernel.tile |= found


def _held(kernel: Kernel, found: dict[Iter, int]) -> set[Iter]:
    """Reduced loops that can stand in the tile: all nests that have one have no others.

    None of them if there is such a nest.
    """
    whole = {i for i, n in found.items() if n == i.size.constant and i != kernel.lane}
    inner = [{*nest.free, *nest.reduced} for nest in kernel.nests]
    for nest, loops in zip(kernel.nests, inner, strict=True):
        if nest.free or not loops <= whole:
            whole -= loops
    return whole if all(not loops & whole or loops <= whole for loops in inner) else set()


def _deciding(index: Affine) -> Iterator[tuple[Iter, int]]:
    """The loop that an index follows alone, and in how many steps it goes through its values."""
    if len(index.terms) != 1:
        return
    match index.terms[0][0]:
        case Iter(size=size) as iter if size.constant is not None and size.constant <= FEW:
            yield iter, size.constant
        case Rem(index=inner, size=size) if len(inner.terms) == 1:
            (loop, step), count = inner.terms[0], size.constant
            if not isinstance(loop, Iter) or count is None or step != Size.of(1):
                return
            if count <= FEW and loop.size % count == Size():
                yield loop, count


def _cut(kernel: Kernel, target: Target) -> None:
    """Trailing outer loops of known size run inside a unit until its work pays for its decoding."""
    kernel.units, kernel.serial = list(kernel.outer), []
    work = 0.0
    for nest in kernel.nests:
        body = sum(1 + s.expr.cost for s in [*nest.body, *nest.after])
        inner = volume([i.size for i in [*nest.free, *nest.reduced]])
        work += body * inner
    if kernel.lane in kernel.outer:  # of other loops in the tile the cost counts all choices
        work *= kernel.tile[kernel.lane]
    work /= target.lanes
    while kernel.units and work < WORK:
        last = kernel.units[-1]
        if last.size.constant is None or last in kernel.bands:
            break
        left = volume(
            [
                Size.of(-(-estimate(i.size) // kernel.step(i, target.lanes)))
                for i in kernel.units[:-1]
            ]
        )
        if left < UNITS and not (left >= 8 and work < WORK / FEW_UNITS):
            break
        turns = -(-last.size.constant // kernel.step(last, target.lanes))
        known = [i for i in kernel.units[:-1] if i.size.constant is not None]
        images = all(i.size.constant == kernel.step(i, target.lanes) for i in known)
        if images and work * turns > WORK and work >= WORK / FEW_UNITS:
            break
        kernel.units.pop()
        kernel.serial.insert(0, last)
        work *= turns


def _read_whole_rows(kernel: Kernel) -> None:
    """Sums of columns in parts take the tiles of some rows, then of the next ones."""
    lane = kernel.lane
    if not kernel.parts or lane is None or kernel.units[-1:] != [lane] or len(kernel.nests) != 1:
        return
    (nest,), row = kernel.nests, 4 * (lane.size.constant or WIDEST_ROW)
    plain = all(isinstance(s, Accumulate) and s.f == "sum" for s in nest.body)
    plain = plain and all(s.expr.op == "ref" for s in nest.after) and not nest.free
    if not plain or row > WIDEST_ROW or row <= 4 * kernel.tile[lane]:
        return
    kernel.serial.insert(0, kernel.units.pop())
    read = {a.buffer for a in accesses(kernel) if a.offset.iters & set(nest.reduced)}
    room = max(BLOCK // (row * len(read)), BLOCK_ROWS)
    for place, iter in reversed(list(enumerate(nest.reduced))):
        size = iter.size.constant
        if size is None or size > room:
            kernel.around = dict.fromkeys(nest.reduced[:place], 1) | {iter: room}
            return
        room //= size
