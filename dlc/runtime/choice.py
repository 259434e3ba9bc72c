"""Whether a short program runs faster alone than on the pool, which may be asleep.

A pool that ran something just now still looks for work; after a pause its threads sleep, and
waking them costs more than many a program. So runs after a pause and runs in quick succession are
timed and judged apart.

What is found lies in a table of 64-bit words, which native code reads and writes too:

    0 threads, 1 whether runs are timed, 2 when the last one ended, 3 runs since the last pause,
    4 to 21 the trial of runs after a pause, 22 to 39 that of runs in quick succession,
    40 nanoseconds that make a pause, 41 runs without a pause before they count as quick
    a trial: how runs go, how many runs until that is thought over, nanoseconds of the last 16
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from dlc.runtime import pool
from dlc.runtime.blocks import Array, aligned_words
from dlc.runtime.workspace import Workspace

SMALL_SECONDS = 1e-3
"""Runs below this are timed on one thread too, and go on with what was faster."""
PAUSE_SECONDS = 0.8 * pool.IDLE_SECONDS
"""A run that begins later than this after the last one finds the pool asleep."""
RAPID_RUNS = 8
"""After so many runs without a pause the pool is worth waking."""
TRIALS = 12
"""Runs on the pool, then alone, until it is known which is mostly faster: the first ones fill
caches, and threads that share processors with others wait for each other now and then."""
JUDGED_RUNS = 128, 1024
"""After so many runs all is judged anew: what else the machine had to do may be over. Twice as many
each time that the judgement stays, up to the second."""
WORTH = 0.9
"""The pool has to take less than this share of the time of one thread."""
UNKNOWN, ALONE, POOLED = range(3)
"""How runs go."""
_THREADS, _TIMED, _ENDED, _STREAK, _PAUSED, _RAPID, _PAUSE, _RUNS_BEFORE = 0, 1, 2, 3, 4, 22, 40, 41
_HOW, _RUNS, _TIMES = range(3)
_KEPT = 16
_FOR_EVER = 2**62


@dataclass(slots=True)
class Trial:
    """Runs on the pool, then alone, until it is known which is faster; then for long what was."""

    words: Array = field(default_factory=lambda: aligned_words(_TIMES + _KEPT))
    """Its part of the table."""
    _found: bool = True
    """Whether the present runs go as was found best."""
    _pooled: int = 0
    """The middle of the nanoseconds on the pool."""
    _lasting: int = 0
    """For how many runs the last judgement was made."""
    _judged: int = UNKNOWN

    @property
    def alone(self) -> bool:
        """How the next run is to be made."""
        return bool(self.words[_HOW] == ALONE)

    @property
    def over(self) -> bool:
        """Whether it is known which way is faster."""
        return self._found and self.words[_RUNS] > 0

    def think(self) -> None:
        """Before a run: where enough was seen, thinks over how runs go."""
        if self.words[_RUNS] > 0:
            return
        times = self.words[_TIMES + 1 :][:TRIALS]  # by what was left of a trial's runs
        least, middle = int(times.min()), int(np.sort(times)[TRIALS // 2])
        if self._found:
            self._go(POOLED, TRIALS, found=False)
        elif self.alone:
            self._judge(ALONE if self._pooled >= WORTH * middle else POOLED)
        elif least < SMALL_SECONDS * 1e9:
            self._pooled = middle
            self._go(ALONE, TRIALS, found=False)
        else:
            self._judge(POOLED)

    def told(self, nanoseconds: int) -> None:
        """Takes the time of a run."""
        self.words[_TIMES + self.words[_RUNS] % _KEPT] = nanoseconds
        self.words[_RUNS] -= 1

    def _judge(self, how: int) -> None:
        first, most = JUDGED_RUNS
        self._lasting = min(2 * self._lasting, most) if how == self._judged else first
        self._judged = how
        self._go(how, self._lasting, found=True)

    def _go(self, how: int, runs: int, *, found: bool) -> None:
        self.words[:] = 0
        self.words[_HOW], self.words[_RUNS] = how, runs
        self._found = found


@dataclass(slots=True)
class Choice:
    """How the runs of one program for certain sizes are made."""

    words: Array = field(default_factory=lambda: aligned_words(_RUNS_BEFORE + 1))
    paused: Trial = field(init=False)
    rapid: Trial = field(init=False)

    def __post_init__(self) -> None:
        self.words[_PAUSE], self.words[_RUNS_BEFORE] = int(PAUSE_SECONDS * 1e9), RAPID_RUNS
        self._begin(0)

    @property
    def alone(self) -> bool:
        """Whether runs in quick succession were found to go best alone."""
        return self.rapid.over and self.rapid.alone

    def run(self, work: Workspace, threads: int) -> None:
        """Runs the job of a workspace on up to `threads` threads."""
        if self.words[_THREADS] != threads:
            self._begin(threads)
        if threads == 1:
            pool.run_job(work.job, 1)
        else:
            self._timed(work, threads)

    def _begin(self, threads: int) -> None:
        self.words[:_PAUSE] = 0
        self.words[_THREADS], self.words[_TIMED] = threads, threads > 1
        size = _TIMES + _KEPT
        self.paused, self.rapid = (Trial(self.words[k : k + size]) for k in (_PAUSED, _RAPID))
        if threads == 1:
            self.rapid.words[_HOW], self.rapid.words[_RUNS] = ALONE, _FOR_EVER

    def _timed(self, work: Workspace, threads: int) -> None:
        start = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        rested = start - int(self.words[_ENDED]) >= self.words[_PAUSE]
        streak = 0 if rested else int(self.words[_STREAK]) + 1
        trial = self.rapid if streak > RAPID_RUNS else self.paused
        trial.think()
        pool.run_job(work.job, 1 if trial.alone else threads)
        end = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self.words[_ENDED], self.words[_STREAK] = end, streak
        if not 0 < streak <= RAPID_RUNS:
            trial.told(end - start)
