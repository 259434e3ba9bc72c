"""SIGKILL at any moment of a compiled training, resumed: the same bytes as without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CHILD = Path(__file__).with_name("kill_child.py")
PROGRAM = """
axis N, Z = 2, F = 3

model G(z: f32[N, Z]) -> f32[N, F]:
    return z |> Linear(Z -> H=4) |> BatchNorm(H) |> relu |> Linear(H -> F)

model D(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> H=4) |> leaky_relu(0.2) |> dropout(0.2) |> Linear(H -> ())

train fit:
    data = npz("points.npz", x="x")
    test = npz("points.npz", x="test_x")
    validation = 0.2
    batch N = 8
    epochs = 3
    monitor = loss
    step critic(x: f32[N, F]):
        fake = G(normal[N, Z])
        minimize mean(bce_logits(D(x), 1)) + mean(bce_logits(D(fake), 0)) wrt D using adam(0.01)
    step generator() every 2:
        minimize mean(bce_logits(D(G(normal[N, Z])), 1)) wrt G using sgd(0.1, momentum=0.9)
"""
COUNT = 20
SHORT = 4
"""One in so many of the points is tried in the short tests."""
THREADS = (1, 2, 3, 4, 7)


def train(home: Path, name: str, *, kill_at: int = 0, threads: int = 1) -> list[str]:
    """Begins or resumes a run, kills it at an event; gives the events if it came to its end."""
    run, events = home / name, home / f"{name}-events"
    where = ["--resume"] if (run / "manifest.json").exists() else ["-o"]
    command = [sys.executable, CHILD, str(kill_at), events, "train", home / "net.dl", *where, run]
    command += ["--save-every", "2", "--threads", str(threads), "-q"]
    path = os.pathsep.join([str(CHILD.parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    ended = events.exists()
    assert done.returncode == (0 if ended else -signal.SIGKILL), done.stderr
    return events.read_text().splitlines() if ended else []


def contents(run: Path) -> dict[str, bytes]:
    """All files of a run."""
    files = [path for path in run.rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with the program and its data."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "net.dl").write_text(PROGRAM)
    x = np.random.default_rng(0).normal(size=(62, 3)).astype(np.float32)
    np.savez(folder / "points.npz", x=x[:50], test_x=x[50:])
    return folder


@pytest.fixture(scope="module")
def points(home) -> list[int]:
    """Of all that happens in a run that nobody kills, the numbers of some of each kind."""
    events = train(home, "whole")
    kinds = [event.split()[0] for event in events]
    assert {*kinds} == {"step", "half", "flush", "move", "remove"}
    in_order = sorted(range(len(events)), key=lambda number: kinds[number])
    chosen = [in_order[k * len(events) // COUNT] for k in range(COUNT)]
    assert sum(events[number].startswith("half .epoch-") for number in chosen) >= 2
    return [number + 1 for number in chosen]


@pytest.mark.parametrize(
    "k", [pytest.param(k, marks=[pytest.mark.slow] if k % SHORT else []) for k in range(COUNT)]
)
def test_killed(home, points, k):
    name = f"killed-{k}"
    assert not train(home, name, kill_at=points[k], threads=THREADS[k % 5])
    assert train(home, name, threads=THREADS[k % 3])
    assert contents(home / name) == contents(home / "whole")


@pytest.mark.slow
def test_killed_again_and_again(home, points):
    """Each process gets no further than one checkpoint and a half."""
    kills = next(k for k in range(50) if train(home, "often", kill_at=16))
    assert kills > 5
    assert contents(home / "often") == contents(home / "whole")
