"""The order of the data: a permutation of each epoch that depends on the seed and the epoch alone.

Row i gets the i-th 64-bit number of a Philox 4x64-10 stream (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", 2011) keyed by seed and purpose, with the epoch in its counter; rows
are sorted by their numbers. Only integers are compared, so every machine finds the same order, and
any epoch's order is known without those before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
WORD = (1 << 64) - 1
SHUFFLE, SPLIT = 1, 2
"""What a permutation is for; each purpose has its own key."""


def permutation(rows: int, seed: int, epoch: int, purpose: int = SHUFFLE) -> Array:
    """The numbers 0 to rows - 1 in the order of this seed, epoch and purpose: i64[rows]."""
    bits = np.random.Philox(
        key=np.array([seed & WORD, purpose], np.uint64),
        counter=np.array([0, 0, epoch & WORD, 0], np.uint64),
    )
    return np.argsort(bits.random_raw(rows), kind="stable")


def split(rows: int, fraction: float, seed: int) -> tuple[Array, Array]:
    """The rows for training and those for validation, each ascending."""
    order = permutation(rows, seed, 0, SPLIT)
    count = round(fraction * rows)
    return np.sort(order[count:]), np.sort(order[:count])


def batches(rows: Array, size: int, *, drop_last: bool = False) -> list[Array]:
    """The rows cut in batches of `size`; the last, smaller one is kept unless `drop_last`."""
    stop = len(rows) // size * size if drop_last else len(rows)
    return [rows[i : i + size] for i in range(0, stop, size)]


def epoch_batches(
    rows: Array, size: int, seed: int, epoch: int, *, drop_last: bool = False
) -> list[Array]:
    """The batches of a training epoch: `rows` shuffled, then cut."""
    return batches(rows[permutation(len(rows), seed, epoch)], size, drop_last=drop_last)
