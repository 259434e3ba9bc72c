"""The memory that this process may take, and Python's collector of it."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator


def memory_bytes() -> int:
    """The machine's memory, or the container's limit."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(name, encoding="ascii") as file:
                limits.append(int(file.read()))
        except (OSError, ValueError):
            continue
    return min(limits)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Python's garbage collector at rest: it costs a tenth of a compilation, or more."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
