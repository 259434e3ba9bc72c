"""Locks that a forked process finds open.

Whichever thread held one is not there any more. What these locks guard is whole between any two
lines of Python: what was not finished is made anew.
"""

from __future__ import annotations

import os
import threading
from weakref import WeakSet

_ALL: WeakSet[Lock] = WeakSet()


class Lock:
    """For `with`, or to take and leave."""

    def __init__(self) -> None:
        self._inner = threading.Lock()
        _ALL.add(self)

    def take(self, seconds: float = 0.0) -> bool:
        """Takes the lock, if it can be had within some time."""
        return self._inner.acquire(timeout=seconds) if seconds else self._inner.acquire(False)

    def leave(self) -> None:
        """Gives it back."""
        self._inner.release()

    def open(self) -> None:
        """Nobody has it from now on."""
        self._inner = threading.Lock()

    def __enter__(self) -> None:
        self._inner.acquire()

    def __exit__(self, *_error: object) -> None:
        self._inner.release()


def _after_fork() -> None:
    for lock in list(_ALL):
        lock.open()


os.register_at_fork(after_in_child=_after_fork)
