"""How much of each loop a unit of a contraction's work holds."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from dlc.schedule.facts import estimate, volume
from dlc.schedule.index import Iter
from dlc.schedule.product import Product, rows_of, shared_rows
from dlc.schedule.register_tile import MOST_ROWS

OTHERS = 16 * 1024
"""Bytes of the first cache that the lane operand leaves to rows and sums: what the tiles of a unit
share of it stays there."""
SUMS = 192 * 1024
"""Bytes of the sums of a unit: they stay in the second cache."""
ROWS = 256
RUN_TIME_ROWS, MORE_ROWS = 224, 336
"""The most along a loop whose size is not known; more beside the larger caches of wide vectors,
unless rows of the result so many bytes apart crowd into few sets of the second cache."""
WIDE, CROWDED = 16, 8192
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
ROW_VECTORS = 4
"""Vectors of a unit's columns, so that the sums of a single row need not wait for each other."""
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
    for iter in [*rows, *reversed(shared), lane]:
        step = tile.get(iter, 1)
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
    lane, target = product.lane, product.target
    roomy = target.lanes >= WIDE and 4 * (lane.size.constant or 0) % CROWDED != 0
    most = MORE_ROWS if roomy else RUN_TIME_ROWS
    room = min(most // beside, SUMS // (4 * beside * extent[lane]))
    return min(room, SMALL // (beside * wide)) if 4 * wide <= OTHERS else room


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

    def allow(self, trial: Extents, iter: Iter) -> bool:
        """Whether a unit may be so large; it grew along `iter`."""
        lane, free = self.product.lane, bool(self.product.kernel.parts)
        shares = {i: -(-i.size.constant // n) for i, n in trial.items() if i.size.constant}
        if prod(n for i, n in shares.items() if i != lane or not self.by_rows) < self.alone:
            return False
        rows, run_time = prod(n for i, n in trial.items() if i != lane), iter.size.constant is None
        if run_time and self.alone > 1 and rows // trial[iter] * self.wide >= ALONE // 2:
            return False
        small = 4 * prod(trial.values()) <= SUMS
        small = small and (free or (rows <= ROWS and trial[lane] <= COLUMNS))
        units = prod(-(-estimate(i.size) // n) for i, n in trial.items())
        return small and units >= self._fewest(trial, iter)

    def _fewest(self, trial: Extents, iter: Iter) -> int:
        lane, product = self.product.lane, self.product
        if iter != lane:
            return FEWEST_UNITS
        narrow = trial[lane] <= ROW_VECTORS * product.target.lanes
        return 2 if narrow and not shared_rows(product) else self.units


def _limits(product: Product) -> _Limits:
    kernel, lane, reduced = product.kernel, product.lane, product.reduced
    total = volume([i.size for i in [*kernel.outer, *reduced]])
    units = min(max(total // PRODUCTS, FEWEST_UNITS), MOST_UNITS)
    alone = min(_known([*kernel.outer, *reduced]) // ALONE, FEWEST_UNITS)
    by_rows = _known(rows_of(kernel)) >= (lane.size.constant or 0)
    return _Limits(product, _known([lane, *reduced]), units, alone, by_rows)


def _known(iters: list[Iter]) -> int:
    return prod(i.size.constant or 1 for i in iters)
