"""The benchmark command, without peers: its models check, its figures are all there."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlc.diagnostics import Source
from dlc.reference.interpreter import all_symbols
from dlc.runtime.cost import flops_in
from dlc.runtime.peak import Peak
from dlc.semantics import check_file
from dlc.transform.pipeline import lower

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


@pytest.mark.parametrize("script", ["contractions", "maps"])
def test_the_cases_say_what_they_cost(monkeypatch, script):
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module(script)
    cases = [*module.cases()]
    assert len({case.name for case in cases}) == len(cases)
    if script == "contractions":
        cases += [case for case in module.drawn(1) if case.torch != "product"]
    for case in cases:
        graph = check_file(Source("case.dl", case.text)).models["Single"].graph
        shapes = {name: shape for name, shape, *_ in case.arrays}
        sizes = dict.fromkeys(all_symbols(graph), next(iter(shapes.values()))[0])
        inputs = {n.attrs["name"]: n.type for n in graph.inputs if n.attrs["role"] == "data"}
        assert shapes == {
            name: tuple(size.value(sizes) for size in type.sizes) for name, type in inputs.items()
        }
        if script == "contractions":
            assert 1 <= flops_in(lower(graph), sizes) / case.flops < 1.35


def test_the_interpreter_says_whose_results_are_wrong(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    operations = importlib.import_module("operations")
    case = importlib.import_module("contractions").product(3, 4, 5)
    x, w = importlib.import_module("operands").draw(case.arrays).values()
    files = {name: str(tmp_path / f"{name}.npy") for name in ("dlc", "torch")}
    for file in files.values():
        np.save(file, x @ w)
    assert operations._wrong(case, files) == []
    for other in (x @ w + 1, x @ w * np.nan):
        np.save(files["torch"], other)
        assert operations._wrong(case, files) == ["torch"]
    np.save(files["dlc"], x @ w * np.nan)
    assert operations._wrong(case, files) == ["dlc", "torch"]


@pytest.mark.parametrize(("script", "case"), [("contractions", "1 x 784"), ("maps", "adam, in")])
def test_single_operations(tmp_path, script, case):
    out = tmp_path / "figures.json"
    turns = [case, "--alone", "--rounds", "1", "--seconds", "0", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, FOLDER / f"{script}.py", *turns], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(out.read_text())["cases"]
    assert found["name"].startswith(case)
    assert found["peers"]["dlc"]["median"] > 0
    assert case in done.stdout.splitlines()[1]


@pytest.mark.parametrize("peer", ["torch", "torch.compile", "jax", "onnxruntime", "openvino"])
def test_peers_that_are_not_there_are_left_out(tmp_path, monkeypatch, capfd, peer):
    monkeypatch.syspath_prepend(str(FOLDER))
    turns, rounds = importlib.import_module("turns"), importlib.import_module("rounds")
    bare = tmp_path / "bare"
    bare.mkdir()
    for module in ("torch", "jax", "onnxruntime", "openvino"):
        (bare / f"{module}.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(bare))
    settings = turns.Settings(1, 0.0, 1, {peer: sys.executable})
    with pytest.raises(turns.NotInstalled, match="not here"):
        rounds.Worker(peer, "mlp", tmp_path, settings)
