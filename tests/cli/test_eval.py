"""`dlc eval`, `dlc predict` and a call from Python give the same bits."""

import json

import numpy as np
import pytest

import dlc
from dlc.cli import main
from dlc.runtime.module import Model

TEXT = """
axis N, F = 4, K = 3
hyper lr: float = 0.02
model Net(x: f32[N, F]) -> f32[N, K]:
    return x |> Linear(F -> H=12) |> BatchNorm(H) |> relu |> dropout(0.3) |> Linear(H -> K)
train fit:
    data = npz("train.npz", x="x", label="label")
    test = npz("test.npz", x="x", label="label")
    batch N = 16
    epochs = 2
    step(x: f32[N, F], label: i32[N]):
        logits = Net(x)
        minimize mean(cross_entropy(logits, label, over=K)) wrt Net using adam(lr)
        metric accuracy = mean(argmax(logits, over=K) == label)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run whose data are gone, but for the test rows."""
    folder = tmp_path_factory.mktemp("home")
    draw = np.random.default_rng(0)
    for name, rows in (("train", 64), ("test", 37)):
        label = draw.integers(0, 3, rows)
        x = (np.eye(4)[label] + draw.normal(size=(rows, 4))).astype(np.float32)
        np.savez(folder / f"{name}.npz", x=x, label=label)
    (folder / "net.dl").write_text(TEXT)
    assert main.run(["train", str(folder / "net.dl"), "-o", str(folder / "run"), "-q"]) == 0
    (folder / "train.npz").unlink()
    return folder


def run(capsys, *arguments):
    code = main.run([str(a) for a in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


class Recorder:
    """A model's program that keeps what it gave."""

    def __init__(self, program):
        self.program, self.seen = program, []

    def __getattr__(self, name):
        return getattr(self.program, name)

    def run(self, *arguments):
        results = self.program.run(*arguments)
        self.seen.append(results["out"])
        return results


def test_the_same_bits(capsys, home, monkeypatch):
    recorders = []
    prepare = Model.prepare

    def recorded(model):
        recorders.append(Recorder(prepare(model)))
        return recorders[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Model, "prepare", recorded)
        code, out, _ = run(capsys, "eval", home / "run", "--json")
    assert code == 0
    (recorder,) = recorders
    evaluated = np.concatenate(recorder.seen)
    assert [len(part) for part in recorder.seen] == [16, 16, 5]

    output = home / "logits.npy"
    assert run(capsys, "predict", home / "run", home / "test.npz", "-o", output)[0] == 0
    with np.load(home / "test.npz") as data:
        x, label = data["x"], data["label"]
    called = dlc.load(home / "run")(x)
    assert evaluated.tobytes() == np.load(output).tobytes() == called.tobytes()

    metrics = json.loads(out)["metrics"]
    wide = called.astype(np.float64)
    losses = np.log(np.exp(wide).sum(1)) - wide[np.arange(len(wide)), label]
    assert metrics["accuracy"] == np.mean(called.argmax(1) == label)
    assert metrics["loss"] == pytest.approx(losses.mean(), rel=1e-6)


def test_as_training_told(capsys, home):
    *_, last = (home / "run" / "metrics.jsonl").read_text().splitlines()
    (found,) = [json.loads(line) for line in run(capsys, "eval", home / "run", "--json")[1:2]]
    assert found["metrics"] == pytest.approx(json.loads(last)["test"], rel=1e-6)


def test_rows_that_there_are_not(capsys, home, tmp_path):
    code, _, err = run(capsys, "eval", home / "run", "--on", "validation")
    assert (code, "no validation data; try --on test" in err) == (2, True)
    code, _, err = run(capsys, "eval", home / "run", "--recipe", "other")
    assert (code, "E0813" in err) == (2, True)
    (tmp_path / "model.dlm").write_bytes((home / "run" / "model.dlm").read_bytes())
    code, _, err = run(capsys, "eval", tmp_path / "model.dlm")
    assert (code, "test.npz" in err) == (3, True)
    assert run(capsys, "eval", tmp_path / "model.dlm", "--data", home)[0] == 0
