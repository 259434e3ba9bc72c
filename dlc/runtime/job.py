"""What a pool runs: a table of rows, with the words that its threads share."""

from __future__ import annotations

import numpy as np

from dlc.runtime.blocks import Array, address_of, aligned_words
from dlc.runtime.walker import JOB_SETTLED, JOB_TAKEN, JOB_THREADS, JOB_VERSION, JOB_WORDS, walker

_ROWS, _COUNT, _PROFILE, _SPIN, _CLAIMS, _STRIDE = range(6)
_LINE = 8
"""Words of a cache line: threads claim in lines of their own."""


class Job:
    """Rows to run, one run at a time. `address` is what native code is given.

    Runs on memory that others may want too take the job before and leave it behind them.
    """

    def __init__(self, address: int, count: int) -> None:
        """`count` rows at an address, which stay there."""
        self._words = aligned_words(JOB_WORDS)
        self._most = -(-max(1, count) // _LINE) * _LINE
        self._turns = -1
        self._claims = np.empty(0, np.int64)
        self.address = address_of(self._words)
        self.set_rows(address, count)

    def set_rows(self, address: int, count: int) -> None:
        """The rows to run from now on: no more than there were at first."""
        self._words[_ROWS], self._words[_COUNT] = address, count

    def set_profile(self, table: Array | None) -> None:
        """Where times are added: int64 [threads, rows, 2] nanoseconds of work and waiting."""
        self._words[_PROFILE] = 0 if table is None else address_of(table)

    def ready(self, threads: int, turns: int) -> None:
        """Before a run on several threads, which spin so many turns at barriers."""
        if len(self._claims) < threads * self._most:
            self._claims = aligned_words(threads * self._most)
            self._words[_CLAIMS], self._words[_STRIDE] = address_of(self._claims), self._most
        self._words[JOB_THREADS] = threads
        if turns != self._turns:
            self._words[_SPIN] = self._turns = turns

    def take(self) -> bool:
        """Takes the job, if nobody has it. Its addresses are then taken to be anybody's."""
        got = bool(walker().seize(self.address, JOB_TAKEN))
        if got:
            self._words[JOB_SETTLED] = 0
        return got

    def leave(self) -> None:
        """After a run."""
        self._words[JOB_TAKEN] = 0

    @property
    def version(self) -> int:
        """Of the weights that the rows ran on that run once for all calls; 0 if that is unknown."""
        return int(self._words[JOB_VERSION])

    @version.setter
    def version(self, version: int) -> None:
        self._words[JOB_VERSION] = version
