"""Threads claim work piece by piece, and take over what others have not begun."""

import threading

import numpy as np
import pytest

from dlc.runtime import native, pool
from dlc.runtime.blocks import address_of, aligned_words
from dlc.runtime.job import Job
from dlc.runtime.native import LOADER, assembled
from dlc.runtime.walker import ROW_WORDS, walker

COUNTING = """
define void @count(i64 %low, i64 %high, ptr %args) nounwind {
entry:
  %counts = load ptr, ptr %args
  br label %head
head:
  %i = phi i64 [%low, %entry], [%next, %one]
  %some = icmp slt i64 %i, %high
  br i1 %some, label %one, label %exit
one:
  %at = getelementptr i64, ptr %counts, i64 %i
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at
  %next = add i64 %i, 1
  br label %head
exit:
  ret void
}
"""


@pytest.fixture(scope="module")
def kernel():
    return LOADER.address(assembled(COUNTING), "count")


def test_native_text_is_assembled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path))
    code = assembled(COUNTING)
    monkeypatch.setattr(native.llvm, "parse_assembly", None)
    assert assembled(COUNTING) == code
    (entry,) = tmp_path.rglob("native/*")
    entry.write_bytes(b"damaged")
    with pytest.raises(TypeError):
        assembled(COUNTING)


class Counted:
    """A job of rows that count how often each of their units runs."""

    def __init__(self, kernel, rows):
        """`rows`: units, whether a barrier follows, units of a claim, units side by side."""
        self.counts = [np.zeros(units, np.int64) for units, *_ in rows]
        self.args = aligned_words(len(rows))
        self.table = np.zeros((len(rows), ROW_WORDS), np.int64)
        for k, (units, barrier, *claimed) in enumerate(rows):
            self.args[k] = address_of(self.counts[k]) if units else 0
            self.table[k, :4] = kernel, address_of(self.args) + 8 * k, units, barrier
            self.table[k, 9 : 9 + len(claimed)] = claimed
        self.job = Job(address_of(self.table), len(rows))


def test_every_unit_runs_once(kernel):
    rng = np.random.default_rng(0)
    for _ in range(60):
        rows = [
            (int(rng.integers(0, 60)), bool(rng.random() < 0.5), *map(int, rng.integers(1, 9, 2)))
            for _ in range(rng.integers(1, 9))
        ]
        counted = Counted(kernel, rows)
        for runs, threads in enumerate((2, 3, 5, 1, 4, 2), 1):
            pool.run_job(counted.job, threads)
            for found in counted.counts:
                assert (found == runs).all()


def test_a_thread_takes_over_what_another_has_not_begun(kernel):
    counted = Counted(kernel, [(40, False, 3), (7, True, 2)])
    counted.job.ready(2, 0)
    early = threading.Thread(target=walker().walk, args=(counted.job.address, 0, 2))
    early.start()
    while not all((found == 1).all() for found in counted.counts):
        assert early.is_alive(), "it ended without the other thread, and units are left"
    walker().walk(counted.job.address, 1, 2)
    early.join()
    assert all((found == 1).all() for found in counted.counts)


def test_rows_before_no_barrier_are_left_to_their_owner(kernel):
    counted = Counted(kernel, [(40, False, 40)])
    counted.job.ready(2, 0)
    walker().walk(counted.job.address, 0, 2)
    assert counted.counts[0].sum() == 20
