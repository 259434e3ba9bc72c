"""Programs of the language trained by the interpreter: interrupted anywhere, the same bits."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from small_programs import contents, interpreted
from test_loop import Remember, StopAfter, refused

from dlc.diagnostics import DlcError
from dlc.runtime.build import build_executable
from dlc.semantics import check_file
from dlc.train.evaluation import evaluate
from dlc.train.loop import Trainer
from dlc.train.options import Options

NORMED = """
axis N, F = 3, K = 3
hyper lr: float = 0.05 in log(0.001, 1.0)

model Net(x: f32[N, F]) -> f32[N, K]:
    return x |> Linear(F -> H=8) |> BatchNorm(H) |> relu |> dropout(0.3) |> Linear(H -> K)

train fit:
    data = csv("flowers.csv", x=["a", "b", "c"], label="kind")
    test = csv("flowers.csv", x=["a", "b", "c"], label="kind")
    validation = 0.2
    batch N = 8
    epochs = 2
    monitor = accuracy
    patience = 20
    step(x: f32[N, F], label: i32[N]):
        logits = Net(x)
        minimize mean(cross_entropy(logits, label, over=K)) wrt Net using adam(lr)
        metric accuracy = mean(argmax(logits, over=K) == label)
"""

ADVERSARIAL = """
axis N, Z = 2, F = 3
model G(z: f32[N, Z]) -> f32[N, F]:
    return z |> Linear(Z -> H=4) |> BatchNorm(H) |> relu |> Linear(H -> F)
model D(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> H=4) |> leaky_relu(0.2) |> dropout(0.2) |> Linear(H -> ())
train fit:
    batch N = 15
    epochs = 2
    step critic(x: f32[N, F]):
        fake = G(normal[N, Z])
        minimize mean(bce_logits(D(x), 1)) + mean(bce_logits(D(fake), 0)) wrt D using adam(0.01)
    step generator() every 2:
        minimize mean(bce_logits(D(G(normal[N, Z])), 1)) wrt G using sgd(0.1, momentum=0.9)
"""


@pytest.fixture
def make(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f},{c:.4f},{'xyz'[int(a > 0) + int(b > 0)]}" for a, b, c in
            rng.normal(size=(40, 3))]  # fmt: skip
    (tmp_path / "flowers.csv").write_text("a,b,c,kind\n" + "\n".join(rows) + "\n")
    points = rng.normal(size=(45, 3)).astype(np.float32)

    def trainer(text: str, factory=interpreted, data=None, **options) -> Trainer:
        path = tmp_path / "net.dl"
        path.write_text(text)
        data = {"x": points} if text == ADVERSARIAL else data
        if "folder" in options:
            options["folder"] = tmp_path / options["folder"]
        elif "resume" in options:
            options["resume"] = tmp_path / options["resume"]
        else:
            options["keep"] = False
        program = check_file(path)
        return Trainer(program, compile_graph=factory, data=data, options=Options(**options))

    return trainer


@pytest.mark.parametrize("text", [NORMED, ADVERSARIAL])
def test_resumed_bit_for_bit(make, tmp_path, text):
    whole = make(text, folder="whole").run()
    batches = make(text).batches
    for k, stop in enumerate((1, batches + 1)):
        make(text, folder=f"part-{k}", callbacks=(StopAfter(stop),)).run()
        again = make(text, resume=f"part-{k}").run()
        assert contents(tmp_path / f"part-{k}") == contents(tmp_path / "whole")
        assert again.history == whole.history
        assert again.test == whole.test


def test_resumed_with_any_number_of_threads(make, tmp_path):
    """Native code: two networks, BatchNorm, dropout, `every 2`; a run moves between machines."""

    def native(threads, **options):
        factory = partial(build_executable, threads=threads)
        return make(ADVERSARIAL, factory=factory, epochs=4, **options).run()

    native(1, folder="whole")
    for first, then, stop in ((2, 4, 4), (3, 7, 11)):
        native(first, folder=f"part-{first}", callbacks=(StopAfter(stop),))
        native(then, resume=f"part-{first}")
        assert contents(tmp_path / f"part-{first}") == contents(tmp_path / "whole")


STREAM = """
axis N, T, V = 5
model Next(token: i32[N, T]) -> f32[N, T, V]:
    layer embed = Embedding(V -> E=4)
    return embed(token) |> Linear(E -> V)
train fit:
    batch N = 2, T = 7
    epochs = 4
    step(token: i32[N, T]):
        logits = Next(token)
        minimize mean(cross_entropy(logits[T=:-1], token[T=1:], over=V)) wrt Next using adam(0.1)
"""


def test_stream(make):
    data = {"token": np.arange(60) % 5}
    trainer = make(STREAM, data=data, epochs=12)
    assert trainer.batches == 4
    run = trainer.run()
    assert run.metrics["loss"] < 0.3
    assert "token" in refused("E0721", make, STREAM, data={"token": np.arange(60)})


def test_trains(make, tmp_path):
    run = make(NORMED, folder="run", epochs=9).run()
    assert run.end == "done"
    assert run.test["accuracy"] > 0.8
    assert run.test["loss"] < run.history[0].metrics["loss"]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["classes"] == {"label": ["x", "y", "z"]}
    assert manifest["sources"].keys() == {"net.dl"}


def test_evaluated_alone(make, tmp_path):
    """The same bits as at the end of training, without the data that it learned from."""
    run = make(NORMED, folder="run").run()
    text = NORMED.replace('data = csv("flowers', 'data = csv("missing')
    (tmp_path / "net.dl").write_text(text)
    program = check_file(tmp_path / "net.dl")
    how = {"compile_graph": interpreted, "weights": run.params, "seed": 0, "epochs": 2}
    classes = {"label": ["x", "y", "z"]}
    assert evaluate(program, "fit", "test", classes=classes, **how) == run.test
    refused("E0701", evaluate, program, None, "validation", **how)
    stream = STREAM.replace("epochs = 4", "epochs = 5")
    (tmp_path / "net.dl").write_text(stream)
    with pytest.raises(KeyError):
        evaluate(check_file(tmp_path / "net.dl"), None, "test", **how)


def test_resume_with_other_data_is_refused(make, tmp_path):
    make(NORMED, folder="run", callbacks=(StopAfter(2),)).run()
    with (tmp_path / "flowers.csv").open("a") as stream:
        stream.write("0,0,0,x\n")
    assert "flowers.csv (data)" in refused("E0807", make, NORMED, resume="run")
    changed = NORMED.replace("dropout(0.3)", "dropout(0.4)")
    assert "net.dl" in refused("E0806", make, changed, resume="run")


def test_label_out_of_range(make, tmp_path):
    text = NORMED.replace("K = 3", "K = 2")
    said = refused("E0721", make, text)
    assert "of size 2" in said
    assert "line " in said
    assert "('z')" in said


def test_nan_names_the_minimize(make):
    seen = Remember()
    trainer = make(NORMED.replace("adam(lr)", "sgd(1e30)"), callbacks=(seen,), epochs=50)
    with pytest.raises(DlcError) as caught:
        trainer.run()
    mistake = caught.value.diagnostics[0]
    assert mistake.code == "E0801"
    assert mistake.span.text.startswith("mean(cross_entropy")
