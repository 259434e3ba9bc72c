"""Memory that native code works on: aligned blocks, and the addresses of arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ALIGNMENT = 64
_seen: Callable[[Any], Any] = ctypes.c_char.from_buffer
_address = ctypes.addressof


def address_of(array: Array) -> int:
    """The address of the first element of a C-contiguous array."""
    try:
        return _address(_seen(array))  # the quickest way by far
    except (TypeError, ValueError):  # read only, or empty
        return int(array.ctypes.data)


def aligned_bytes(count: int, fill: int | None = None) -> Array:
    """`count` bytes from a 64-byte boundary on; all `fill`, or as they come for None."""
    block = np.empty(count + ALIGNMENT, np.uint8)
    start = -address_of(block) % ALIGNMENT
    found = block[start : start + count]
    if fill is not None:
        found[...] = fill
    return found


def aligned_words(count: int) -> Array:
    """`count` 64-bit words of 0 from a 64-byte boundary on."""
    return aligned_bytes(count * 8, 0).view(np.int64)


def pack_bf16(array: Array) -> Array:
    """float32 values that bfloat16 can hold as its 16-bit patterns."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return (bits >> 16).astype(np.uint16)


def unpack_bf16(bits: Array, into: Array) -> None:
    """Writes the values of bfloat16 patterns into a float32 array of the same shape."""
    into[...] = (bits.astype(np.uint32) << 16).view(np.float32).reshape(into.shape)
