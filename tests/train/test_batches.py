"""Rows of a declared number, and metrics of steps that do not run on each batch."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from small_programs import interpreted
from test_loop import refused

from dlc.runtime.build import build_executable
from dlc.semantics import check_file
from dlc.train.evaluation import evaluate
from dlc.train.loop import Trainer
from dlc.train.options import Options
from dlc.train.order import epoch_batches

FIXED = """
axis N = 8, F = 3
model Line(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> ()) |> dropout(0.1)
train fit:
    epochs = 2
    step(x: f32[N, F], y: f32[N]):
        minimize mean((Line(x) - y) ** 2) wrt Line using sgd(0.01)
        metric error = mean(abs(Line(x) - y))
"""
OFTEN = """
axis N, F = 3
model A(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> ())
model B(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> ())
train fit:
    batch N = 4
    epochs = 4
    step a(x: f32[N, F]):
        minimize mean(A(x) ** 2) wrt A using sgd(0.01)
        metric level = mean(x)
    step b(x: f32[N, F]) every K:
        minimize mean(B(x) ** 2) wrt B using sgd(0.01)
        metric level = mean(x)
"""


def points(rows):
    x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    return {"x": x, "y": x.sum(1)}


@pytest.fixture
def load(tmp_path):
    def program(text):
        (tmp_path / "net.dl").write_text(text)
        return check_file(tmp_path / "net.dl")

    return program


@pytest.mark.parametrize("interpret", [True, False])
def test_rows_of_a_declared_size(load, interpret):
    """Without `batch` all rows are one; training is that of a program that learns their number."""
    runs = []
    for axis in ("N = 8", "N"):
        program = load(FIXED.replace("axis N = 8", f"axis {axis}"))
        factory = partial(build_executable, interpret=interpret)
        how = {"data": points(8), "validation": points(8), "test": points(8)}
        trainer = Trainer(program, compile_graph=factory, options=Options(keep=False), **how)
        assert (trainer.batches, trainer.data.batch) == (1, 8)
        runs.append(trainer.run())
    for record, other in zip(*(run.history for run in runs), strict=True):
        assert record.train == pytest.approx(other.train, rel=1e-5)
        assert record.validation == pytest.approx(other.validation, rel=1e-5)
    assert runs[0].test == pytest.approx(runs[1].test, rel=1e-5)


@pytest.mark.parametrize("purpose", ["data", "validation", "test"])
def test_another_number_of_rows(load, purpose):
    """Refused before anything compiles."""
    given = {"data": points(8)} | {purpose: points(12)}
    how = {"compile_graph": None, "options": Options(keep=False)}
    text = refused("E0737", Trainer, load(FIXED), **given, **how)
    name = "training" if purpose == "data" else purpose
    assert f"the {name} data have 12 rows, but N is 8" in text
    assert "declare `axis N` without a size, and say `batch N = 8`" in text


def test_another_number_of_rows_in_evaluation(load):
    program = load(FIXED)
    weights = {"Line.linear_0.weight": np.ones(3, np.float32), "Line.linear_0.offset": np.zeros(())}
    how = {"compile_graph": interpreted, "weights": weights}
    refused("E0737", evaluate, program, None, "test", data=points(16), **how)
    found = evaluate(program, None, "test", data=points(8), **how)
    assert found["error"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_metrics_of_every_so_many_batches(load, tmp_path, every):
    """Each line of the metrics tells a step's own runs: batches count through all epochs."""
    program = load(OFTEN.replace("every K", f"every {every}"))
    x, held = points(18)["x"], points(10)["x"]
    options = Options(folder=tmp_path / "run")
    trainer = Trainer(
        program, compile_graph=interpreted, data={"x": x}, validation={"x": held}, options=options
    )
    trainer.run()
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    number = 0
    for epoch, line in enumerate(lines, 1):
        own = []
        for batch in epoch_batches(np.arange(18), 4, 0, epoch):
            number += 1
            own += [x[batch]] if number % every == 0 else []
        assert line["train"]["a.level"] == pytest.approx(x.mean(), rel=1e-5)
        assert ("b.level" in line["train"]) == ("b.loss" in line["train"]) == bool(own)
        if own:
            mean = np.concatenate(own).mean()
            assert line["train"]["b.level"] == pytest.approx(mean, rel=1e-5)
        assert line["validation"]["b.level"] == pytest.approx(held.mean(), rel=1e-5)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert trainer.state.counters == {"a": 20, "b": 20 // every}
