"""Many batches of training in one native call, where the data is in memory.

Programs, params and rows are those of single batches, so every bit is the same. A call takes some
50 ms at most, so that signals and callbacks do not wait.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlc.runtime import pool
from dlc.runtime.choice import Trial
from dlc.runtime.repeated import Repeatable, Repeated
from dlc.train.data.dataset import Dataset, Feed
from dlc.train.programs import StepRunner
from dlc.train.state import TrainState

Array = np.ndarray[Any, Any]
CALL_SECONDS = 0.05
"""About how long a call may take."""
FEWEST, MOST = 8, 256
"""Batches a call: with fewer there is little to gain."""
SINGLE_BATCHES = 3
"""Before the first call: they show how long a batch takes."""
CONVERTED_BYTES = 1 << 28
"""Columns up to this size are converted for good; larger ones batch by batch."""


class Chunks:
    """Runs the steps of a recipe on many batches a call. Without `allowed` there are no calls."""

    def __init__(
        self, runners: Sequence[StepRunner], data: Dataset, state: TrainState, *, allowed: bool
    ) -> None:
        self._runners, self._data, self._state = runners, data, state
        self._possible = allowed and all(runner.step.every == 1 for runner in runners)
        self._times: list[float] = []
        self._singly = 0
        """So many batches are to be run singly, whatever else is said."""
        self._columns: dict[int, Array] = {}
        """Whole columns as the steps read them, by the feed's identity."""
        self._repeated: Repeated | None = None
        self._trial = Trial()
        self._kept = {name: np.empty_like(array) for name, array in self._arrays().items()}

    def count(self, left: int) -> int:
        """How many of the next `left` batches, all of one size, to run in one call; 0 for none."""
        if self._singly or not self._possible or len(self._times) < SINGLE_BATCHES:
            return 0
        fits = int(CALL_SECONDS / self._times[-1])
        if fits < FEWEST:
            return 0
        most = self._repeated.rounds if self._repeated else MOST
        if self._threads() > 1 and not self._trial.over:
            most = min(most, FEWEST)
        return min(left, fits, most)

    def told(self, seconds: float) -> None:
        """Takes the time of a batch of the usual size that was run singly."""
        self._singly = max(0, self._singly - 1)
        self._times = [*self._times[: SINGLE_BATCHES - 1], seconds]

    def run(self, rows: Array, epoch: int) -> bool:
        """Trains on rows [batches, batch]; False if nothing was done, and they have to go singly.

        So it is where a loss is not finite: it has to show with the batch and the state before it.
        """
        repeated = self._made(rows.shape[1])
        if repeated is None:
            self._possible = False
            return False
        self._copy(self._arrays(), self._kept)
        clocks = [self._clocks(runner, len(rows), epoch) for runner in self._runners]
        results = self._timed(repeated, rows, clocks)
        batches = [[_at(result, k) for result in results] for k in range(len(rows))]
        if any(self._bad(batch) for batch in batches):
            self._copy(self._kept, self._arrays())
            self._singly = len(rows)
            return False
        for batch in batches:
            for runner, outputs in zip(self._runners, batch, strict=True):
                self._state.counters[runner.step.name] += 1
                runner.metrics.add(self._state.accumulators, outputs)
        self._state.batches += len(rows)
        return True

    def _timed(
        self, repeated: Repeated, rows: Array, clocks: Sequence[Mapping[str, Array]]
    ) -> Sequence[Mapping[str, Array]]:
        threads = self._threads()
        self._trial.think()
        start = time.perf_counter_ns()
        results = repeated.run(rows, clocks, 1 if self._trial.alone else threads)
        each = (time.perf_counter_ns() - start) // len(rows)
        self._trial.told(each)
        self._times[-1] = each * 1e-9
        return results

    def _threads(self) -> int:
        return self._runners[0].threads or pool.threads()

    def _made(self, count: int) -> Repeated | None:
        """The programs laid out for many runs on so many rows, if that can be."""
        if self._repeated is None:
            found = [self._repeatable(runner, count) for runner in self._runners]
            programs = [program for program in found if program is not None]
            if len(programs) < len(found):
                return None
            rounds = min(MOST, int(CALL_SECONDS / min(self._times)))
            self._repeated = Repeated(programs, rounds, count)
        return self._repeated

    def _repeatable(self, runner: StepRunner, count: int) -> Repeatable | None:
        rows: dict[str, Array] = {}
        fixed: dict[str, Array] = {}
        for feed in self._data.feeds[runner.step.name]:
            if not _readable(feed):
                return None
            if id(feed) not in self._columns:
                self._columns[id(feed)] = np.ascontiguousarray(feed.values, feed.dtype)
            values = self._columns[id(feed)]
            (fixed if feed.row_dim is None else rows)[feed.name] = values
        return runner.repeatable(rows, fixed, count)

    def _clocks(self, runner: StepRunner, count: int, epoch: int) -> Mapping[str, Array]:
        first = self._state.counters[runner.step.name] + 1
        same = np.ones(count, np.int64)
        steps = np.arange(first, first + count)
        return {"seed": same * self._state.seed, "step": steps, "epoch": same * epoch}

    def _bad(self, batch: Sequence[Mapping[str, Array]]) -> bool:
        pairs = zip(self._runners, batch, strict=True)
        return any(runner.metrics.bad_loss(outputs) is not None for runner, outputs in pairs)

    def _arrays(self) -> Mapping[str, Array]:
        return self._state.arrays if self._possible else {}

    @staticmethod
    def _copy(source: Mapping[str, Array], target: Mapping[str, Array]) -> None:
        for name, array in source.items():
            np.copyto(target[name], array)


def _at(result: Mapping[str, Array], round: int) -> dict[str, Array]:
    return {name: values[round] for name, values in result.items()}


def _readable(feed: Feed) -> bool:
    """Whether the rows lie one behind the other as the parameter has them, or soon can."""
    same = feed.values.dtype == feed.dtype and feed.values.flags.c_contiguous
    small = feed.values.size * feed.dtype.itemsize <= CONVERTED_BYTES
    return feed.row_dim in (None, 0) and (same or small)
