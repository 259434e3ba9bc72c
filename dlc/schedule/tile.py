"""Lanes, register tiles and units of work of a lowered kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from dlc.graph import Size
from dlc.schedule.facts import estimate, volume
from dlc.schedule.index import Affine, Iter
from dlc.schedule.kernel import Buffer, Expr, Kernel, Nest, Store

LATENCY = 6
"""Cycles that a step of the reduced loops takes at least: a multiply-add waits for the last one."""
WORK = 2000
"""Vector operations that make a unit of work worth its decoding."""
RAGGED = 1.5
"""Rows that may be past an end have an address each; others are at fixed distances."""
MOST_ROWS = 12
SHORT = 9
"""An axis so short (the taps of a window) may stand in the tile as a whole."""
LINE = 64
"""Bytes of a cache line."""
BYTES_A_CYCLE = ((24e3, 64.0), (400e3, 24.0), (float("inf"), 8.0))
"""What a core can fetch from its caches, by the bytes that one unit of work goes through."""
UNITS = 64
"""Loops become serial inside a unit while at least so many units remain."""


@dataclass(frozen=True, slots=True)
class Target:
    """What tiling asks of a machine."""

    lanes: int
    registers: int

    @property
    def fma_per_cycle(self) -> float:
        """Vector multiply-adds a cycle: wide vectors have one unit on common machines."""
        return 1.0 if self.lanes >= 16 else 2.0


@dataclass(frozen=True, slots=True)
class Access:
    """One load or store: its offset, the nest it stands in, and whether it stores."""

    buffer: Buffer
    offset: Affine
    nest: Nest
    store: bool


def tile(kernel: Kernel, target: Target, lane: Iter | None) -> None:
    """Choose lane, tile, unit and serial loops; `lane` is given for a contraction."""
    if kernel.template == "sort":
        kernel.units = list(kernel.outer)
        return
    for nest in kernel.nests:
        _order_loops(kernel, nest)
    if kernel.contraction:
        assert lane is not None
        kernel.lane = lane
        _tile_contraction(kernel, target)
    else:
        kernel.lane = _best_lane(kernel, target)
        _tile_rows(kernel, target)
    for nest in kernel.nests:
        nest.free.sort(key=lambda i: i == kernel.lane)
        nest.reduced.sort(key=lambda i: i == kernel.lane)
    _cut(kernel, target)


def accesses(kernel: Kernel) -> Iterator[Access]:
    """Every load and store of a kernel, each expression once a nest."""
    for nest in kernel.nests:
        seen: set[int] = set()
        for statement in [*nest.body, *nest.after]:
            if isinstance(statement, Store):
                yield Access(statement.buffer, statement.offset, nest, True)
            for expr in walk(statement.expr, seen):
                if expr.op == "load" and expr.buffer is not None:
                    yield Access(expr.buffer, expr.offset, nest, False)


def walk(expr: Expr, seen: set[int]) -> Iterator[Expr]:
    """An expression and all below it, each once."""
    todo = [expr]
    while todo:
        e = todo.pop()
        if id(e) not in seen:
            seen.add(id(e))
            yield e
            todo += e.args


def _stride(offset: Affine, iter: Iter, lanes: int = 1) -> int:
    """About how far a step of `iter` moves; a large number where it is not regular."""
    step = offset.step(iter, lanes)
    if step is None:
        return 1 << 20
    return abs(step.value(dict.fromkeys(step.symbols, 64)))


def _order_loops(kernel: Kernel, nest: Nest) -> None:
    far: dict[Iter, int] = {}
    for access in accesses(kernel):
        if access.nest is nest:
            for iter in [*nest.free, *nest.reduced]:
                far[iter] = max(far.get(iter, 0), _stride(access.offset, iter))
    nest.free.sort(key=lambda i: -far.get(i, 0))
    nest.reduced.sort(key=lambda i: -far.get(i, 0))


def _best_lane(kernel: Kernel, target: Target) -> Iter | None:
    scattered = any(m.op == "scatter" and m.attrs["over"] for m in kernel.members)
    loops = [i for n in kernel.nests for i in [*n.free, *n.reduced]]
    candidates = list(dict.fromkeys(kernel.outer if scattered else [*kernel.outer, *loops]))
    added = [s.offset for n in kernel.nests for s in n.body if isinstance(s, Store) and s.add]
    candidates = [i for i in candidates if all(o.step(i, target.lanes) is not None for o in added)]
    if not candidates:
        return None
    every = list(accesses(kernel))

    def score(iter: Iter) -> float:
        total = 0.0
        for access in every:
            if iter not in access.offset.iters:
                continue
            weight = volume([i.size for i in [*access.nest.free, *access.nest.reduced]])
            fill = min(1.0, estimate(iter.size) / target.lanes)
            near = _stride(access.offset, iter, target.lanes) == 1
            total += weight * fill * (1.0 if near else -0.5) * (2.0 if access.store else 1.0)
        return total

    return max(candidates, key=score)


def _tile_rows(kernel: Kernel, target: Target) -> None:
    lane = kernel.lane
    if lane is None:
        return
    vectors = 1
    sums = any(lane in n.reduced for n in kernel.nests)
    if lane.size.constant is not None and lane not in kernel.outer and sums:
        panels = -(-lane.size.constant // target.lanes)
        vectors = next(v for v in (4, 3, 2, 1) if panels % v == 0)
    kernel.tile = {lane: vectors * target.lanes}


@dataclass(frozen=True, slots=True)
class _Product:
    """What the choice of a contraction's tile looks at: of each load how far its loops move."""

    kernel: Kernel
    target: Target
    lane: Iter
    loads: tuple[dict[Iter, int], ...]
    reduced: tuple[Iter, ...]


def _tile_contraction(kernel: Kernel, target: Target) -> None:
    """The register tile with the fewest cycles for each multiply-add."""
    lane, nest = kernel.lane, kernel.nests[0]
    assert lane is not None
    assert lane.size.constant is not None
    offsets = [a.offset for a in accesses(kernel) if a.nest is nest and not a.store]
    loads = tuple({i: _stride(o, i) for i in o.iters} for o in offsets)
    product = _Product(kernel, target, lane, loads, tuple(nest.reduced))
    panels = -(-lane.size.constant // target.lanes)
    best: tuple[float, int, int] | None = None
    for vectors in (1, 2, 3, 4):
        if panels % vectors:
            continue
        for rows in _row_tiles(product):
            if _registers(product, rows, vectors) >= target.registers:
                continue
            cost = _cost(product, rows, vectors)
            far = max((o.get(i, 0) for i in rows for o in loads), default=0)
            rank = (round(cost, 2), far, -vectors * prod(rows.values()))
            if best is None or rank < best:
                best = rank
                kernel.tile = {lane: vectors * target.lanes}
                kernel.tile |= {i: n for i, n in rows.items() if n > 1}
    tiled = [i for i in kernel.outer if i in kernel.tile and i != lane]
    rest = [i for i in kernel.outer if i != lane and i not in tiled]
    kernel.outer = [lane, *rest, *tiled]


def _row_tiles(product: _Product) -> Iterator[dict[Iter, int]]:
    """Tiles over the other free axes: of none, of one axis, or of two."""
    rows = [i for i in product.kernel.outer if i != product.lane]
    yield {}
    for row in rows:
        known = row.size.constant
        for count in range(2, MOST_ROWS + 1):
            if known is not None and count > known:
                break
            yield {row: count}
            for other in rows:
                if other != row:
                    for more in _whole_or_few(other):
                        yield {other: more, row: count}


def _whole_or_few(iter: Iter) -> Iterator[int]:
    """Two or three of an axis that they divide, or all of a short one."""
    size = iter.size.constant
    if size is not None:
        yield from (n for n in (2, 3) if size % n == 0)
        if 3 < size <= SHORT:
            yield size


def _registers(product: _Product, rows: dict[Iter, int], vectors: int) -> int:
    """Accumulators, the vectors of the lane operand, and one for what meets them."""
    return prod(rows.values()) * vectors + vectors + 1


def _cost(product: _Product, rows: dict[Iter, int], vectors: int) -> float:
    """Cycles a multiply-add of one vector; a tile past the end of an axis costs a whole one."""
    cost = _cycles(product, rows, vectors) / (prod(rows.values()) * vectors)
    for iter, count in rows.items():
        size = estimate(iter.size)
        cost *= -(-size // count) * count / size
        if iter.size.constant is None or size % count:
            cost *= RAGGED
    return cost


def _cycles(product: _Product, rows: dict[Iter, int], vectors: int) -> float:
    """Of one step of the reduced loops: by multiply-adds, by loads, by latency, by bytes."""
    products = prod(rows.values()) * vectors
    loads, fetched, footprint = 0, 0.0, 0.0
    for load in product.loads:
        places = prod([n for i, n in rows.items() if i in load])
        wide = product.lane in load
        loads += places * (vectors if wide else 1)
        fetched += _fetched(product, load, rows, vectors if wide else 0)
        steps = volume([i.size for i in product.reduced if i in load])
        footprint += 4.0 * steps * (vectors * product.target.lanes if wide else places)
    rate = next(rate for limit, rate in BYTES_A_CYCLE if footprint <= limit)
    return max(products / product.target.fma_per_cycle, loads / 2, LATENCY * 1.0, fetched / rate)


def _fetched(
    product: _Product, load: dict[Iter, int], rows: dict[Iter, int], vectors: int
) -> float:
    """New bytes that a load touches at each step; windows that overlap are fetched once."""
    if not product.reduced or product.reduced[-1] not in load:
        return 0.0
    inner = 4.0 * load[product.reduced[-1]]
    width = 4.0 * max(1, vectors * product.target.lanes)
    steps = {load[i] for i in product.reduced if i in load}
    apart = [i for i in rows if i in load and load[i] not in steps]
    near = [i for i in apart if 4 * load[i] * rows[i] <= LINE]
    lines = prod(rows[i] for i in apart if i not in near)
    return lines * min(inner, max(width, LINE))


def _cut(kernel: Kernel, target: Target) -> None:
    """Trailing outer loops of known size run inside a unit until its work pays for its decoding."""
    kernel.units, kernel.serial = list(kernel.outer), []
    work = 0.0
    for nest in kernel.nests:
        body = sum(1 + s.expr.cost for s in [*nest.body, *nest.after])
        inner = volume([i.size for i in [*nest.free, *nest.reduced]])
        work += body * inner
    for iter, count in kernel.tile.items():
        if iter in kernel.outer:
            work *= count
    work /= target.lanes
    while kernel.units and work < WORK:
        last = kernel.units[-1]
        if last.size.constant is None:
            break
        left = volume(
            [
                Size.of(-(-estimate(i.size) // kernel.step(i, target.lanes)))
                for i in kernel.units[:-1]
            ]
        )
        if left < UNITS and not (left >= 8 and work < WORK / 16):
            break
        kernel.units.pop()
        kernel.serial.insert(0, last)
        work *= -(-last.size.constant // kernel.step(last, target.lanes))
