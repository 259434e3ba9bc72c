"""One peer with one model in a process of its own: answers a line of JSON with a line of JSON.

    PYTHON worker.py PEER MODEL FOLDER THREADS

It makes the model and the first step, says so, and then waits on its input for what to do next:
nothing of it runs while another is timed.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers

STEPS_PER_START = 100
"""Training starts anew after so many steps, so that every peer works on the numbers of a training
that goes on, and not on the denormal ones of a finished one."""
WARM_UP = 3


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not a reply
    name, model, folder, threads = sys.argv[1:]
    try:
        peer = peers.load(name, model, Path(folder), int(threads))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=replies, flush=True)
        return
    peer.step()
    print(json.dumps({"version": peer.version}), file=replies, flush=True)
    calls: dict[int, Callable[[], Any]] = {}
    for line in sys.stdin:
        print(json.dumps(_answer(peer, calls, json.loads(line))), file=replies, flush=True)


def _answer(
    peer: peers.Peer, calls: dict[int, Callable[[], Any]], task: dict[str, Any]
) -> dict[str, Any]:
    match task["do"]:
        case "losses":
            return {"losses": _losses(peer, task["steps"])}
        case "train":
            return _timed(peer.step, task["seconds"], peer.reset)
        case "infer":
            rows = task["rows"]
            if rows not in calls:
                calls[rows] = peer.infer(rows)
            return _timed(calls[rows], task["seconds"])
        case "memory":
            return {"mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    raise ValueError(task)


def _losses(peer: peers.Peer, steps: int) -> list[float]:
    peer.reset()
    found = []
    for _ in range(steps):
        peer.step()
        found.append(peer.loss())
    return found


def _timed(
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


if __name__ == "__main__":
    main()
