"""Whether a short program runs faster alone than on the pool, which may be asleep.

A pool that ran something just now still looks for work; after a pause its threads sleep, and
waking them costs more than many a program. So runs after a pause and runs in quick succession are
timed and judged apart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from dlc.runtime import pool
from dlc.runtime.workspace import Workspace

SMALL_SECONDS = 1e-3
"""Runs below this are timed on one thread too, and go on with what was faster."""
PAUSE_SECONDS = 0.8 * pool.IDLE_SECONDS
"""A run that begins later than this after the last one finds the pool asleep."""
RAPID_RUNS = 8
"""After so many runs without a pause the pool is worth waking."""
TRIALS = 6
JUDGED_RUNS = 128, 1024
"""After so many runs all is judged anew: what else the machine had to do may be over. Twice as many
each time that the judgement stays, up to the second."""
WORTH = 0.9
"""The pool has to take less than this share of the time of one thread."""


@dataclass(slots=True)
class Trial:
    """Runs on the pool, then alone, until it is known which is faster."""

    alone: bool = False
    """How the next run is to be made."""
    over: bool = False
    pooled: list[float] = field(default_factory=list[float])
    single: list[float] = field(default_factory=list[float])

    def told(self, seconds: float, *, alone: bool) -> None:
        """Takes the time of a run."""
        if self.over:
            return
        (self.single if alone else self.pooled).append(seconds)
        if len(self.single) >= TRIALS:
            self.alone = min(self.pooled) >= WORTH * min(self.single)
            self.over = True
        elif len(self.pooled) >= TRIALS:
            self.alone = min(self.pooled) < SMALL_SECONDS
            self.over = not self.alone


@dataclass(slots=True)
class Choice:
    """How the runs of one program for certain sizes are made."""

    threads: int = 0
    """What the findings are for."""
    alone: bool = False
    """Whether every run goes alone."""
    pooled: bool = False
    """Whether every run goes to the pool."""
    paused: Trial = field(default_factory=Trial)
    rapid: Trial = field(default_factory=Trial)
    left: int = 0
    """Runs until all is judged anew."""
    _runs: int = 0
    """How many it were the last time."""
    _judged: tuple[bool, bool] | None = None
    """What was found the last time."""
    _streak: int = 0
    _ended: float = 0.0

    def run(self, work: Workspace, threads: int) -> None:
        """Runs the job of a workspace on up to `threads` threads."""
        self.left -= 1
        if threads != self.threads or self.left < 0:
            self._begin(threads)
        if self.alone:
            pool.run_job(work.job, 1)
        elif self.pooled:
            pool.run_job(work.job, threads)
        else:
            self._timed(work, threads)

    def _begin(self, threads: int) -> None:
        first, most = JUDGED_RUNS
        found = self.paused.alone, self.rapid.alone
        stays = threads == self.threads and found == self._judged
        self._runs = min(2 * self._runs, most) if stays else first
        self.left, self._judged = self._runs, found
        self.paused, self.rapid = Trial(), Trial()
        self.alone, self.pooled, self.threads = threads == 1, False, threads

    def _timed(self, work: Workspace, threads: int) -> None:
        start = time.perf_counter()
        self._streak = self._streak + 1 if start - self._ended < PAUSE_SECONDS else 0
        trial = self.rapid if self._streak > RAPID_RUNS else self.paused
        alone = trial.alone
        pool.run_job(work.job, 1 if alone else threads)
        self._ended = time.perf_counter()
        if not 0 < self._streak <= RAPID_RUNS:
            trial.told(self._ended - start, alone=alone)
            self.alone = self.rapid.over and self.rapid.alone
            self.pooled = self.paused.over and not self.paused.alone
