"""Copies of a unit's own, where an operand lies so that the caches serve it badly."""

from __future__ import annotations

from dataclasses import replace
from math import gcd, prod

from dlc.graph import Size
from dlc.schedule.facts import estimate
from dlc.schedule.index import Affine, Iter, Rem, at
from dlc.schedule.kernel import Blocks, Buffer, Expr, Kernel, Staged
from dlc.schedule.product import WIDEST, Product, local, rows_of, shared_rows, turns
from dlc.schedule.register_tile import row_by_row
from dlc.schedule.tile import CROWDED, LINE, stride

STAGED_ROWS = 16
"""Staging pays when so many rows use each element."""
SETS, WAYS = 64, 4
"""The first cache: its sets, and how many lines of each are left beside the lane operand."""


def stage(product: Product, blocks: Blocks) -> None:
    """Choose the copies of a unit, panels of the lane operand and rows of the other one."""
    kernel, lane, lanes = product.kernel, product.lane, product.target.lanes
    (statement,) = kernel.nests[0].body
    rows = prod(min(blocks.extent[i], estimate(i.size)) for i in rows_of(kernel))
    for load in statement.expr.args:
        if load.op != "load" or load.tests or load.buffer is None or rows < STAGED_ROWS:
            continue
        reduced = [i for i in product.reduced if i in load.deps]
        outer = [i for i in kernel.outer if i in load.deps]
        if not reduced or any(len(a.iters) != 1 for a in _terms(load.offset)):
            continue
        if outer == [lane]:
            near = stride(load.offset, reduced[-1]) <= WIDEST * lanes or row_by_row(product)
            if not near and stride(load.offset, lane, lanes) == 1:
                blocks.staged += (_panel(kernel, blocks, load, reduced),)
        elif blocks.chunks and lane not in outer and blocks.extent[lane] > kernel.tile[lane]:
            staged = _rows(product, blocks, load, [*outer, *reduced])
            blocks.staged += () if staged is None else (staged,)
    copied = [staged.load for staged in blocks.staged]
    blocks.ahead = tuple(
        a for a in statement.expr.args if a not in copied and _read_once(product, blocks, a)
    )


def _read_once(product: Product, blocks: Blocks, load: Expr) -> bool:
    """Whether steps of a sum over a batch go through new lines, which few tiles read.

    There is one tile along the lanes, and no taps read them again.
    """
    kernel, lane, reduced = product.kernel, product.lane, product.reduced
    wide = blocks.extent[lane] > kernel.tile[lane] or lane in kernel.units
    if load.op != "load" or not kernel.parts or not reduced or wide or lane in load.deps:
        return False
    if shared_rows(product):  # tiles of an image, which another kernel just made
        return False
    rows = {i for i in kernel.outer if i != lane} - kernel.single
    steps = {i: load.offset.step(i, 1) for i in (*reduced, *rows)}
    inner, taps = steps[reduced[-1]], {steps[i] for i in reduced} & {steps[i] for i in rows}
    apart = 0 if inner is None else inner.constant or 0
    return rows <= load.deps and not taps and 4 * apart >= LINE


def _terms(offset: Affine) -> list[Affine]:
    return [at(atom) for atom, _ in offset.terms]


def _panel(kernel: Kernel, blocks: Blocks, load: Expr, reduced: list[Iter]) -> Staged:
    """A panel of the lane operand as wide as the tile: a row for each step of the reduced loops."""
    assert kernel.lane is not None
    lane, depth = kernel.lane, 1
    width = kernel.tile[lane]
    where = Affine()
    for i in reversed(reduced):
        where = where + local(kernel, blocks, i) * (depth * width)
        depth *= blocks.chunks.get(i, i.size.constant or 1)
    column = at(Rem(local(kernel, blocks, lane), Size.of(width)))
    copy = _copy(load, f"stage{len(blocks.staged)}", where + column, depth * width)
    return Staged(load, copy, lane, tuple(reduced))


def _rows(product: Product, blocks: Blocks, load: Expr, loops: list[Iter]) -> Staged | None:
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
    where = local(kernel, blocks, along)
    rest = [i for i in loops if i != along]
    for iter in reversed(rest):
        if iter in kernel.outer and width * 4 % CROWDED == 0:
            width += lanes
        where = where + local(kernel, blocks, iter) * width
        width *= known[iter]
    copy = _copy(load, f"stage{len(blocks.staged)}", where, width)
    return Staged(load, copy, along, tuple(rest))


def _counted(kernel: Kernel, blocks: Blocks, iter: Iter) -> int | None:
    """The turns of a loop in a unit and a chunk, at most."""
    return blocks.extent.get(iter) or blocks.chunks.get(iter) or turns(kernel, iter)


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
