"""The measurement of whole models: a worker for each peer that is installed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
from peers import FROM_ONNX, OURS
from problem import Problem, write_problem
from turns import FOLDER, NotInstalled, Others, Process, Result, Settings, in_turn

AGREEMENT, COMPARED_STEPS = 1e-4, 5
CACHES = ("DLC_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
"""Where compilers keep what they made: a folder for each peer and model, empty at first."""


class Worker(Process):
    """A process with one peer and one model. `started` is the seconds to its first step's end."""

    def __init__(self, peer: str, model: str, folder: Path, settings: Settings) -> None:
        own = dict.fromkeys(CACHES, str(folder / f"cache-{peer}"))
        own["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        start = time.perf_counter()
        super().__init__("worker.py", peer, [model, str(folder)], settings, own)
        self.started = time.perf_counter() - start
        self.trains: bool = self.hello["trains"]
        self.loaded: float = self.hello["loaded"]


def measure(model: str, names: Sequence[str], settings: Settings) -> Result:
    """All figures of one model, for us and for those peers that are installed."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        problem = write_problem(model, folder)
        export(problem, [name for name in names if name in FROM_ONNX], folder, settings)
        found: dict[str, Result] = {}
        workers: dict[str, Worker] = {}
        for name in (OURS, *names):
            try:
                found[name] = first_steps(name, model, folder, settings)
            except NotInstalled as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            workers[name] = stack.enter_context(Worker(name, model, folder, settings))
            found[name]["version"] = workers[name].hello["version"]
        training = {name: worker for name, worker in workers.items() if worker.trains}
        losses = compare_losses(model, training)
        compare_outputs(problem, workers)
        others = Others()
        tasks = {
            "train": (training, {"do": "train"}),
            "infer_1": (workers, {"do": "infer", "rows": 1}),
            "infer_batch": (workers, {"do": "infer", "rows": problem.batch}),
        }
        for what, (asked, task) in tasks.items():
            for name, figures in in_turn(asked, task, settings, others).items():
                found[name][what] = figures
        facts = {**asdict(problem), "losses": losses, "others": others.share}
        return {**facts, "peers": found}


def export(problem: Problem, names: Sequence[str], folder: Path, settings: Settings) -> None:
    """Writes the model's ONNX files, if a peer reads them; without PyTorch there are none."""
    rows = dict.fromkeys(("1", str(problem.batch)))
    for python in dict.fromkeys(settings.pythons[name] for name in names):
        command = [python, "-m", "peers.export", problem.model, str(folder), *rows]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
        if done.returncode:
            print(f"no ONNX files: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)


def first_steps(peer: str, model: str, folder: Path, settings: Settings) -> Result:
    """Seconds from the start of a process to the end of its first step, and memory.

    Twice: with an empty cache, and again with what the first left there.
    """
    with Worker(peer, model, folder, settings) as cold:
        pass
    with Worker(peer, model, folder, settings) as warm:
        memory = warm.ask("memory", loaded=warm.loaded)
    times = {"first_cold": cold.started, "first_warm": warm.started} if warm.trains else {}
    return {**times, **memory}


def compare_losses(model: str, workers: Mapping[str, Worker]) -> list[float]:
    """The losses of the first steps, which have to agree."""
    ours = workers[OURS].ask("losses", steps=COMPARED_STEPS)["losses"]
    for name, worker in workers.items():
        theirs = worker.ask("losses", steps=COMPARED_STEPS)["losses"]
        apart = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))
        if not apart <= AGREEMENT:
            raise SystemExit(f"{model}: {OURS} and {name} differ: losses {ours} and {theirs}")
    return list(ours)


def compare_outputs(problem: Problem, workers: Mapping[str, Worker]) -> None:
    """What inference gives for the first row and for the batch, which has to agree."""
    for rows in dict.fromkeys((1, problem.batch)):
        found = {n: np.load(w.ask("outputs", rows=rows)["file"]) for n, w in workers.items()}
        ours = found[OURS]
        for name, theirs in found.items():
            apart = np.abs(ours - theirs).max() / np.abs(ours).max()
            if not apart <= AGREEMENT:
                raise SystemExit(f"{problem.model}: results of {OURS} and {name} differ: {apart}")
