"""The threads of this process that run plans: one pool, its calling thread included.

The threads are daemon threads of Python that stay in native code without the interpreter's lock.
They spin for a while after a job, so that the next one finds them awake, and then sleep. A job
that finds the pool taken runs on its own thread alone; results never depend on the number of
threads.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import threading
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from dlc.runtime.blocks import address_of, aligned_words
from dlc.runtime.job import Job
from dlc.runtime.locks import Lock
from dlc.runtime.walker import POOL_TAKEN, POOL_WORDS, Walker, walker

IDLE_SECONDS = 120e-6
"""A thread without a job looks out for one for so long before it sleeps."""
BARRIER_SECONDS = 40e-6
"""A thread that waits for others in a job sleeps after that: they may need its processor."""
THREADS_VARIABLE = "DLC_THREADS"
_THREADS, _SPIN = 33, 34
_MEASURED_TURNS, _MEASUREMENTS = 500, 3
_JOIN_SECONDS, _LOOK_SECONDS = 1.0, 1e-3
_POOL, _WANTED = 0, 1


def available_processors() -> int:
    """The processors that this process may use: by affinity and the control group's quota."""
    count = os.cpu_count() or 1
    with contextlib.suppress(AttributeError, OSError):
        count = len(os.sched_getaffinity(0))
    quota = _quota()
    return max(1, min(count, math.ceil(quota)) if quota else count)


@lru_cache(maxsize=1)
def default_threads() -> int:
    """`DLC_THREADS` where it is a number above 0, else all available processors."""
    text = os.environ.get(THREADS_VARIABLE, "")
    if text.isdecimal() and int(text) > 0:
        return int(text)
    return _processors()


def set_threads(count: int | None) -> None:
    """How many threads later runs use that ask for no number; None is the default again.

    Raises ValueError for a number below 1.
    """
    if count is not None and count < 1:
        raise ValueError(f"{count} threads: at least one is needed")
    _STATE.wanted = count
    _STATE.words[_WANTED] = threads()


def threads() -> int:
    """How many threads a run uses that asks for no number."""
    return _STATE.wanted or default_threads()


def state_address() -> int:
    """Where native code finds the pool, or 0, and the threads of a run that asks for no number."""
    _STATE.words[_WANTED] = threads()
    return address_of(_STATE.words)


def run_job(job: Job, count: int) -> None:
    """Runs a job on `count` threads; alone if the pool is taken."""
    pool = _STATE.pool
    if count > 1 and (pool is None or pool.count != count):
        pool = _renewed(count)
    if count == 1 or pool is None:
        walker().alone(job.address)
    else:
        job.ready(count, pool.turns)
        pool.native.launch(pool.address, job.address)


@dataclass(slots=True)
class _Pool:
    """`count` - 1 threads that serve jobs."""

    count: int
    native: Walker
    turns: int
    """Of spinning at barriers."""
    block: np.ndarray = field(default_factory=lambda: aligned_words(POOL_WORDS))
    members: list[threading.Thread] = field(default_factory=list[threading.Thread])

    @property
    def address(self) -> int:
        """Of the pool's block, where its words are."""
        return address_of(self.block)

    def start(self) -> None:
        """Starts the threads. Raises RuntimeError where the system allows no more."""
        self.block[_THREADS] = self.count
        self.block[_SPIN] = _turns(IDLE_SECONDS, self.count)
        for number in range(1, self.count):
            name = f"dlc-{number}"
            thread = threading.Thread(target=self._serve, args=(number,), name=name, daemon=True)
            self.members.append(thread)
            thread.start()

    def _serve(self, number: int) -> None:
        self.native.serve(self.address, number, 0)

    def seize(self) -> bool:
        """Takes the pool, if no run uses it; runs that find it taken go alone."""
        return bool(self.native.seize(self.address, POOL_TAKEN))

    def stop(self) -> None:
        """Ends the threads, which have no job now; nobody else gets the pool any more."""
        self.native.stop(self.address)
        for thread in self.members:
            with contextlib.suppress(RuntimeError):  # one that never started
                thread.join(_JOIN_SECONDS)


@dataclass(slots=True)
class _State:
    """Of this process."""

    lock: Lock = field(default_factory=Lock)
    """Held by the thread that starts and ends pools."""
    pool: _Pool | None = None
    wanted: int | None = None
    words: np.ndarray = field(default_factory=lambda: aligned_words(2))
    """For native code: see `state_address`."""
    past: list[_Pool] = field(default_factory=list["_Pool"])
    """Pools that ended: a run that was about to begin may still look at one."""

    def set(self, pool: _Pool | None) -> None:
        """The pool that is used from now on."""
        self.pool = pool
        self.words[_POOL] = pool.address if pool else 0


_STATE = _State()


def _renewed(count: int) -> _Pool | None:
    """A pool of `count` threads; None where the present one is taken, or none can be started."""
    if not _STATE.lock.take():
        return None
    try:
        pool = _STATE.pool
        if pool is not None and pool.count == count:
            return pool
        if pool is not None and not pool.seize():
            return None
        _stop_pool()
        pool = _Pool(count, walker(), _turns(BARRIER_SECONDS, count))
        try:
            pool.start()
        except RuntimeError:
            pool.stop()
            return None
        _STATE.set(pool)
        return pool
    finally:
        _STATE.lock.leave()


def _stop_pool() -> None:
    """Ends the pool, if there is one. It is seized."""
    pool = _STATE.pool
    if pool is not None:
        _STATE.set(None)
        _STATE.past.append(pool)
        pool.stop()


def _at_exit() -> None:
    """Ends the threads before the interpreter takes their memory and code away."""
    end = time.monotonic() + _JOIN_SECONDS
    if not _STATE.lock.take(_JOIN_SECONDS):
        return
    while _STATE.pool is not None and not _STATE.pool.seize():
        if time.monotonic() > end:
            return
        time.sleep(_LOOK_SECONDS)
    _stop_pool()


def _after_fork() -> None:
    """A forked child has none of the threads."""
    _STATE.set(None)


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)


def _turns(seconds: float, count: int) -> int:
    """Turns of spinning in a time: none where `count` threads share processors."""
    return int(seconds * _turn_rate()) if count <= _processors() else 0


@lru_cache(maxsize=1)
def _turn_rate() -> float:
    """Turns of spinning in a second: a pause takes 10 to 50 ns, by processor."""
    native = walker()
    spent = min(int(native.spun(_MEASURED_TURNS)) for _ in range(_MEASUREMENTS))
    return _MEASURED_TURNS / max(1, spent) * 1e9


@lru_cache(maxsize=1)
def _processors() -> int:
    return available_processors()


def _quota() -> float | None:
    """Processors that the control group allows, or None."""
    with contextlib.suppress(OSError, ValueError):
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if limit != "max":
            return int(limit) / int(period)
    with contextlib.suppress(OSError, ValueError):
        base = Path("/sys/fs/cgroup/cpu")
        limit_us = int((base / "cpu.cfs_quota_us").read_text())
        if limit_us > 0:
            return limit_us / int((base / "cpu.cfs_period_us").read_text())
    return None
