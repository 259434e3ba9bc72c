"""A contraction whose lanes are known, as the choice of its tile and blocks looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from dlc.schedule.facts import estimate
from dlc.schedule.index import Affine, Iter, at, count_inside, data_atoms
from dlc.schedule.kernel import Blocks, Kernel, Test
from dlc.schedule.plan import PARTS
from dlc.schedule.tile import Target, accesses, stride

FEW_ROWS = 4
"""Rows of the tile for what whole tiles leave of an axis whose size is not known."""
MANY = 4096
"""Of so many taps the share that meets zeros is not counted."""
WIDEST = 4
"""Vectors in the widest panel, or tile."""


@dataclass(frozen=True, slots=True)
class Product:
    """What the choice of a contraction's tile looks at: of each load how far its loops move."""

    kernel: Kernel
    target: Target
    lane: Iter
    loads: tuple[dict[Iter, int], ...]
    indexed: tuple[frozenset[Iter], ...]
    """The loops that indices from memory vary with, of each load."""
    reduced: tuple[Iter, ...]
    inside: dict[Iter, float]
    """By free loops: the share of multiply-adds that meet no zeros around an operand."""

    def met(self, rows: Iterable[Iter]) -> float:
        """The share that is computed where a tile holds these rows: it skips what all rows skip."""
        held = {self.lane, *rows}
        return prod(share for i, share in self.inside.items() if i not in held)


def product_of(kernel: Kernel, target: Target, lane: Iter) -> Product:
    """What a kernel multiplies. Its reduced loops are sorted: those that move farthest first."""
    nest = kernel.nests[0]
    offsets = [a.offset for a in accesses(kernel) if a.nest is nest and not a.store]
    loads = tuple({i: stride(o, i) for i in o.iters} for o in offsets)
    rows = [load for load in loads if lane not in load]
    nest.reduced.sort(key=lambda i: [-max(o.get(i, 0) for o in f) for f in (rows, loads) if f])
    indexed = tuple(_indexed(o) for o in offsets)
    return Product(kernel, target, lane, loads, indexed, tuple(nest.reduced), _inside(kernel))


def _inside(kernel: Kernel) -> dict[Iter, float]:
    found: dict[Iter, float] = {}
    tests = [t for s in kernel.nests[0].body for load in s.expr.args for t in load.zeros]
    for test in tests:
        steps = {i: c.constant for i, c in test.index.terms if isinstance(i, Iter)}
        free = [i for i in steps if i in kernel.outer]
        if len(test.index.terms) == len(steps) == 2 and len(free) == 1:
            found[free[0]] = found.get(free[0], 1.0) * share(test, steps)
    return found


def share(test: Test, steps: dict[Iter, int | None]) -> float:
    """Of the values of two loops those for which a test holds; 1 where that is not known."""
    (few, step), (many, other) = sorted(steps.items(), key=lambda item: estimate(item[0].size))
    n, m, size = few.size.constant, many.size.constant, test.size.constant
    first = test.index.const.constant
    if not n or not m or not step or not other or size is None or first is None or n > MANY:
        return 1.0
    return count_inside(first, (step, other), (n, m), size) / (n * m)


def _indexed(offset: Affine) -> frozenset[Iter]:
    found = [data.value.deps for data in data_atoms(offset)]
    return frozenset[Iter]().union(*found)


def kept(kernel: Kernel, tile: Mapping[Iter, int], lanes: int) -> dict[Iter, int]:
    """The loops of the operand of which a tile holds fewer vectors, and how many along each.

    These vectors stay in registers while those of the other operand meet them one by one.
    """
    (statement,) = kernel.nests[0].body
    factors = [factor.deps for factor in statement.expr.args]
    both = frozenset[Iter].intersection(*factors)
    places = {i: n // lanes if i == kernel.lane else n for i, n in tile.items() if i not in both}
    own = [{i: n for i, n in places.items() if i in factor} for factor in factors]
    return min(own, key=lambda held: (prod(held.values()), kernel.lane not in held))


def rows_of(kernel: Kernel) -> list[Iter]:
    """The free loops beside the lanes."""
    return [i for i in kernel.outer if i != kernel.lane and i not in kernel.single]


def shared_rows(product: Product) -> list[Iter]:
    """The free loops beside the lanes that the lane operand varies with: batches of products."""
    wide = [load for load in product.loads if product.lane in load]
    return [i for i in rows_of(product.kernel) if all(i in load for load in wide)]


def turns(kernel: Kernel, iter: Iter) -> int | None:
    """The most turns of a reduced loop in a unit, or in a part, if they are known."""
    size = iter.size.constant
    return -(-size // PARTS) if size is not None and iter in kernel.parts else size


def local(kernel: Kernel, blocks: Blocks, iter: Iter) -> Affine:
    """The index of a loop, counted from where the unit or the chunk begins in it."""
    cut = iter in kernel.units or iter in blocks.chunks
    return at(iter) - at(blocks.starts[iter]) if cut else at(iter)
