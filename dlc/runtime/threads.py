"""How many threads programs run on."""

from __future__ import annotations

import math
import os
from pathlib import Path

CPU_MAX = "/sys/fs/cgroup/cpu.max"
_chosen: list[int] = []


def set_threads(count: int | None) -> None:
    """The number of threads of every later run in this process; None: the default again.

    Results do not depend on it. Raises ValueError for a number below 1.
    """
    if count is not None and count < 1:
        raise ValueError(f"a number of threads is at least 1, not {count}")
    _chosen[:] = [] if count is None else [count]


def threads() -> int:
    """The number of threads that a run takes: what was set, else `default_threads()`."""
    return _chosen[0] if _chosen else default_threads()


def default_threads() -> int:
    """The CPUs that this process may use: by its affinity, cut by its group's quota."""
    return max(1, min(len(os.sched_getaffinity(0)), _quota()))


def _quota() -> int:
    """CPUs granted by the control group, rounded up; a large number where there is no limit."""
    try:
        quota, period = Path(CPU_MAX).read_text(encoding="ascii").split()[:2]
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return 1 << 20
