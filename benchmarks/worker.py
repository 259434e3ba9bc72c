"""One peer with one model in a process of its own: answers a line of JSON with a line of JSON.

    PYTHON worker.py PEER MODEL FOLDER THREADS

It makes the model and the first step, says so, and then waits on its input for what to do next:
nothing of it runs while another is timed.
"""

from __future__ import annotations

import json
import os
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
MEMORY_RUNS = 20


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not a reply
    name, model, folder, threads = sys.argv[1:]
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[: int(threads)])
    try:
        peer = peers.load(name, model, Path(folder), int(threads))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=replies, flush=True)
        return
    worker = Worker(peer, Path(folder) / f"{name}.npy")
    loaded = forget_peak()
    worker.run(peer.batch)()
    hello = {"version": peer.version, "trains": peer.trains, "loaded": loaded}
    print(json.dumps(hello), file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.answer(json.loads(line))), file=replies, flush=True)


class Worker:
    """A peer and the calls that it has made so far."""

    def __init__(self, peer: peers.Peer, file: Path) -> None:
        self.peer, self.file = peer, file
        self._calls: dict[int, Callable[[], Any]] = {}

    def answer(self, task: dict[str, Any]) -> dict[str, Any]:
        match task["do"]:
            case "losses":
                return {"losses": self.losses(task["steps"])}
            case "outputs":
                np.save(self.file, np.asarray(self.call(task["rows"])()))
                return {"file": str(self.file)}
            case "train":
                return _timed(self.peer.step, task["seconds"], self.peer.reset)
            case "infer":
                return _timed(self.call(task["rows"]), task["seconds"])
            case "memory":
                return self.memory(task["loaded"])
        raise ValueError(task)

    def run(self, rows: int) -> Callable[[], Any]:
        """What the peer is there for: a training step, or inference where it has none."""
        return self.peer.step if self.peer.trains else self.call(rows)

    def call(self, rows: int) -> Callable[[], Any]:
        if rows not in self._calls:
            self._calls[rows] = self.peer.infer(rows)
        return self._calls[rows]

    def losses(self, steps: int) -> list[float]:
        self.peer.reset()
        found = []
        for _ in range(steps):
            self.peer.step()
            found.append(self.peer.loss())
        return found

    def memory(self, loaded: float) -> dict[str, float]:
        """Mebibytes: the peak, and how far above what imports and the model took."""
        run = self.run(self.peer.batch)
        for _ in range(MEMORY_RUNS):
            run()
        peak = _status("VmHWM")
        return {"memory": peak, "growth": peak - loaded}


def forget_peak() -> float:
    """The mebibytes that the process holds now, from where its peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


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
