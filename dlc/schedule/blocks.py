"""The register tile of a contraction, and how a unit of its work goes through the caches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd, prod

from dlc.graph import Axis, DType, Size
from dlc.schedule.facts import estimate, volume
from dlc.schedule.index import START, Affine, Iter, Rem, at, data_atoms
from dlc.schedule.kernel import Blocks, Buffer, Expr, Kernel, Staged
from dlc.schedule.plan import PARTS
from dlc.schedule.tile import Target, accesses, stride

INDEX = 6
"""Loads that take as long as finding an element by an index from memory."""
LATENCY = 4
"""Cycles that a step of the reduced loops takes at least: a multiply-add waits for the last one."""
PRODUCTS_A_CYCLE = 2
"""Vector multiply-adds; where wide vectors have one unit alone, other costs weigh less."""
MOST_ROWS = 14
RUN_TIME = 1.05
"""Rows of known number, which lie nearer, are preferred so much."""
FEW_ROWS = 4
"""Rows of the tile for what whole tiles leave of an axis whose size is not known."""
SHORT = 9
"""An axis so short (the taps of a window) may stand in the tile as a whole."""
LINE = 64
"""Bytes of a cache line."""
BYTES_A_CYCLE = ((24e3, 64.0), (400e3, 24.0), (float("inf"), 8.0))
"""What a core can fetch from its caches, by the bytes that the reduced loops go through."""
PANEL = 16 * 1024
"""Bytes of the lane operand that the tiles of a unit share: they stay in the first cache."""
DEEP = 16
"""So many steps for each value of an axis that is summed in parts make a chunk."""
LINES = 256
"""Cache lines of the other operand that a tile goes through: the next tiles read them again."""
SUMS = 192 * 1024
"""Bytes of the sums of a unit: they stay in the second cache."""
ROWS = 256
RUN_TIME_ROWS = 224
FEWEST_ROWS = 32
"""Of each of a batch of products a unit has so many rows, or those of four images."""
COLUMNS = 128
"""The most that a unit has of each: they share what is staged and what is in the caches."""
STAGED_ROWS = 16
"""Staging pays when so many rows use each element."""
CROWDED = 1024
"""Rows at multiples of so many bytes share few sets of the first cache."""
SETS, WAYS = 64, 4
"""The first cache: its sets, and how many lines of each are left beside the lane operand."""
PRODUCTS = 1 << 22
"""Multiply-adds that are worth a unit of their own."""
FEWEST_UNITS, MOST_UNITS = 4, 8
ALONE = 1 << 20
"""Multiply-adds of a batch of one that are worth a unit of their own."""
WIDEST = 4
"""Vectors in the widest panel, or tile."""
VECTORS = 8
"""In the tile of one row."""
DEAR_EPILOGUE = 160
"""What follows the sums is unrolled over the tile up to so many vector operations."""
_unique = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Product:
    """What the choice of a contraction's tile looks at: of each load how far its loops move."""

    kernel: Kernel
    target: Target
    lane: Iter
    loads: tuple[dict[Iter, int], ...]
    indexed: tuple[frozenset[Iter], ...]
    """The loops that indices from memory vary with, of each load."""
    reduced: tuple[Iter, ...]


def cut_contraction(kernel: Kernel, target: Target, lane: Iter) -> None:
    """Choose the tile of a contraction whose lanes are known, its units, and their blocks."""
    kernel.lane = lane
    nest = kernel.nests[0]
    offsets = [a.offset for a in accesses(kernel) if a.nest is nest and not a.store]
    loads = tuple({i: stride(o, i) for i in o.iters} for o in offsets)
    rows = [load for load in loads if lane not in load]
    nest.reduced.sort(key=lambda i: [-max(o.get(i, 0) for o in f) for f in (rows, loads) if f])
    indexed = tuple(_indexed(o) for o in offsets)
    product = _Product(kernel, target, lane, loads, indexed, tuple(nest.reduced))
    _tile(product)
    _block(product)


def _indexed(offset: Affine) -> frozenset[Iter]:
    found = [data.value.deps for data in data_atoms(offset)]
    return frozenset[Iter]().union(*found)


# ---- the tile ----
def _tile(product: _Product) -> None:
    """The register tile with the fewest cycles for each multiply-add."""
    kernel, lane, lanes = product.kernel, product.lane, product.target.lanes
    assert lane.size.constant is not None
    panels = -(-lane.size.constant // lanes)
    best: tuple[float, int, int] | None = None
    for vectors in range(1, min(WIDEST, panels) + 1):
        waste = -(-panels // vectors) * vectors / panels
        for rows in _row_tiles(product):
            if _registers(product, rows, vectors) >= product.target.registers:
                continue
            cost = _cost(product, rows, vectors) * waste
            far = max((o.get(i, 0) for i in rows for o in product.loads), default=0)
            rank = (round(cost, 2), far, -vectors * prod(rows.values()))
            if best is None or rank < best:
                best = rank
                kernel.tile = {lane: vectors * lanes}
                kernel.tile |= {i: n for i, n in rows.items() if n > 1}
    tiled = [i for i in kernel.outer if i in kernel.tile and i != lane]
    rest = [i for i in kernel.outer if i != lane and i not in tiled]
    parts = [i for i in rest if i in kernel.parts.values()]
    phases = [i for i in rest if i in kernel.single and i not in parts]
    rest = [i for i in rest if i not in kernel.single]
    kernel.outer = [*parts, lane, *rest, *tiled, *phases]  # neighbours differ in what they cost


def _row_tiles(product: _Product) -> Iterator[dict[Iter, int]]:
    """Tiles over the other free axes: of none, of one axis, or of two, one of which it divides."""
    rows = _rows_of(product.kernel)
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
    """Accumulators, one for the other operand, and the vectors of the lane operand.

    These need none where each meets one row: then multiply-adds read them from memory.
    """
    wide = [load for load in product.loads if product.lane in load]
    once = all(i in load for load in wide for i, n in rows.items() if n > 1)
    return prod(rows.values()) * vectors + (1 if once else vectors) + 1


def _cost(product: _Product, rows: dict[Iter, int], vectors: int) -> float:
    """Cycles a multiply-add of one vector, what whole tiles leave of an axis included."""
    cost = _cycles(product, rows, vectors) / (prod(rows.values()) * vectors)
    for iter, count in rows.items():
        size = estimate(iter.size)
        left = size % count if size > count else 0
        if left:
            few = left if iter.size.constant is not None else FEW_ROWS
            less = _cycles(product, {**rows, iter: few}, vectors) / vectors * -(-left // few)
            less /= prod(n for i, n in rows.items() if i != iter)
            cost = (cost * (size - left) + less) / size
        elif size < count:
            cost *= count / size
        if iter.size.constant is None:
            cost *= RUN_TIME
    return cost


def _cycles(product: _Product, rows: dict[Iter, int], vectors: int) -> float:
    """Of one step of the reduced loops: by multiply-adds, by loads, by latency, by bytes."""
    products = prod(rows.values()) * vectors
    loads, fetched, footprint = 0, 0.0, 0.0
    for load, indexed in zip(product.loads, product.indexed, strict=True):
        places = prod([n for i, n in rows.items() if i in load])
        if indexed:
            loads += INDEX * prod([n for i, n in rows.items() if i in indexed])
        wide = product.lane in load
        loads += places * (vectors if wide else 1)
        if wide:
            fetched += 4.0 * places * vectors * product.target.lanes
            continue
        fetched += _fetched(product, load, rows)
        parts = product.kernel.parts
        steps = volume([i.size for i in product.reduced if i in load and i not in parts])
        footprint += 4.0 * steps * places
    rate = next(rate for limit, rate in BYTES_A_CYCLE if footprint <= limit)
    return max(products / PRODUCTS_A_CYCLE, loads / 2, LATENCY * 1.0, fetched / rate)


def _fetched(product: _Product, load: dict[Iter, int], rows: dict[Iter, int]) -> float:
    """New bytes that rows touch at each step; windows that overlap are fetched once."""
    if not product.reduced or product.reduced[-1] not in load:
        return 0.0
    inner = 4.0 * load[product.reduced[-1]]
    steps = {load[i] for i in product.reduced if i in load}
    apart = [i for i in rows if i in load and load[i] not in steps]
    near = [i for i in apart if 4 * load[i] * rows[i] <= LINE]
    lines = prod(rows[i] for i in apart if i not in near)
    return lines * min(inner, LINE)


# ---- the blocks ----
def _block(product: _Product) -> None:
    """Chunks of the reduced loops, the size of a unit, staging, and where the sums lie."""
    kernel, lane = product.kernel, product.lane
    iters = [*kernel.outer, *product.reduced]
    starts = {i: Iter(Axis(f"{START}{i.axis.name}", -next(_unique)), i.size) for i in iters}
    extent = _extents(product)
    blocks = Blocks(extent, _remainder(kernel), _chunks(product), starts)
    kernel.blocks = blocks
    kernel.units = [i for i in kernel.outer if _count(i, extent[i]) != Size.of(1)]
    if blocks.chunks:
        kernel.units.sort(key=lambda i: i == lane)  # units side by side share staged rows
    blocks.alone = _alone(product, blocks)
    _stage(product, blocks)
    plain = len(kernel.nests) == 1 and all(s.expr.op == "ref" for s in kernel.nests[0].after)
    if (blocks.chunks and not plain) or _epilogue(kernel) > DEAR_EPILOGUE:
        _keep_sums(kernel, blocks)


def _count(iter: Iter, extent: int) -> Size:
    return (iter.size + (extent - 1)) // extent


def _rows_of(kernel: Kernel) -> list[Iter]:
    """The free loops beside the lanes."""
    return [i for i in kernel.outer if i != kernel.lane and i not in kernel.single]


def _extents(product: _Product) -> dict[Iter, int]:
    """From one tile a unit grows over its rows, then over its columns, while enough remain."""
    kernel, lane = product.kernel, product.lane
    extent = {i: kernel.tile.get(i, 1) for i in kernel.outer}
    total = volume([i.size for i in [*kernel.outer, *product.reduced]])
    wanted = min(max(total // PRODUCTS, FEWEST_UNITS), MOST_UNITS)
    alone = min(_known([*kernel.outer, *product.reduced]) // ALONE, FEWEST_UNITS)

    def fits(trial: dict[Iter, int], iter: Iter) -> bool:
        units = prod(-(-estimate(i.size) // n) for i, n in trial.items())
        if prod(-(-i.size.constant // n) for i, n in trial.items() if i.size.constant) < alone:
            return False
        rows = prod(n for i, n in trial.items() if i != lane)
        fine = bool(kernel.parts) or (rows <= ROWS and trial[lane] <= COLUMNS)
        fine = fine and 4 * prod(trial.values()) <= SUMS
        return fine and units >= (wanted if iter == lane else FEWEST_UNITS)

    wide = [set(load) for load in product.loads if lane in load]
    shared = [i for i in _rows_of(kernel) if all(i in load for load in wide)]
    rows = [i for i in reversed(_rows_of(kernel)) if i not in shared]
    for iter in [*rows, *reversed(shared), lane]:
        step = kernel.tile.get(iter, 1)
        tiles = -(-estimate(iter.size) // step)
        if iter.size.constant is None and step > 1:
            beside = prod(extent[i] for i in _rows_of(kernel) if i != iter)
            room = min(RUN_TIME_ROWS // beside, SUMS // (4 * beside * extent[lane]))
            extent[iter] = max(room // step, 1) * step
            continue
        if iter.size.constant is None and shared:
            beside = prod(extent[i] for i in rows if i != iter)
            extent[iter] = next((n for n in (1, 2, 4) if n * beside >= FEWEST_ROWS), 4)
            continue
        for blocks in range(1, tiles):
            trial = {**extent, iter: -(-tiles // blocks) * step}
            if fits(trial, iter):
                extent = trial
                break
    return extent


def _known(iters: list[Iter]) -> int:
    return prod(i.size.constant or 1 for i in iters)


def _chunks(product: _Product) -> dict[Iter, int]:
    """Outer reduced loops, cut so that what the others read stays in the first cache."""
    kernel, lane = product.kernel, product.lane
    used = {i for load in product.loads if lane in load for i in product.reduced if i in load}
    limit = PANEL // (4 * kernel.tile[lane])
    steps = {i: _turns(kernel, i) or 1 << 30 for i in product.reduced}
    chunks: dict[Iter, int] = {}

    def fits() -> bool:
        return prod(steps[i] for i in used) <= limit and _lines(product, steps) <= LINES

    for iter in product.reduced:
        if fits() and not (kernel.parts.keys() & set(product.reduced)) - chunks.keys():
            break
        chunks[iter] = steps[iter] = 1
        if iter not in used or not fits():
            continue
        near = any(load.get(iter) == 1 for load in product.loads if lane not in load)
        if iter in kernel.parts and not near and prod(steps[i] for i in used) >= DEEP:
            continue
        size = _turns(kernel, iter)
        step = limit // prod(steps[i] for i in used)
        while step > 1 and _lines(product, {**steps, iter: step}) > LINES:
            step -= 1
        chunks[iter] = steps[iter] = step if size is None else -(-size // -(-size // step))
    return chunks


def _turns(kernel: Kernel, iter: Iter) -> int | None:
    """The most turns of a reduced loop in a unit, or in a part, if they are known."""
    size = iter.size.constant
    return -(-size // PARTS) if size is not None and iter in kernel.parts else size


def _lines(product: _Product, steps: dict[Iter, int]) -> int:
    """How many lines of the first cache the rows of a tile go through, where each step has its own.

    Lines at multiples of a power of two share sets: they count as what they keep others from.
    """
    tile = product.kernel.tile
    most = 0
    for load in product.loads:
        inner = product.reduced[-1] if product.reduced else None
        if product.lane in load or inner is None or 4 * load.get(inner, 0) < LINE:
            continue
        spans: dict[int, int] = {}
        for iter, stride_ in load.items():
            count = steps.get(iter, tile.get(iter, 1))
            if 4 * stride_ >= LINE:
                spans[stride_] = spans.get(stride_, 1) + count - 1
        apart = gcd(*spans) * 4 // LINE
        most = max(most, prod(spans.values()) * (apart & -apart))
    return most


def _remainder(kernel: Kernel) -> dict[Iter, int]:
    """The rows of the smaller tile, for the axes that need one."""
    found = {}
    for iter, count in kernel.tile.items():
        size = iter.size.constant
        if iter == kernel.lane or (size is not None and size % count == 0):
            continue
        found[iter] = min(FEW_ROWS, count) if size is None else size % count
    return found


def _alone(product: _Product, blocks: Blocks) -> int:
    """A tile of one row needs many vectors, so that they do not wait for each other."""
    kernel, lane, lanes = product.kernel, product.lane, product.target.lanes
    rows = [i for i in kernel.tile if i != lane]
    if len(rows) != 1 or rows[0].size.constant is not None or lane.size.constant is None:
        return 0
    vectors = [-(-lane.size.constant // lanes), blocks.extent[lane] // lanes]
    most = min(VECTORS, product.target.registers - 4)
    wide = next(v for v in range(most, 0, -1) if all(n % v == 0 for n in vectors))
    return wide * lanes if wide * lanes > kernel.tile[lane] else 0


def _epilogue(kernel: Kernel) -> int:
    """Vector operations that follow the sums of a tile."""
    follows = [*kernel.nests[0].after, *(s for n in kernel.nests[1:] for s in n.body)]
    rows = prod(n for i, n in kernel.tile.items() if i != kernel.lane)
    return rows * sum(s.expr.cost for s in follows)


def _keep_sums(kernel: Kernel, blocks: Blocks) -> None:
    (first,) = kernel.nests[0].body
    dtype: DType = first.expr.dtype
    blocks.sums = Buffer("sums", "f32" if dtype in ("f16", "bf16") else dtype, (), {}, "scratch")
    size = 1
    assert kernel.lane is not None
    for iter in [kernel.lane, *reversed(_rows_of(kernel))]:
        blocks.sums_at = blocks.sums_at + _local(kernel, blocks, iter) * size
        room = blocks.remainder.get(iter, 0) if iter.size.constant is None else 0
        size *= blocks.extent[iter] + room
    blocks.sums.elements = Size.of(size)


def _local(kernel: Kernel, blocks: Blocks, iter: Iter) -> Affine:
    """The index of a loop, counted from where the unit or the chunk begins in it."""
    cut = iter in kernel.units or iter in blocks.chunks
    return at(iter) - at(blocks.starts[iter]) if cut else at(iter)


def _stage(product: _Product, blocks: Blocks) -> None:
    """Copies of a unit's own, where an operand lies so that the caches serve it badly."""
    kernel, lane, lanes = product.kernel, product.lane, product.target.lanes
    (statement,) = kernel.nests[0].body
    rows = prod(min(blocks.extent[i], estimate(i.size)) for i in _rows_of(kernel))
    for load in statement.expr.args:
        if load.op != "load" or load.tests or load.buffer is None or rows < STAGED_ROWS:
            continue
        reduced = [i for i in product.reduced if i in load.deps]
        outer = [i for i in kernel.outer if i in load.deps]
        if not reduced or any(len(a.iters) != 1 for a in _terms(load.offset)):
            continue
        if outer == [lane]:
            near = stride(load.offset, reduced[-1]) <= WIDEST * lanes
            if not near and stride(load.offset, lane, lanes) == 1:
                blocks.staged += (_panel(kernel, blocks, load, reduced),)
        elif blocks.chunks and lane not in outer:
            staged = _rows(product, blocks, load, [*outer, *reduced])
            blocks.staged += () if staged is None else (staged,)


def _terms(offset: Affine) -> list[Affine]:
    return [at(atom) for atom, _ in offset.terms]


def _panel(kernel: Kernel, blocks: Blocks, load: Expr, reduced: list[Iter]) -> Staged:
    """A panel of the lane operand as wide as the tile: a row for each step of the reduced loops."""
    assert kernel.lane is not None
    lane, depth = kernel.lane, 1
    width = kernel.tile[lane]
    where = Affine()
    for i in reversed(reduced):
        where = where + _local(kernel, blocks, i) * (depth * width)
        depth *= blocks.chunks.get(i, i.size.constant or 1)
    column = at(Rem(_local(kernel, blocks, lane), Size.of(width)))
    copy = _copy(load, f"stage{len(blocks.staged)}", where + column, depth * width)
    return Staged(load, copy, lane, tuple(reduced))


def _rows(product: _Product, blocks: Blocks, load: Expr, loops: list[Iter]) -> Staged | None:
    """The other operand, if its rows would crowd into few sets of the first cache."""
    kernel, lanes = product.kernel, product.target.lanes
    strides = {i: stride(load.offset, i) for i in loops}
    near = [i for i in loops if strides[i] == 1]
    counts = {i: _counted(kernel, blocks, i) for i in loops}
    if len(near) != 1 or near[0] in kernel.outer or not _separate(strides, loops):
        return None
    (along,) = near
    known = {i: n for i, n in counts.items() if n is not None}
    if len(known) < len(loops) or not _crowded(kernel, strides, known):
        return None
    width = -(-known[along] // lanes) * lanes + (lanes if len(loops) == 2 else 0)
    where = _local(kernel, blocks, along)
    rest = [i for i in loops if i != along]
    for iter in reversed(rest):
        if iter in kernel.outer and width * 4 % CROWDED == 0:
            width += lanes
        where = where + _local(kernel, blocks, iter) * width
        width *= known[iter]
    copy = _copy(load, f"stage{len(blocks.staged)}", where, width)
    return Staged(load, copy, along, tuple(rest))


def _counted(kernel: Kernel, blocks: Blocks, iter: Iter) -> int | None:
    """The turns of a loop in a unit and a chunk, at most."""
    return blocks.extent.get(iter) or blocks.chunks.get(iter) or _turns(kernel, iter)


def _separate(strides: dict[Iter, int], loops: list[Iter]) -> bool:
    """Whether no two places of the loops are one element, as they are where windows overlap."""
    reach = 1
    for iter in sorted(loops, key=lambda i: strides[i]):
        if strides[iter] < reach:
            return False
        reach = strides[iter] * estimate(iter.size)
    return True


def _crowded(kernel: Kernel, strides: dict[Iter, int], counts: dict[Iter, int]) -> bool:
    """Whether what a tile reads falls on few sets of the first cache, which the panel needs too."""
    far = [i for i in strides if 4 * strides[i] >= LINE]
    if len(strides) == 2 and any(4 * strides[i] % CROWDED == 0 for i in far):
        return True
    tile = kernel.tile
    run = max(1, 4 * prod(n for i, n in counts.items() if i not in far) // LINE)
    places = prod(tile.get(i, 1) if i in kernel.outer else counts[i] for i in far)
    apart = gcd(*(4 * strides[i] // LINE for i in far))
    sets = min(SETS, SETS // min(apart & -apart, SETS) * run) if apart else SETS
    return places * run > WAYS * sets


def _copy(load: Expr, name: str, where: Affine, elements: int) -> Expr:
    assert load.buffer is not None
    buffer = Buffer(name, load.buffer.dtype, (), {}, "scratch", padded=True)
    buffer.elements = Size.of(elements)
    return replace(load, buffer=buffer, offset=where, deps=load.deps | where.iters)
