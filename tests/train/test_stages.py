"""Evaluation in stages: models run by their own programs, the metrics as if they did not."""

from __future__ import annotations

import numpy as np
import pytest
from small_programs import interpreted

from dlc.diagnostics.record import replaced
from dlc.semantics import check_file
from dlc.train.evaluation import evaluate
from dlc.train.metrics import split
from dlc.train.setup import initial_state
from dlc.train.stages import staged

HEAD = """
axis N, M, F = 3, Z = 2, K = 4

model Net(x: f32[N, F]) -> f32[N, K]:
    return x |> Linear(F -> H=5) |> BatchNorm(H) |> relu |> dropout(0.5) |> Linear(H -> K)

model Encoder(x: f32[N, F]) -> (mu: f32[N, Z], spread: f32[N, Z]):
    return x |> Linear(F -> Z), x |> Linear(F -> Z)

model Decoder(z: f32[N, Z]) -> f32[N, F]:
    return z |> Linear(Z -> F)

model Both(x: f32[N, F]) -> f32[N, F]:
    mu, _spread = Encoder(x)
    return Decoder(mu)

model Noisy(x: f32[N, F]) -> f32[N, F]:
    return x * (1 + 0 * normal[N, F]) |> Linear(F -> F)

model Mean(x: f32[N, F]) -> f32:
    return mean(x |> Linear(F -> F))

train fit:
    batch N = 4
    step(x: f32[N, F], label: i32[N]):
"""
LOSS = "minimize mean(cross_entropy(Net(x), label, over=K)) wrt Net using sgd(0.1)"
STEPS = {
    "directly": (f"{LOSS}\nmetric best = max(Net(x))", ["Net", "Net"]),
    "a computed input": (LOSS.replace("Net(x)", "Net(x / 2 + 1)"), ["Net"]),
    "another order": (
        f"{LOSS}\nw = rename(x, F -> K)\nmetric worst = min(Net(rename(w / 3, K -> F)))",
        ["Net", "Net"],
    ),
    "inference": (f"{LOSS}\nmetric top = mean(argmax(inference(Net)(x), over=K) == label)", None),
    "in a row": (
        """
mu, spread = Encoder(x)
z = mu + exp(0.5 * spread) * normal[N, Z]
minimize mean((Decoder(z) - x) ** 2) wrt Encoder, Decoder using sgd(0.1)""",
        ["Encoder", "Decoder"],
    ),
    "models of models": ("minimize mean((Both(x) - x) ** 2) wrt Both using sgd(0.1)", ["Both"]),
    "longer batches": (
        "minimize mean(Net(concat([x, 2 * x], over=N)) ** 2) wrt Net using sgd(0.1)",
        ["Net"],
    ),
    "draws": ("minimize mean((Noisy(x) - x) ** 2) wrt Noisy using sgd(0.1)", []),
    "gradients": (f"{LOSS}\nmetric slope = sum(grad(sum(Net(x)), x) ** 2)", []),
    "means within": ("minimize Mean(x) ** 2 wrt Mean using sgd(0.1)", []),
    "no model at all": (f"{LOSS}\nmetric plain = mean(x)", ["Net"]),
}


def body(text: str) -> str:
    return "".join(f"        {line}\n" for line in text.strip().splitlines())


@pytest.fixture
def recipe(tmp_path):
    def load(text: str):
        (tmp_path / "net.dl").write_text(HEAD + body(text))
        program = check_file(tmp_path / "net.dl")
        return program, program.recipes["fit"]

    return load


def with_calls(program, calls):
    """The program whose one step is known to make these calls."""
    old = program.recipes["fit"]
    new = replaced(old, steps=(replaced(old.steps[0], calls=calls),))
    return replaced(program, recipes={"fit": new})


@pytest.mark.parametrize("name", STEPS)
def test_the_same_metrics(recipe, name):
    text, expected = STEPS[name]
    program, found = recipe(text)
    (step,) = found.steps
    parts = staged(split("step", step.evaluation, "N").graph, step.calls, program.models)
    if expected is not None:
        assert [stage.model for stage in parts.stages] == expected
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(10, 3)).astype(np.float32), "label": np.arange(10) % 4}
    how = {
        "compile_graph": interpreted,
        "weights": initial_state(program, found, 0).arrays,
        "data": data,
    }
    results = [evaluate(given, None, "test", **how) for given in (program, with_calls(program, ()))]
    assert results[0].keys() == results[1].keys() == set(step.metrics)
    for metric, value in results[1].items():
        assert results[0][metric] == pytest.approx(value, rel=1e-6), metric


def test_nothing_of_a_model_is_left_around_it(recipe):
    program, found = recipe(STEPS["directly"][0])
    (step,) = found.steps
    parts = staged(split("step", step.evaluation, "N").graph, step.calls, program.models)
    assert all(stage.given == {"x": "x"} and stage.computed is None for stage in parts.stages)
    assert not [node for node in parts.last.nodes if node.op == "dot"]


def test_given_programs_are_run(recipe):
    """The results of a model are what its program gave, nothing else."""
    program, found = recipe(LOSS)
    weights = initial_state(program, found, 0).arrays
    graph = program.models["Net"].graph

    class Constant:
        inputs = interpreted(graph).inputs

        def run(self, feeds, sizes=None, out=None):
            return {"out": np.zeros((len(feeds["x"]), 4), np.float32)}

    data = {"x": np.ones((6, 3), np.float32), "label": np.zeros(6, np.int32)}
    how = {"compile_graph": interpreted, "weights": weights, "data": data}
    got = evaluate(program, None, "test", models=lambda name: Constant(), **how)
    assert got["loss"] == pytest.approx(np.log(4), rel=1e-6)
