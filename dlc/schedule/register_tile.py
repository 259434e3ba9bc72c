"""The register tile of a contraction: the one with the fewest cycles for each multiply-add."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod

from dlc.schedule.facts import estimate, volume
from dlc.schedule.index import Iter
from dlc.schedule.product import FEW_ROWS, WIDEST, Product, kept, rows_of, shared_rows
from dlc.schedule.tile import LINE

INDEX = 6
"""Loads that take as long as finding an element by an index from memory."""
LATENCY = 4
"""Cycles that a step of the reduced loops takes at least: a multiply-add waits for the last one."""
PRODUCTS_A_CYCLE = 2
"""Vector multiply-adds; where wide vectors have one unit alone, other costs weigh less."""
MOST_ROWS = 14
RUN_TIME = 1.05
"""Rows of known number, which lie nearer, are preferred so much."""
LAST_TILE = 1.1
"""A narrower tile for the last columns is a second kernel to compile."""
SHORT = 9
"""An axis so short (the taps of a window) may stand in the tile as a whole."""
NEAR, FAR = ((24e3, 8.0), (400e3, 3.0)), 8.0
"""What a core can fetch in a cycle from its caches, for each lane of a vector, by the bytes that
the reduced loops go through; and in all from what lies farther."""
SET_BYTES, SET_ROWS = 4096, 6
"""Lines so many bytes apart share a set of the first cache, which has room for so many rows of a
tile: with more, each step fetches a whole line for each."""
CHUNK = 32e3
"""At most so many of the other operand, and of all where the sum is cut in parts: by chunks."""
NEW_LINE = 2
"""Loads that take as long as a line of the other operand, where each step reads the next one."""
SHORT_SUM, NEAR_LANES = 64, 64 * 1024
"""Sums of so few steps take no longer than storing what they make, if the lane operand has so many
bytes at most: it is read again for each tile."""


def choose_tile(product: Product) -> None:
    """The register tile with the fewest cycles for each multiply-add."""
    kernel, lane, lanes = product.kernel, product.lane, product.target.lanes
    assert lane.size.constant is not None
    panels = -(-lane.size.constant // lanes)
    every = all(lane in load for load in product.loads)
    pair = 8 * lanes == LINE and panels % 2 == 0  # two vectors: whole lines are written at once
    least = 2 if every and pair and not kernel.folds else 1
    widths = range(least, min(WIDEST, panels) + 1)
    axes = [i for i in rows_of(kernel) if not kernel.bands or i.size.constant is not None]
    axes = [i for i in axes if i not in kernel.folds]
    vectors, rows = _best(product, panels, widths, axes)
    kernel.tile = {lane: vectors * lanes} | rows
    tiled = [i for i in kernel.outer if i in kernel.tile and i != lane]
    rest = [i for i in kernel.outer if i != lane and i not in tiled]
    parts = [i for i in rest if i in kernel.parts.values()]
    phases = [i for i in rest if i in kernel.single and i not in parts]
    shared = shared_rows(product)
    rest = sorted((i for i in rest if i not in kernel.single), key=lambda i: i not in shared)
    kernel.outer = [*parts, lane, *rest, *tiled, *phases]  # neighbours differ in what they cost
    if (every and not known_rows(product)) or row_by_row(product):  # all lanes of a place together
        kernel.outer.remove(lane)
        kernel.outer.insert(len(kernel.outer) - len(phases), lane)


def row_by_row(product: Product) -> bool:
    """Whether a unit computes all columns of a tile's rows before the next rows.

    So results are written in the order of memory, and the lane operand is read again for each tile.
    """
    kernel, lane = product.kernel, product.lane
    if kernel.parts or kernel.single or shared_rows(product) or known_rows(product):
        return False
    steps = [i.size.constant for i in product.reduced]
    columns = lane.size.constant or 0
    if None in steps or columns <= kernel.tile[lane]:
        return False
    deep = prod(n for n in steps if n is not None)
    return deep <= SHORT_SUM and 4 * deep * columns <= NEAR_LANES


def known_rows(product: Product) -> dict[Iter, int]:
    """The rows of a second tile, over axes of known size, for what the first leaves of another.

    A batch of one, or of few, has no whole tiles along a run-time axis.
    """
    kernel = product.kernel
    if all(i.size.constant is not None for i in kernel.tile):
        return {}
    tiled = {i: n for i, n in kernel.tile.items() if i != product.lane and i.size.constant}
    if tiled:
        return tiled
    vectors = kernel.tile[product.lane] // product.target.lanes
    known = [i for i in rows_of(kernel) if i.size.constant is not None and i not in kernel.folds]
    return _best(product, vectors, range(vectors, vectors + 1), known)[1]


def _best(
    product: Product, panels: int, widths: range, axes: list[Iter]
) -> tuple[int, dict[Iter, int]]:
    """Vectors along the lanes, and rows, of the best tile for so many vectors in all."""
    best: tuple[float, int, int] | None = None
    whole = {i: i.size.constant or 1 for i in product.kernel.folds}
    found = widths[0], dict(whole)
    for vectors in widths:
        for rows in _row_tiles(axes):
            rows = whole | rows
            if _registers(product, rows, vectors) >= product.target.registers:
                continue
            cost = _cost(product, rows, vectors)
            if last := panels % vectors:
                less = LAST_TILE * _cost(product, rows, last)
                cost = (cost * (panels - last) + less * last) / panels
            far = max((o.get(i, 0) for i in rows for o in product.loads), default=0)
            rank = (round(cost, 2), far, -vectors * prod(rows.values()))
            if best is None or rank < best:
                best = rank
                found = vectors, {i: n for i, n in rows.items() if n > 1}
    return found


def _row_tiles(rows: list[Iter]) -> Iterator[dict[Iter, int]]:
    """Tiles over some axes: of none, of one axis, or of two, one of which it divides."""
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


def _registers(product: Product, rows: dict[Iter, int], vectors: int) -> int:
    """Accumulators, the vectors of the operand that stays, and one of the other."""
    lanes = product.target.lanes
    stay = kept(product.kernel, {product.lane: vectors * lanes} | rows, lanes)
    return prod(rows.values()) * vectors + prod(stay.values()) + 1


def _cost(product: Product, rows: dict[Iter, int], vectors: int) -> float:
    """Cycles a multiply-add of one vector, what whole tiles leave of an axis included."""
    cost = _cycles(product, rows, vectors) / (prod(rows.values()) * vectors) * product.met(rows)
    for iter, count in rows.items():
        size = estimate(iter.size)
        left = size % count if size > count else 0
        if left:
            few = left if iter.size.constant is not None else FEW_ROWS
            less = _cycles(product, {**rows, iter: few}, vectors) / vectors * -(-left // few)
            less *= product.met(rows) / prod(n for i, n in rows.items() if i != iter)
            cost = (cost * (size - left) + less) / size
        elif size < count:
            cost *= count / size
        if iter.size.constant is None:
            cost *= RUN_TIME
    return cost


def _cycles(product: Product, rows: dict[Iter, int], vectors: int) -> float:
    """Of one step of the reduced loops: by multiply-adds, by loads, by latency, by bytes."""
    products = prod(rows.values()) * vectors
    loads, fetched, footprint = 0, 0.0, 0.0
    for load, indexed in zip(product.loads, product.indexed, strict=True):
        places = prod([n for i, n in rows.items() if i in load])
        if indexed:
            loads += INDEX * prod([n for i, n in rows.items() if i in indexed])
        wide = product.lane in load
        each = vectors * product.target.lanes if wide else 1
        loads += places * (vectors if wide else 1)
        new = 4.0 * places * each if wide else _fetched(product, load, rows)
        fetched += new
        if not wide:
            loads += NEW_LINE * int(new // LINE)
        if wide and (indexed or prod(rows[i] for i in _apart(product, load, rows)) == 1):
            continue  # a panel, which tiles share, or what nobody knows
        parts = product.kernel.parts
        steps = volume([i.size for i in product.reduced if i in load and i not in parts])
        through = 4.0 * steps * places * each
        footprint += through if wide and not parts else min(through, CHUNK)
    near = [rate * product.target.lanes for limit, rate in NEAR if footprint <= limit]
    rate = near[0] if near else FAR
    return max(products / PRODUCTS_A_CYCLE, loads / 2, LATENCY * 1.0, fetched / rate)


def _fetched(product: Product, load: dict[Iter, int], rows: dict[Iter, int]) -> float:
    """New bytes that rows touch at each step; windows that overlap are fetched once."""
    if not product.reduced or product.reduced[-1] not in load:
        return 0.0
    inner = 4.0 * load[product.reduced[-1]]
    apart = _apart(product, load, rows)
    near = [i for i in apart if 4 * load[i] * rows[i] <= LINE]
    lines = prod(rows[i] for i in apart if i not in near)
    crowded = any(_a_set(load[i], rows[i]) > SET_ROWS for i in apart if i not in near)
    return lines * (LINE if crowded else min(inner, LINE))


def _apart(product: Product, load: dict[Iter, int], rows: dict[Iter, int]) -> list[Iter]:
    """The rows that no step of the reduced loops moves to: windows overlap."""
    steps = {load[i] for i in product.reduced if i in load}
    return [i for i in rows if i in load and load[i] not in steps]


def _a_set(stride: int, rows: int) -> float:
    """How many of the rows share a set."""
    return rows * gcd(4 * stride, SET_BYTES) / SET_BYTES
