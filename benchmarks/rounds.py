"""The measurement: workers of all peers, asked in turn; only one runs at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from peers import FROM_ONNX, OURS
from problem import Problem, write_problem

FOLDER = Path(__file__).parent
AGREEMENT, COMPARED_STEPS = 1e-4, 5
PAUSE, LOOK = 0.02, 0.03
"""Seconds between turns: for threads of the last one to go to sleep, and to see who else runs."""
CACHES = ("DLC_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
"""Where compilers keep what they made: a folder for each peer and model, empty at first."""
Result = dict[str, Any]


class NotInstalled(Exception):
    """The peer's package is not in the Python that should run it."""


@dataclass(frozen=True, slots=True)
class Settings:
    rounds: int
    seconds: float
    threads: int
    pythons: Mapping[str, str]
    """Which Python runs each peer."""


class Worker:
    """A process with one peer and one model. `started` is the seconds to its first step's end."""

    def __init__(self, peer: str, model: str, folder: Path, settings: Settings) -> None:
        own = dict.fromkeys(CACHES, str(folder / f"cache-{peer}"))
        own["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        own["OMP_NUM_THREADS"] = str(settings.threads)
        arguments = [peer, model, str(folder), str(settings.threads)]
        start = time.perf_counter()
        self._process = subprocess.Popen(
            [settings.pythons[peer], str(FOLDER / "worker.py"), *arguments],
            env={**os.environ, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        hello = self._reply()
        self.started = time.perf_counter() - start
        if "missing" in hello:
            self._process.communicate()
            raise NotInstalled(hello["missing"])
        self.version: str = hello["version"]
        self.trains: bool = hello["trains"]
        self.loaded: float = hello["loaded"]

    def ask(self, do: str, **details: Any) -> Result:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        return self._reply()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _reply(self) -> Result:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended: {self._process.args} gave {self._process.wait()}")
        reply: Result = json.loads(line)
        return reply


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
            found[name]["version"] = workers[name].version
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


class Others:
    """How busy the processors are while none of the workers runs."""

    def __init__(self) -> None:
        self._busy = self._all = 0

    @property
    def share(self) -> float:
        """Of the processors' time, between the turns so far."""
        return self._busy / max(1, self._all)

    def look(self) -> None:
        time.sleep(PAUSE)
        before = self._ticks()
        time.sleep(LOOK)
        busy, all_ = (b - a for a, b in zip(before, self._ticks(), strict=True))
        self._busy, self._all = self._busy + busy, self._all + all_

    @staticmethod
    def _ticks() -> tuple[int, int]:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(ticks) - sum(ticks[3:5]), sum(ticks)


def in_turn(
    workers: Mapping[str, Worker], task: Result, settings: Settings, others: Others
) -> dict[str, Result]:
    """The medians over the rounds of each round's median, and the minimum, in microseconds."""
    rounds: dict[str, list[Result]] = {name: [] for name in workers}
    for worker in workers.values():
        worker.ask(**task, seconds=0)  # compiles what it has to
    for number in range(settings.rounds):
        order = list(workers) if number % 2 == 0 else list(workers)[::-1]
        for name in order:
            others.look()
            rounds[name].append(workers[name].ask(**task, seconds=settings.seconds))
    return {
        name: {
            "median": median(r["median"] for r in list_),
            "min": min(r["min"] for r in list_),
            "rounds": list_,
        }
        for name, list_ in rounds.items()
    }
