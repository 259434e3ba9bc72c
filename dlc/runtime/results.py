"""Arrays for the results of a program's runs.

A large new array costs more than a map over it: the system clears its pages one by one. So memory
of large results that nobody holds any more is used again. It begins in the middle of a page, at a
line. A processor tells a load from an unfinished store by their places in a page first: loads wait
for the stores of a result that is a little behind its operand there, as arrays near the start of
their pages are.
"""

from __future__ import annotations

import sys
from functools import partial
from math import prod
from typing import Any

import numpy as np

from dlc.runtime.blocks import Array, address_of

LARGE = 1 << 22
"""Bytes of a result whose memory is kept; the others come from the heap of the process."""
KEPT = 2
"""The most blocks of a result: of the run before, and of this one."""
MOST = 1 << 28
"""The most bytes of these blocks together."""
PAGE = 1 << 12
START = PAGE // 2
"""Where in a page a result begins."""


def _holders(blocks: list[Array]) -> int:
    return sys.getrefcount(blocks[0])


def _counts() -> bool:
    """Whether views of a block show in the count of its holders."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    block = [np.empty(2, np.uint8)]
    alone = _holders(block)
    view = block[0][1:].view(np.int8)
    held = _holders(block)
    del view
    return alone == _holders(block) == _NOBODY < held


_NOBODY = _holders([np.empty(2, np.uint8)])
"""What is counted where only one list holds a block."""
_COUNTED = _counts()


class Results:
    """The memory of large results of one program: arrays hold it, and views of them.

    There is no lock, which an interrupt or a finalizer that calls the program would find taken:
    whoever looks at a block takes it out of the list before.
    """

    def __init__(self) -> None:
        self._blocks: dict[str, list[Array]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array for a result, of whatever values."""
        size = prod(shape) * dtype.itemsize
        if size < LARGE or not _COUNTED:
            self._blocks.pop(name, None)
            return np.empty(shape, dtype)
        block = self._block(self._blocks.setdefault(name, []), size + PAGE)
        start = (START - address_of(block)) % PAGE
        return block[start : start + size].view(dtype).reshape(shape)

    def maker(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """What makes such arrays when it is called with a shape and a dtype."""
        if prod(shape) * dtype.itemsize >= LARGE and _COUNTED:
            return partial(self.array, name)
        self._blocks.pop(name, None)
        return np.empty

    @staticmethod
    def _block(kept: list[Array], size: int) -> Array:
        for _ in range(len(kept)):
            taken = kept[:0]
            try:
                taken.append(kept.pop(0))
            except IndexError:  # another thread looks at it
                break
            if len(taken[0]) != size:
                continue
            idle = _holders(taken) == _NOBODY
            kept.append(taken[0])
            if idle:
                return taken[0]
        new = np.empty(size, np.uint8)
        kept.append(new)
        while len(kept) > min(KEPT, MOST // size):
            try:
                kept.pop(0)
            except IndexError:
                break
        return new
