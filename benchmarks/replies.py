"""What a process that is measured does with its pipe, and how it times a run."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

STEPS_PER_START = 100
"""Training starts anew after so many steps, so that every peer works on the numbers of a training
that goes on, and not on the denormal ones of a finished one."""
WARM_UP = 3
Answer = Callable[[dict[str, Any]], dict[str, Any]]


def serve(threads: int, begin: Callable[[], tuple[dict[str, Any], Answer]]) -> None:
    """Says hello with what `begin` gives, then answers each line of the input with a line.

    The process runs on as many processors as it has threads.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not a reply
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        hello, answer = begin()
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=replies, flush=True)
        return
    print(json.dumps(hello), file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=replies, flush=True)


def timed(
    run: Callable[[], Any], seconds: float, restart: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Median and minimum of the time of a run, in microseconds."""
    for _ in range(WARM_UP):
        run()
    times: list[float] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or len(times) < 5:
        if restart is not None and len(times) % STEPS_PER_START == 0:
            restart()
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return {"median": np.median(times) * 1e6, "min": min(times) * 1e6, "runs": len(times)}
