"""SIGKILL at any moment, resumed: the same bytes as without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_programs import contents

CHILD = Path(__file__).with_name("kill_child.py")
EVENTS = 43
"""How many lines a whole run prints, about."""


def child(folder: Path, kill_at: int | None, *, delay: float = 0.0) -> int:
    """Runs a training and kills it when it has told so many events; gives how many it told."""
    mode = "resume" if (folder / "manifest.json").exists() else "new"
    command = [sys.executable, str(CHILD), str(folder), mode, str(delay)]
    path = os.pathsep.join([str(CHILD.parents[2]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdout is not None
    seen = 0
    with process, process.stdout as lines:
        for _ in lines:
            seen += 1
            if seen == kill_at:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == (0 if kill_at is None or seen < kill_at else -signal.SIGKILL)
    return seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert child(folder, None) > EVENTS / 2
    return contents(folder)


def survives(folder: Path, points: list[int], whole: dict[str, bytes]) -> None:
    for point in points:
        child(folder, point, delay=0.02)
    child(folder, None)
    assert contents(folder) == whole


def test_killed_three_times(tmp_path, whole):
    """At the first write, in a batch, in the writing of a checkpoint."""
    survives(tmp_path / "run", [2, 9, 12], whole)


@pytest.mark.slow
@pytest.mark.parametrize("point", range(2, EVENTS, 2))
def test_killed_at(tmp_path, whole, point):
    survives(tmp_path / "run", [point], whole)
