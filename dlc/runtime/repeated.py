"""Many runs of programs in one native call, each on other rows of arrays in memory.

A round runs each of the programs once. Before a program runs, the rows that the round's index
names are copied to where it reads its data. The tables of all rounds are laid out once: only the
index and the clocks are written before a call.

    round 0: take data | rows of the plan     each with its own clocks and results,
    round 1: take data | rows of the plan     over the same params, arena and data
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlc.diagnostics import DlcError
from dlc.diagnostics.record import record
from dlc.reference.feeds import run_checks
from dlc.runtime import pool
from dlc.runtime.blocks import Array, address_of, aligned_bytes, aligned_words
from dlc.runtime.compiled import Entry, NativeExecutable
from dlc.runtime.job import Job
from dlc.runtime.walker import ROW_WORDS, walker
from dlc.schedule.memory import SLACK

_BARRIER, _CLAIM = 3, 9
"""The words of a row that say whether a barrier follows, and how many units are claimed at once."""


@record
class Repeatable:
    """A program, and what its runs read."""

    program: NativeExecutable
    entry: Entry
    rows: Mapping[str, Array]
    """C-contiguous arrays of which a run reads some rows, by input."""
    fixed: Mapping[str, Array]
    """What every run reads as it is."""
    clocks: Mapping[str, np.dtype[Any]]
    """The scalars that each run has its own values of."""


class _Part:
    """The tables of one program for all rounds."""

    def __init__(self, what: Repeatable, index: Array) -> None:
        rounds, count = index.shape
        sized = what.entry.sized
        self.work = sized.take(fill_nan=what.program.fill_nan)
        self.clocks = {name: np.zeros(rounds, dtype) for name, dtype in what.clocks.items()}
        self.results = {
            name: np.zeros((rounds, *sized.shapes[name]), dtype)
            for name, dtype in what.program.result_dtypes
        }
        self._taken = {n: _batch(array, count) for n, array in what.rows.items()}
        self._kept = (what, index)
        width = len(self.work.arguments)
        self._arguments = aligned_words(rounds * width).reshape(rounds, width)
        self._arguments[...] = self.work.arguments
        self._place(what)
        self._takes = aligned_words(rounds * len(what.rows) * 4).reshape(rounds, len(what.rows), 4)
        self.table = np.concatenate([self._take_rows(what, index), self._plan_rows(what)], axis=1)

    def _place(self, what: Repeatable) -> None:
        """Writes the addresses of everything that is not in the arena."""
        still = {**what.program.bound, **what.fixed, **self._taken}
        for k, buffer in enumerate(what.program.plan.buffers):
            slots = list(what.entry.sized.places.get(k, ()))
            is_output = buffer.place == "output"
            moving = self.results if is_output else self.clocks
            if not slots:
                continue
            if is_output or buffer.port in moving:
                self._arguments[:, slots] = _addresses(moving[buffer.port])[:, None]
            else:
                self._arguments[:, slots] = address_of(still[buffer.port])

    def _take_rows(self, what: Repeatable, index: Array) -> Array:
        """For each round the rows of the job that copy the data's rows."""
        rounds, count = index.shape
        table = np.zeros((rounds, len(what.rows), ROW_WORDS), np.int64)
        for k, (name, array) in enumerate(what.rows.items()):
            self._takes[:, k, 0], self._takes[:, k, 1] = address_of(array), _addresses(index)
            self._takes[:, k, 2] = address_of(self._taken[name])
            self._takes[:, k, 3] = array.nbytes // len(array)
            table[:, k, 0], table[:, k, 2] = walker().take, count
            table[:, k, _CLAIM] = count
            table[:, k, 1] = _addresses(self._takes) + k * 4 * 8
        table[:, -1:, _BARRIER] = 1
        return table

    def _plan_rows(self, what: Repeatable) -> Array:
        """For each round the rows of the plan, the last one with a barrier behind it."""
        rows = what.entry.sized.rows
        table = np.repeat(rows[None], len(self._arguments), axis=0)
        table[:, :, 1] += _addresses(self._arguments)[:, None]
        table[:, -1:, _BARRIER] = 1
        return table


class Repeated:
    """Runs of the same programs again and again; one call at a time."""

    def __init__(self, programs: Sequence[Repeatable], rounds: int, count: int) -> None:
        """Calls of at most so many rounds, each on `count` rows."""
        self.rounds = rounds
        self._index = np.zeros((rounds, count), np.int64)
        self._parts = [_Part(what, self._index) for what in programs]
        tables = [part.table for part in self._parts]
        self._table = np.ascontiguousarray(np.concatenate(tables, axis=1))
        self._job = Job(address_of(self._table), rounds * self._table.shape[1])

    def run(
        self, index: Array, clocks: Sequence[Mapping[str, Array]], threads: int
    ) -> list[Mapping[str, Array]]:
        """The results of each program, of every round; they are written over by the next call.

        `index` [rounds, count] names the rows; `clocks` has an array [rounds] for each clock.
        """
        rounds = len(index)
        self._index[:rounds] = index
        for part, given in zip(self._parts, clocks, strict=True):
            for name, cells in part.clocks.items():
                cells[:rounds] = given[name]
        self._job.set_rows(address_of(self._table), rounds * self._table.shape[1])
        pool.run_job(self._job, threads)
        return [part.results for part in self._parts]


def repeatable(
    program: NativeExecutable,
    rows: Mapping[str, Array],
    fixed: Mapping[str, Array],
    clocks: Mapping[str, np.dtype[Any]],
    count: int,
) -> Repeatable | None:
    """The program as it runs on `count` rows; None if it has not yet, or its checks fail."""
    feeds = {name: array[:count] for name, array in rows.items()} | dict(fixed)
    feeds |= {name: np.zeros((), dtype) for name, dtype in clocks.items()}
    entry = program.entry_of(feeds)
    if entry is None or program.half or not entry.sized.rows.size:
        return None
    checks = [c for c in program.range_checks if c.input in rows or c.input in fixed]
    try:
        run_checks(checks, {**rows, **fixed}, entry.sized.sizes)
    except DlcError:
        return None
    return Repeatable(program, entry, rows, fixed, clocks)


def _batch(array: Array, count: int) -> Array:
    """Memory for `count` rows of the array; kernels may read past its end."""
    size = array.nbytes // len(array) * count
    return aligned_bytes(size + SLACK, 0)[:size]


def _addresses(array: Array) -> Array:
    """The addresses of the items along the first axis."""
    stride = array.nbytes // max(1, len(array))
    return address_of(array) + stride * np.arange(len(array), dtype=np.int64)
