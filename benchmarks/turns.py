"""Processes that are asked in turn, so that only one of them runs at a time."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

FOLDER = Path(__file__).parent
PAUSE, LOOK = 0.02, 0.03
"""Seconds between turns: for threads of the last one to go to sleep, and to see who else runs."""
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


class Process:
    """A script that says hello and then answers each line of JSON; see `replies.serve`."""

    def __init__(
        self,
        script: str,
        peer: str,
        arguments: Sequence[str],
        settings: Settings,
        variables: Mapping[str, str],
    ) -> None:
        """Raises NotInstalled."""
        threads = str(settings.threads)
        self._process = subprocess.Popen(
            [settings.pythons[peer], str(FOLDER / script), peer, threads, *arguments],
            env={**_environment(), "OMP_NUM_THREADS": threads, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hello = self._reply()
        if "missing" in self.hello:
            self._process.communicate()
            raise NotInstalled(self.hello["missing"])

    def ask(self, do: str, **details: Any) -> Result:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        return self._reply()

    def __enter__(self) -> Process:
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


def _environment() -> dict[str, str]:
    """Ours, with bytecode kept: an installer compiled the modules of the peers, not those here."""
    return {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}


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
    workers: Mapping[str, Process], task: Result, settings: Settings, others: Others
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
