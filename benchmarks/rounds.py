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
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from problem import write_problem

WORKER = Path(__file__).parent / "worker.py"
OURS = "dlc"
AGREEMENT, COMPARED_STEPS = 1e-4, 5
PAUSE = 0.02
"""Seconds between turns, for threads of the last one to go to sleep."""
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

    def __init__(
        self, peer: str, model: str, folder: Path, settings: Settings, cache: Path | None = None
    ) -> None:
        own = {"DLC_CACHE_DIR": str(cache)} if cache else {}
        threads = {"OMP_NUM_THREADS": str(settings.threads)}
        arguments = [peer, model, str(folder), str(settings.threads)]
        start = time.perf_counter()
        self._process = subprocess.Popen(
            [settings.pythons[peer], str(WORKER), *arguments],
            env={**os.environ, **threads, **own},
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
        batch = write_problem(model, folder)
        found: dict[str, Result] = {}
        workers: dict[str, Worker] = {}
        for name in (OURS, *names):
            try:
                found[name] = first_steps(name, model, folder, settings)
            except NotInstalled as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            cache = folder / f"cache-{name}"
            workers[name] = stack.enter_context(Worker(name, model, folder, settings, cache))
            found[name]["version"] = workers[name].version
        losses = compare(model, workers)
        timed = {
            "train": {"do": "train"},
            "infer_1": {"do": "infer", "rows": 1},
            "infer_batch": {"do": "infer", "rows": batch},
        }
        for what, task in timed.items():
            for name, figures in in_turn(workers, task, settings).items():
                found[name][what] = figures
        return {"model": model, "batch": batch, "losses": losses, "peers": found}


def first_steps(peer: str, model: str, folder: Path, settings: Settings) -> Result:
    """Seconds from the start of a process to the end of its first step, and its peak memory.

    Twice: with an empty cache, and again with what the first left there.
    """
    cache = folder / f"cache-{peer}"
    with Worker(peer, model, folder, settings, cache) as cold:
        pass
    with Worker(peer, model, folder, settings, cache) as warm:
        memory = warm.ask("memory")["mebibytes"]
    return {"first_cold": cold.started, "first_warm": warm.started, "memory": memory}


def compare(model: str, workers: Mapping[str, Worker]) -> list[float]:
    """The losses of the first steps, which have to agree."""
    ours = workers[OURS].ask("losses", steps=COMPARED_STEPS)["losses"]
    for name, worker in workers.items():
        theirs = worker.ask("losses", steps=COMPARED_STEPS)["losses"]
        apart = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))
        if not apart <= AGREEMENT:
            raise SystemExit(f"{model}: {OURS} and {name} differ: losses {ours} and {theirs}")
    return list(ours)


def in_turn(workers: Mapping[str, Worker], task: Result, settings: Settings) -> dict[str, Result]:
    """The medians over the rounds of each round's median and minimum, in microseconds."""
    rounds: dict[str, list[Result]] = {name: [] for name in workers}
    for worker in workers.values():
        worker.ask(**task, seconds=0)  # compiles what it has to
    for number in range(settings.rounds):
        order = list(workers) if number % 2 == 0 else list(workers)[::-1]
        for name in order:
            time.sleep(PAUSE)
            rounds[name].append(workers[name].ask(**task, seconds=settings.seconds))
    return {
        name: {
            "median": median(r["median"] for r in list_),
            "min": min(r["min"] for r in list_),
            "rounds": list_,
        }
        for name, list_ in rounds.items()
    }
