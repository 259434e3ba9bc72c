"""The benchmark command, without peers: its models check, its figures are all there."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dlc.runtime.peak import Peak

FOLDER = Path(__file__).parents[2] / "benchmarks"
FIGURES = {
    "first_cold", "first_warm", "memory", "growth", "version", "train", "infer_1", "infer_batch",
}  # fmt: skip


def test_alone(tmp_path):
    out = tmp_path / "figures.json"
    turns = ["--rounds", "1", "--seconds", "0.01", "--peers", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, FOLDER / "steps.py", "mlp", *turns], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "training step" in done.stdout
    (model,) = json.loads(out.read_text())["models"]
    assert (model["model"], model["batch"]) == ("mlp", 64)
    ours = model["peers"]["dlc"]
    assert set(ours) == FIGURES
    assert model["lead"] == {}
    peak = json.loads(out.read_text())["peak"]["flops"]
    for task in ("train", "infer_1", "infer_batch"):
        rate = model["flops"][task] / (ours[task]["median"] * 1e-6)
        assert abs(ours[task]["of_peak"] * peak / rate - 1) < 1e-6
    assert model["flops"]["infer_batch"] == 64 * model["flops"]["infer_1"]
    assert model["flops"]["train"] > 2 * model["flops"]["infer_batch"]
    assert model["losses"][0] > model["losses"][-1]


def test_unknown_model():
    done = subprocess.run(
        [sys.executable, FOLDER / "steps.py", "nothing"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no model nothing" in done.stderr


def test_the_lead_is_over_the_best_peer(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    steps, limits = importlib.import_module("steps"), Peak(2, 1e9, 1e9)

    def figures(train, infer):
        times = {"infer_1": infer, "infer_batch": infer, **({"train": train} if train else {})}
        found = {task: {"median": time, "min": time / 2} for task, time in times.items()}
        return {**found, "version": "1", "memory": 10, "growth": 1}

    found = {"dlc": figures(10.0, 5.0), "a": figures(30.0, 4.0), "b": figures(None, 2.0)}
    flops = dict.fromkeys(steps.TASKS, 1000)
    result = {"model": "m", "batch": 8, "flops": flops, "losses": [2, 1], "others": 0.5}
    result = steps.with_shares({**result, "peers": found}, limits)
    assert result["lead"]["train"] == {"best": "a", "ratio": 3.0}
    assert result["lead"]["infer_1"] == {"best": "b", "ratio": 0.4}
    assert result["peers"]["dlc"]["train"]["of_peak"] == pytest.approx(0.1)
    lines = steps.report(result, limits).splitlines()
    ours = "dlc | 10.0 µs 5.0 µs 10% | 5.0 µs 2.5 µs 20% | 5.0 µs 2.5 µs 20% | - - | 10 1"
    assert " ".join(lines[3].split()) == ours
    assert "3.00" in lines[4]
    assert lines[6].split() == ["best", "/", "ours", "|", "3.00", "|", "0.40", "|", "0.40"]
    assert "50%" in lines[7]
    assert "m 8" in steps.summary([result])
