"""Philox 4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlc.ops.late import Late
from dlc.ops.op import Array

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_LOW = 0xFFFFFFFF
BLOCK = 8192
"""Elements at a time: what NumPy computes in between stays in the caches."""


def philox(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, ...]:
    """Four words for each counter. Words are uint64 arrays of values below 2**32."""
    c0, c1, c2, c3 = [word.copy() for word in counter]
    p0, p1 = np.empty_like(c0), np.empty_like(c0)
    k0, k1 = key
    for _ in range(ROUNDS):  # in place: fresh memory costs more than the arithmetic
        np.multiply(c0, np.uint64(MULTIPLIERS[0]), out=p0)
        np.multiply(c2, np.uint64(MULTIPLIERS[1]), out=p1)
        _mixed(p1, c1, k0, out=c0)
        _mixed(p0, c3, k1, out=c2)
        np.bitwise_and(p1, np.uint64(_LOW), out=c1)
        np.bitwise_and(p0, np.uint64(_LOW), out=c3)
        k0 = (k0 + WEYL[0]) & _LOW
        k1 = (k1 + WEYL[1]) & _LOW
    return c0, c1, c2, c3


def _mixed(product: Array, word: Array, key: int, out: Array) -> None:
    np.right_shift(product, np.uint64(32), out=out)
    np.bitwise_xor(out, word, out=out)
    np.bitwise_xor(out, np.uint64(key), out=out)


def uniform_words(seed: int, step: int, elements: Array, place: int, word: int) -> Array:
    """float32 in (0, 1) for each element: 23 bits of a word, plus a half, over 2**23."""
    flat = elements.reshape(-1)
    drawn = np.empty(len(flat), np.float32)
    key = seed & _LOW, (seed >> 32) & _LOW
    steps, places = np.uint64(step & _LOW), np.uint64(place & _LOW)
    for begin in range(0, len(flat), BLOCK):
        some = flat[begin : begin + BLOCK]
        low = some & _LOW
        high = (some >> 32) ^ np.uint64((place >> 32) & _LOW)
        counter = low, high, np.full_like(low, steps), np.full_like(low, places)
        drawn[begin : begin + BLOCK] = philox(counter, key)[word] >> np.uint64(9)
    return ((drawn + np.float32(0.5)) * np.float32(2.0**-23)).reshape(elements.shape)
