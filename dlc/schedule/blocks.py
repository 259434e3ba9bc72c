"""How a unit of a contraction's work goes through the caches: its chunks, copies, and sums."""

from __future__ import annotations

import itertools
from math import gcd, prod

from dlc.graph import Axis, DType, Size
from dlc.schedule.extents import OTHERS, evenly_cut, extents
from dlc.schedule.index import START, Iter
from dlc.schedule.kernel import Blocks, Buffer, Kernel, Store
from dlc.schedule.product import FEW_ROWS, Product, local, product_of, rows_of, turns
from dlc.schedule.register_tile import choose_tile, known_rows
from dlc.schedule.staging import stage
from dlc.schedule.tile import LINE, Target, stride

DEEP = 16
"""So many steps for each value of an axis that is summed in parts make a chunk."""
LINES = 256
"""Cache lines of the other operand that a tile goes through: the next tiles read them again."""
SHARED_SETS = 2
"""What a line counts that shares its set with many others."""
VECTORS = 8
"""In the tile of one row."""
DEAR_EPILOGUE = 160
"""What follows the sums is unrolled over the tile up to so many vector operations."""
_unique = itertools.count(1)


def cut_contraction(kernel: Kernel, target: Target, lane: Iter) -> None:
    """Choose the tile of a contraction whose lanes are known, its units, and their blocks."""
    kernel.lane = lane
    product = product_of(kernel, target, lane)
    choose_tile(product)
    _block(product)


def _block(product: Product) -> None:
    """Chunks of the reduced loops, the size of a unit, staging, and where the sums lie."""
    kernel = product.kernel
    iters = [*kernel.outer, *product.reduced]
    starts = {i: Iter(Axis(f"{START}{i.axis.name}", -next(_unique)), i.size) for i in iters}
    known = known_rows(product)
    extent = extents(product, known)
    remainder, chunks = _remainder(product, known), _chunks(product)
    blocks = Blocks(extent, evenly_cut(product, extent), remainder, chunks, starts, known=known)
    blocks.within = _within(product, blocks)
    kernel.blocks = blocks
    kernel.units = [i for i in kernel.outer if _count(i, extent[i]) != Size.of(1)]
    panels = -(-(product.lane.size.constant or 0) // product.target.lanes)
    blocks.last = panels * product.target.lanes % kernel.tile[product.lane]
    stage(product, blocks)
    after = kernel.nests[0].after
    plain = len(kernel.nests) == 1 and all(s.expr.op == "ref" for s in after)
    stores = [s.offset for s in after if isinstance(s, Store)]
    plain = plain and all(stride(o, product.lane, product.target.lanes) == 1 for o in stores)
    if (blocks.chunks and not plain) or _epilogue(kernel) > DEAR_EPILOGUE:
        _keep_sums(kernel, blocks)
    if blocks.chunks and product.lane in kernel.units:
        kernel.units.sort(key=lambda i: i == product.lane)  # the next unit reads the same rows
        if blocks.sums is None:
            blocks.run = -(-(product.lane.size.constant or 0) // extent[product.lane])
    _alone(product, blocks)


def _count(iter: Iter, extent: int) -> Size:
    return (iter.size + (extent - 1)) // extent


def _chunks(product: Product) -> dict[Iter, int]:
    """Outer reduced loops, cut so that what the others read stays in the first cache."""
    kernel, lane = product.kernel, product.lane
    used = {i for load in product.loads if lane in load for i in product.reduced if i in load}
    limit = (product.target.first_cache - OTHERS) // (4 * kernel.tile[lane])
    steps = {i: turns(kernel, i) or 1 << 30 for i in product.reduced}
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
        size = turns(kernel, iter)
        step = limit // prod(steps[i] for i in used)
        while step > 1 and _lines(product, {**steps, iter: step}) > LINES:
            step -= 1
        chunks[iter] = steps[iter] = step if size is None else -(-size // -(-size // step))
    return chunks


def _within(product: Product, blocks: Blocks) -> Iter | None:
    """The loop along which parts of a batch are cut, so that a few large images are shared too."""
    kernel, order = product.kernel, product.reduced
    batch = next((i for i in order if i in kernel.parts and i.size.constant is None), None)
    if batch is None or blocks.chunks.get(batch) != 1:
        return None
    inner = [i for i in order[order.index(batch) + 1 :] if i.size.constant is not None]
    return next((i for i in inner if i not in kernel.taps), None)


def _lines(product: Product, steps: dict[Iter, int]) -> int:
    """How many lines of the first cache the rows of a tile go through, where each step has its own.

    Lines at multiples of a power of two share sets: they count twice. More would make chunks so
    short that adding to the sums costs more than fetching lines again.
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
        most = max(most, prod(spans.values()) * min(apart & -apart, SHARED_SETS))
    return most


def _remainder(product: Product, known: dict[Iter, int]) -> dict[Iter, int]:
    """The rows of the smaller tile, for the axes that need one."""
    found = {}
    for iter, count in {**known, **product.kernel.tile}.items():
        size = iter.size.constant
        if iter == product.lane or (size is None and known) or (size and size % count == 0):
            continue
        found[iter] = min(FEW_ROWS, count) if size is None else size % count
    return found


def _alone(product: Product, blocks: Blocks) -> None:
    """A tile of one row needs many vectors, so that they do not wait for each other."""
    kernel, lane, lanes = product.kernel, product.lane, product.target.lanes
    rows = [i for i in kernel.tile if i != lane]
    run_time = len(rows) == 1 and rows[0].size.constant is None
    if blocks.known or not run_time or lane.size.constant is None:
        return
    panels, unit = -(-lane.size.constant // lanes), blocks.extent[lane] // lanes
    most = min(VECTORS, product.target.registers - 4)
    joined = blocks.run > 1 and not blocks.last  # units side by side are one range
    fits = [
        v
        for v in range(1, most + 1)
        if unit % v == 0 or unit >= panels or (joined and v % unit == 0)
    ]
    wide = min(fits, key=lambda v: (-(-panels // v), panels % v > 0, v))
    if wide * lanes > kernel.tile[lane]:
        last = kernel.tile[lane] if joined and unit % wide else panels % wide * lanes
        blocks.alone, blocks.alone_last = wide * lanes, last


def _epilogue(kernel: Kernel) -> int:
    """Vector operations that follow the sums of a tile."""
    follows = [*kernel.nests[0].after, *(s for n in kernel.nests[1:] for s in n.body)]
    rows = {i: n for i, n in kernel.tile.items() if i != kernel.lane}
    return sum(prod(n for i, n in rows.items() if i in s.expr.deps) * s.expr.cost for s in follows)


def _keep_sums(kernel: Kernel, blocks: Blocks) -> None:
    (first,) = kernel.nests[0].body
    dtype: DType = first.expr.dtype
    blocks.sums = Buffer("sums", "f32" if dtype in ("f16", "bf16") else dtype, (), {}, "scratch")
    size = 1
    assert kernel.lane is not None
    for iter in [kernel.lane, *reversed(rows_of(kernel))]:
        blocks.sums_at = blocks.sums_at + local(kernel, blocks, iter) * size
        room = blocks.remainder.get(iter, 0) if iter.size.constant is None else 0
        size *= blocks.extent[iter] + room
    blocks.sums.elements = Size.of(size)
