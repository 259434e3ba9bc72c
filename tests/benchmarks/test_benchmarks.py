"""The benchmark command, without peers: its models check, its figures are all there."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"
FIGURES = {"first_cold", "first_warm", "memory", "version", "train", "infer_1", "infer_batch"}


def test_alone(tmp_path):
    out = tmp_path / "figures.json"
    turns = ["--rounds", "1", "--seconds", "0.01", "--peers", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, FOLDER / "steps.py", "mlp", *turns], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "training step, median" in done.stdout
    (model,) = json.loads(out.read_text())["models"]
    assert (model["model"], model["batch"]) == ("mlp", 64)
    assert set(model["peers"]["dlc"]) == FIGURES
    assert model["losses"][0] > model["losses"][-1]


def test_unknown_model():
    done = subprocess.run(
        [sys.executable, FOLDER / "steps.py", "nothing"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no model nothing" in done.stderr
