"""How much of each loop a unit of a contraction's work holds."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from dlc.schedule.facts import estimate, volume
from dlc.schedule.index import Iter
from dlc.schedule.product import Product, rows_of, shared_rows
from dlc.schedule.register_tile import MOST_ROWS, row_by_row

OTHERS = 16 * 1024
"""Bytes of the first cache that the lane operand leaves to rows and sums: what the tiles of a unit
share of it stays there."""
SUMS = 192 * 1024
"""Bytes of the sums of a unit: they stay in the second cache."""
ROWS = 256
RUN_TIME_ROWS, MORE_ROWS = 224, 336
"""The most along a loop whose size is not known; more beside the larger caches of wide vectors,
which hold them as they lie: then a unit is one tile wide. Not where rows of the result so many
bytes apart crowd into few sets of the second cache, nor where whole tiles leave columns."""
CROWDED = 8192
FEWEST_ROWS = 32
"""Of each of a batch of products a unit has so many rows, or those of four images."""
COLUMNS = 128
"""The most that a unit has of each: they share what is staged and what is in the caches."""
PRODUCTS = 1 << 22
"""Multiply-adds that are worth a unit of their own."""
FEWEST_UNITS, MOST_UNITS = 4, 8
SMALL = 1 << 16
"""Those of a unit whose lane operand stays in the first cache whatever its rows are."""
ALONE = 1 << 18
"""Those of one image that are worth a unit of their own; with half of them a unit wants no other
image."""
FAR_WEIGHTS = 8 << 20
"""Bytes of the lane operand that leave all caches before another row of an image needs them."""
Extents = dict[Iter, int]


def extents(product: Product, known: dict[Iter, int]) -> Extents:
    """From one tile a unit grows over its rows, then over its columns, while enough remain."""
    kernel, lane = product.kernel, product.lane
    tile = {**known, **kernel.tile}
    extent = {i: tile.get(i, 1) for i in kernel.outer}
    extent |= {i: n for i in known if (n := i.size.constant or 0) <= MOST_ROWS}
    limits = _limits(product)
    shared = shared_rows(product)
    rows = [i for i in reversed(rows_of(kernel)) if i not in shared]
    if known and 4 * limits.wide > FAR_WEIGHTS:
        rows.sort(key=lambda i: i.size.constant is None)  # few images share one reading of it
    columns = [lane]
    if row_by_row(product):
        extent[lane], columns = -(-(lane.size.constant or 0) // tile[lane]) * tile[lane], []
    for iter in [*rows, *reversed(shared), *columns]:
        step = tile.get(iter, 1)
        if iter.size.constant is None and kernel.bands:
            continue
        if iter.size.constant is None and step > 1:
            extent[iter] = _run_time_rows(product, extent, iter, limits.wide) // step * step or step
        elif iter.size.constant is None and shared:
            beside = prod(extent[i] for i in rows if i != iter)
            extent[iter] = next((n for n in (1, 2, 4) if n * beside >= FEWEST_ROWS), 4)
        else:
            tiles = -(-estimate(iter.size) // step)
            trials = ({**extent, iter: -(-tiles // n) * step} for n in range(1, tiles))
            extent = next((trial for trial in trials if limits.allow(trial, iter)), extent)
    return extent


def evenly_cut(product: Product, extent: Extents) -> tuple[Iter, ...]:
    """Run-time loops of which a unit has several tiles: few long units and a short one wait."""
    kernel = product.kernel
    several = [i for i in kernel.outer if extent[i] > kernel.tile.get(i, extent[i])]
    return tuple(i for i in several if i.size.constant is None)


def _run_time_rows(product: Product, extent: Extents, iter: Iter, wide: int) -> int:
    """The most rows along a loop whose size is not known."""
    beside = prod(extent[i] for i in rows_of(product.kernel) if i != iter)
    most = MORE_ROWS if _roomy(product) else RUN_TIME_ROWS
    room = min(most // beside, SUMS // (4 * beside * extent[product.lane]))
    if 4 * wide <= OTHERS:
        return min(room, SMALL // (beside * wide))
    return min(room, ALONE // (beside * wide)) if row_by_row(product) else room


def _roomy(product: Product) -> bool:
    """Whether a unit may have more rows of a run-time axis."""
    lane, target, tile = product.lane, product.target, product.kernel.tile
    columns = lane.size.constant or 0
    run_time = any(i.size.constant is None and i != lane for i in tile)
    whole = -(-columns // target.lanes) * target.lanes % tile[lane] == 0
    return run_time and whole and target.wide and 4 * columns % CROWDED != 0


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a unit may hold, and how many must remain."""

    product: Product
    wide: int
    """Elements of the lane operand, where it is the same for all images."""
    units: int
    """That a unit's columns leave."""
    alone: int
    """That one image has."""
    by_rows: bool
    """Whether these are cut along the image, not along the lanes."""
    columns: int
    """The most of a unit."""
    panel: int
    """Columns that the lane operand holds side by side: these are not parted."""

    def allow(self, trial: Extents, iter: Iter) -> bool:
        """Whether a unit may be so large; it grew along `iter`."""
        lane, free = self.product.lane, bool(self.product.kernel.parts)
        shares = {i: -(-i.size.constant // n) for i, n in trial.items() if i.size.constant}
        if prod(n for i, n in shares.items() if i != lane or not self.by_rows) < self.alone:
            return False
        rows, run_time = prod(n for i, n in trial.items() if i != lane), iter.size.constant is None
        if run_time and self.alone > 1 and rows // trial[iter] * self.wide >= ALONE // 2:
            return False
        panel = iter == lane and trial[lane] <= self.panel
        small = free or panel or (rows <= ROWS and trial[lane] <= self.columns)
        units = prod(-(-estimate(i.size) // n) for i, n in trial.items())
        least = 2 if panel else self.units if iter == lane else FEWEST_UNITS
        return small and 4 * prod(trial.values()) <= SUMS and units >= least


def _limits(product: Product) -> _Limits:
    kernel, lane, reduced = product.kernel, product.lane, product.reduced
    total = volume([i.size for i in [*kernel.outer, *reduced]])
    units = min(max(total // PRODUCTS, FEWEST_UNITS), MOST_UNITS)
    alone = min(_known([*kernel.outer, *reduced]) // ALONE, FEWEST_UNITS)
    by_rows = _known(rows_of(kernel)) >= (lane.size.constant or 0)
    columns = kernel.tile[lane] if _roomy(product) else COLUMNS
    panel = 0 if shared_rows(product) else _panel(product)
    return _Limits(product, _known([lane, *reduced]), units, alone, by_rows, columns, panel)


def _panel(product: Product) -> int:
    (statement,) = product.kernel.nests[0].body
    wide = [load for load in statement.expr.args if product.lane in load.deps and load.buffer]
    return max((load.buffer.panel for load in wide if load.buffer), default=0)


def _known(iters: list[Iter]) -> int:
    return prod(i.size.constant or 1 for i in iters)
