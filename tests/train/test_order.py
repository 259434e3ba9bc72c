"""The order of the data."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.train.order import batches, epoch_batches, permutation, split


@pytest.mark.parametrize("rows", [0, 1, 2, 17, 1000])
@pytest.mark.parametrize("seed", [0, 1, -1, 2**70])
def test_permutation_is_one(rows, seed):
    assert np.array_equal(np.sort(permutation(rows, seed, 3)), np.arange(rows))


def test_known_answer():
    """The same numbers on every machine and with every version of NumPy."""
    assert permutation(10, 0, 1).tolist() == KNOWN


KNOWN = [4, 3, 0, 1, 5, 9, 6, 2, 8, 7]


def test_depends_on_all():
    first = permutation(100, 1, 1)
    assert np.array_equal(first, permutation(100, 1, 1))
    for other in (permutation(100, 2, 1), permutation(100, 1, 2), permutation(100, 1, 1, 2)):
        assert not np.array_equal(first, other)


def test_uniform():
    """Each row is first about equally often."""
    firsts = np.bincount([permutation(5, 0, e)[0] for e in range(2000)], minlength=5)
    assert np.all(np.abs(firsts - 400) < 5 * np.sqrt(400))


def test_batches():
    rows = np.arange(10)
    assert [len(b) for b in batches(rows, 4)] == [4, 4, 2]
    assert [len(b) for b in batches(rows, 4, drop_last=True)] == [4, 4]
    assert [len(b) for b in batches(rows, 5)] == [5, 5]
    assert batches(rows[:0], 4) == []
    shuffled = np.concatenate(epoch_batches(rows * 2, 4, 0, 1))
    assert np.array_equal(np.sort(shuffled), rows * 2)


def test_split():
    train, held = split(100, 0.1, 5)
    assert len(held) == 10
    assert np.array_equal(np.sort(np.concatenate([train, held])), np.arange(100))
    assert not np.array_equal(held, split(100, 0.1, 6)[1])
