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


def philox(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, ...]:
    """Four words for each counter. Words are uint64 arrays of values below 2**32."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0 = c0 * np.uint64(MULTIPLIERS[0])
        p1 = c2 * np.uint64(MULTIPLIERS[1])
        c0, c1, c2, c3 = (
            (p1 >> 32) ^ c1 ^ np.uint64(k0), p1 & _LOW,
            (p0 >> 32) ^ c3 ^ np.uint64(k1), p0 & _LOW,
        )  # fmt: skip
        k0 = (k0 + WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def uniform_words(seed: int, step: int, elements: Array, place: int, word: int) -> Array:
    """float32 in (0, 1) for each element: 23 bits of a word, plus a half, over 2**23."""
    low, high = elements & _LOW, elements >> 32
    counter = (
        low,
        high ^ np.uint64((place >> 32) & 0xFFFFFFFF),
        np.full_like(low, step & 0xFFFFFFFF),
        np.full_like(low, place & 0xFFFFFFFF),
    )
    out = philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))[word]
    bits = (out >> np.uint64(9)).astype(np.float32)
    return (bits + np.float32(0.5)) * np.float32(2.0**-23)
