"""Which stores go past the caches, if there is much to store.

A store reads the line that it changes, unless whole lines are written at once to memory. That is
a third of the traffic of a map; it pays for arrays that no cache would hold until they are read.
"""

from __future__ import annotations

from dlc.graph import ITEM_BYTES
from dlc.schedule.index import Affine, Iter
from dlc.schedule.kernel import Buffer, Kernel, Nest, Store
from dlc.schedule.tile import LINE, accesses

FAR = 32 << 20
"""Bytes of an array that leaves the caches."""
LEAST = 16
"""Bytes that a processor can store so."""


def streamed(kernel: Kernel, nest: Nest, lanes: int) -> list[Buffer]:
    """The arrays that a nest alone stores, in whole vectors at aligned places, and none here reads.

    Not where a map sums: its results are few. Of a product, results that are written row by row.
    """
    sums = kernel.contraction and nest is kernel.nests[0]
    body = nest.after if sums else [*nest.body, *nest.after]
    stores = [s for s in body if isinstance(s, Store)]
    if len(stores) < len(body) or (nest.after and not sums):
        return []
    others = [n for n in kernel.nests if n is not nest]
    near = {a.buffer for a in accesses(kernel) if not a.store or a.nest in others}
    near |= kernel.chain.read if kernel.chain is not None else set()
    return [
        s.buffer
        for s in stores
        if s.buffer not in near
        and not s.buffer.halo
        and not s.add
        and is_far(s.buffer)
        and _whole(kernel, nest, s, lanes)
    ]


def _whole(kernel: Kernel, nest: Nest, store: Store, lanes: int) -> bool:
    """Whether vectors are aligned, and neighbours write the rest of their lines."""
    buffer, line = store.buffer, LINE // ITEM_BYTES[store.buffer.dtype]
    if kernel.lane is None or not LEAST <= ITEM_BYTES[buffer.dtype] * lanes <= LINE:
        return False
    if not kernel.contraction:
        return _aligned(store.offset, kernel.lane, lanes) and _lines(kernel, nest, buffer, lanes)
    tiles = kernel.outer[-1] == kernel.lane and kernel.tile[kernel.lane] % line == 0
    return tiles and _aligned(store.offset, kernel.lane, line)


def _aligned(offset: Affine, lane: Iter, count: int) -> bool:
    """Whether what is stored begins at so many elements, in an array that begins at a line."""
    rest = [k for atom, k in offset.terms if atom != lane]
    known = [k.constant for k in (*rest, offset.const)]
    steps = [k for atom, k in offset.terms if atom == lane]
    return [k.constant for k in steps] == [1] and all(
        k is not None and not k % count for k in known
    )


def _lines(kernel: Kernel, nest: Nest, buffer: Buffer, lanes: int) -> bool:
    """Whether the next store of an array is to the rest of the same line."""
    assert kernel.lane is not None
    loops = [*kernel.units, *kernel.serial, *nest.free]
    wide = kernel.step(kernel.lane, lanes) * ITEM_BYTES[buffer.dtype] >= LINE
    return wide or loops[-1:] == [kernel.lane]


def few(buffer: Buffer) -> int:
    """So many elements of an array, and more, leave the caches."""
    return FAR // ITEM_BYTES[buffer.dtype]


def is_far(buffer: Buffer) -> bool:
    """Whether an array may be so large."""
    count = buffer.elements.constant
    return count is None or count >= few(buffer)
