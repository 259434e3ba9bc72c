"""What a unit of a map or a sum asks for ahead.

Where a unit goes through its row several times, as a softmax does, the first time waits for memory
and the others leave it idle. So the second asks for the row of the next unit.
"""

from __future__ import annotations

from dlc.graph import ITEM_BYTES, Size
from dlc.schedule.index import Affine, Iter
from dlc.schedule.kernel import Buffer, Kernel, Nest
from dlc.schedule.tile import LINE, accesses

ROW = 1 << 10, 1 << 16
"""Bytes of rows for which this pays, from and to: shorter ones come by themselves."""


def asked(kernel: Kernel, nest: Nest, lanes: int) -> list[tuple[Buffer, Affine]]:
    """The lines of the next unit that a turn of a nest's innermost loop asks for."""
    lane, outer = kernel.lane, _unit_loop(kernel)
    if lane is None or outer is None or kernel.contraction:
        return []
    found = []
    for buffer, offset in _read_again(kernel, nest):
        distance = offset.of(outer).constant
        item = ITEM_BYTES[buffer.dtype]
        along = offset.step(lane, lanes) == Size.of(1)
        if distance is None or not along or not ROW[0] <= distance * item < ROW[1]:
            continue
        there = offset + distance
        found += [
            (buffer, there + n)
            for n in range(0, max(1, kernel.step(lane, lanes)), max(1, LINE // item))
        ]
    return found


def _unit_loop(kernel: Kernel) -> Iter | None:
    """The loop that goes from a unit to the next."""
    outer = kernel.serial[-1:] or kernel.units[-1:]
    if not outer or outer[0] == kernel.lane or outer[0] in kernel.tile:
        return None
    return outer[0]


def _read_again(kernel: Kernel, nest: Nest) -> list[tuple[Buffer, Affine]]:
    """What a nest is the second to read, of what other kernels made."""
    every = list(accesses(kernel))
    own = {a.buffer for a in every if a.store}
    near = {a.buffer for a in every if kernel.chain is not None and a.buffer.place == "arena"}
    passes: dict[tuple[Buffer, Affine], list[Nest]] = {}
    for a in every:
        if not a.store and a.buffer not in own | near:
            passes.setdefault((a.buffer, a.offset), []).append(a.nest)
    return [read for read, nests in passes.items() if len(nests) > 1 and nests[1] is nest]
