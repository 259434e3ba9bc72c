"""Schedules that end before training does."""

from __future__ import annotations

import numpy as np
import pytest
from small_programs import interpreted
from test_loop import Remember

from dlc.semantics import check_file
from dlc.train.loop import Trainer
from dlc.train.options import Options
from dlc.train.schedules import schedules_over

TEXT = """
axis N, F = 3
hyper lr: float = 0.1
model A(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> ())
model B(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> ())
train fit:
    batch N = 4
    epochs = 5
    step a(x: f32[N, F])EVERY:
        minimize mean(A(x) ** 2) wrt A using FIRST
        minimize mean(B(x) ** 2) wrt B using SECOND
"""
BATCHES, EPOCHS = 10, 5


@pytest.fixture
def load(tmp_path):
    def program(first, second="sgd(0.1)", every=""):
        text = TEXT.replace("EVERY", every).replace("FIRST", first).replace("SECOND", second)
        (tmp_path / "net.dl").write_text(text)
        return check_file(tmp_path / "net.dl")

    return program


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd(lr)",
        "sgd(0)",
        "adam(cosine(lr, steps=50))",
        "adam(cosine(lr, steps=20, floor=1e-12))",
        "adamw(warmup_cosine(lr, warmup=5, steps=50), decay=0.1)",
        "sgd(cosine(lr, steps=5, at=epoch), momentum=0.9)",
        "rmsprop(step_decay(lr, every=5))",
        "adam(cosine(lr, steps=50), clip_norm=1.0)",
    ],
)
def test_that_last(load, optimizer):
    program = load(optimizer)
    assert list(schedules_over(program, program.recipes["fit"], 0, EPOCHS, BATCHES)) == []


@pytest.mark.parametrize(
    ("optimizer", "every", "first", "runs"),
    [
        ("adam(cosine(lr, steps=40))", "", 41, 50),
        ("adam(cosine(lr, steps=48))", "", 49, 50),
        ("adamw(warmup_cosine(lr, warmup=5, steps=30), decay=0.1)", "", 30, 50),
        ("sgd(cosine(lr, steps=4, at=epoch), momentum=0.9)", "", 41, 50),
        ("adam(cosine(lr, steps=10), clip_norm=1.0)", " every 2", 11, 25),
        ("sgd(cosine(lr, steps=2, at=epoch))", " every 2", 11, 25),
    ],
)
def test_that_end_early(load, optimizer, every, first, runs):
    program = load("sgd(lr)", optimizer, every)
    (found,) = schedules_over(program, program.recipes["fit"], 0, EPOCHS, BATCHES)
    assert (found.step, found.first, found.runs) == ("a", first, runs)
    assert found.span.text == optimizer


def test_more_epochs_than_the_schedule(load):
    """Training tells it, and it is so: the parameters stay."""
    program = load("sgd(cosine(lr, steps=20))", "sgd(cosine(lr, steps=100))")
    data = {"x": np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)}
    for epochs, codes in ((2, []), (4, ["W0082"])):
        seen = Remember()
        options = Options(keep=False, epochs=epochs, callbacks=(seen,))
        trainer = Trainer(program, compile_graph=interpreted, data=data, options=options)
        assert [warning.code for warning in seen.warnings] == codes
        weights = []
        for _ in trainer:
            weights.append({path: array.copy() for path, array in trainer.params.items()})
        for path in weights[-1]:
            stays = np.array_equal(weights[-1][path], weights[-2][path])
            assert stays == (epochs == 4 and path.startswith("A."))
