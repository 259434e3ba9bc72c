"""One peer with one model in a process of its own: answers a line of JSON with a line of JSON.

    PYTHON worker.py PEER THREADS MODEL FOLDER

It makes the model and the first step, says so, and then waits on its input for what to do next:
nothing of it runs while another is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
from replies import serve, timed

MEMORY_RUNS = 20


def main() -> None:
    name, threads, model, folder = sys.argv[1:]

    def begin() -> tuple[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]]:
        peer = peers.load(name, model, Path(folder), int(threads))
        worker = Worker(peer, Path(folder) / f"{name}.npy")
        loaded = forget_peak()
        worker.run(peer.batch)()
        hello = {"version": peer.version, "trains": peer.trains, "loaded": loaded}
        return hello, worker.answer

    serve(int(threads), begin)


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
                return timed(self.peer.step, task["seconds"], self.peer.reset)
            case "infer":
                return timed(self.call(task["rows"]), task["seconds"])
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


if __name__ == "__main__":
    main()
