"""Which stores of a map go past the caches, if there is much to store.

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

    Not where the nest sums: its results are few.
    """
    stores = [s for s in nest.body if isinstance(s, Store)]
    if kernel.contraction or len(stores) < len(nest.body) or nest.after:
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
        and _far(s.buffer)
        and _aligned(s.offset, kernel.lane, s.buffer, lanes)
        and _lines(kernel, nest, s.buffer, lanes)
    ]


def _aligned(offset: Affine, lane: Iter | None, buffer: Buffer, lanes: int) -> bool:
    """Whether all vectors of a store begin where an array that lies well has lines or vectors."""
    if lane is None or not LEAST <= ITEM_BYTES[buffer.dtype] * lanes <= LINE:
        return False
    rest = [k for atom, k in offset.terms if atom != lane]
    known = [k.constant for k in (*rest, offset.const)]
    steps = [k for atom, k in offset.terms if atom == lane]
    return [k.constant for k in steps] == [1] and all(
        k is not None and not k % lanes for k in known
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


def _far(buffer: Buffer) -> bool:
    """Whether an array may be so large."""
    count = buffer.elements.constant
    return count is None or count >= few(buffer)
