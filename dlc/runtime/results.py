"""Arrays for the results of a program's runs.

A large new array costs more than a map over it: the system clears its pages one by one. So memory
of large results that nobody holds any more is used again. It begins where vectors are aligned.
"""

from __future__ import annotations

import sys
from functools import partial
from math import prod
from typing import Any

import numpy as np

from dlc.runtime.blocks import ALIGNMENT, Array, address_of
from dlc.runtime.locks import Lock

LARGE = 1 << 22
"""Bytes of a result whose memory is kept; the others come from the heap of the process."""
KEPT = 2
"""The most blocks of a result: of the run before, and of this one."""


def _holders(blocks: list[Array], k: int) -> int:
    return sys.getrefcount(blocks[k])


_NOBODY = _holders([np.empty(1, np.uint8)], 0)
"""What is counted where only the list holds a block."""
_COUNTED = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()


class Results:
    """The memory of large results of one program: arrays hold it, and views of them."""

    def __init__(self) -> None:
        self._blocks: dict[str, list[Array]] = {}
        self._lock = Lock()

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array for a result, of whatever values."""
        size = prod(shape) * dtype.itemsize
        if size < LARGE or not _COUNTED:
            return np.empty(shape, dtype)
        block = self._block(name, size + ALIGNMENT)
        start = -address_of(block) % ALIGNMENT
        return block[start : start + size].view(dtype).reshape(shape)

    def maker(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """What makes such arrays when it is called with a shape and a dtype."""
        large = prod(shape) * dtype.itemsize >= LARGE
        return partial(self.array, name) if large and _COUNTED else np.empty

    def _block(self, name: str, size: int) -> Array:
        with self._lock:
            kept = [block for block in self._blocks.get(name, ()) if len(block) == size]
            self._blocks[name] = kept
            for k in range(len(kept)):
                if _holders(kept, k) == _NOBODY:
                    return kept[k]
            new = np.empty(size, np.uint8)
            self._blocks[name] = [*kept[1 - KEPT :], new]
            return new
