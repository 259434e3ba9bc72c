"""`dlc` in a process that kills itself: KILL_AT EVENTS ARGUMENTS...

Events are steps of a network, and what happens to files beside EVENTS, where they are written down.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from dlc.cli import main
from dlc.train.programs import EvaluationRunner, StepRunner

KILL_AT, EVENTS = int(sys.argv[1]), Path(sys.argv[2])
events: list[str] = []


def happens(event: str, last: Callable[[], None] = lambda: None) -> None:
    """Takes note of an event; if it is the one to die at, does the `last` thing and dies."""
    events.append(event)
    if len(events) == KILL_AT:
        last()
        os.kill(os.getpid(), signal.SIGKILL)


def before_change(name: str, call: Callable) -> Callable:
    """A function that changes the file of its first argument, with an event before."""

    def wrapped(path, *others, **options):
        if Path(path).is_relative_to(EVENTS.parent):
            happens(f"{name} {Path(path).name}")
        return call(path, *others, **options)

    return wrapped


def before_flush(call: Callable[[int], None]) -> Callable[[int], None]:
    """`os.fsync` with an event before, and for a new file one when half of it is written."""

    def wrapped(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path.name.startswith("."):
            happens(f"half {path.name}", lambda: os.truncate(path, path.stat().st_size // 2))
        happens(f"flush {path.name}")
        call(handle)

    return wrapped


def before_step(call: Callable) -> Callable:
    """A run of a step with an event before."""

    def wrapped(*args, **kwargs):
        happens("step")
        return call(*args, **kwargs)

    return wrapped


os.fsync = before_flush(os.fsync)
os.replace = before_change("move", os.replace)
os.unlink = before_change("remove", os.unlink)
StepRunner.run = before_step(StepRunner.run)
EvaluationRunner.run = before_step(EvaluationRunner.run)
code = main.run(sys.argv[3:])
EVENTS.write_text("\n".join(events))
sys.exit(code)
