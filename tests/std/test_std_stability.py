"""Values and slopes are finite and right at the ends of the range, at ties, for rows of -inf."""

import math

import numpy as np
import pytest

from dlc.diagnostics import Source
from dlc.graph import FLOATS, Graph
from dlc.ops import build
from dlc.reference.interpreter import interpret
from dlc.semantics import check_file
from dlc.transform.pipeline import lower

INF = math.inf


def run(body, inputs="x: f32[N]", result="f32[N]", **feeds):
    """The result and the slopes of its sum, in float32."""
    text = f"axis N, K = 3\nmodel M({inputs}) -> {result}:\n    return {body}\n"
    graph = check_file(Source("stable.dl", text)).models["M"].graph
    (out,) = graph.outputs.values()
    y = build.reduce_sum(out, out.type.axes) if out.type.axes else out
    slopes = {n.attrs["name"]: build.grad(y, n) for n in graph.inputs if n.type.dtype in FLOATS}
    lowered = lower(Graph(graph.inputs, {"out": out, **slopes}))
    arrays = {k: np.asarray(v, np.int32 if k == "label" else np.float32) for k, v in feeds.items()}
    with np.errstate(all="ignore"):
        return interpret(lowered, arrays)


ENDS = [-1e4, -50, 0, 50, 1e4]


@pytest.mark.parametrize(
    ("body", "values", "slopes"),
    [
        ("relu(x)", [0, 0, 0, 50, 1e4], [0, 0, 0, 1, 1]),
        ("leaky_relu(x)", [-100, -0.5, 0, 50, 1e4], [0.01, 0.01, 0.01, 1, 1]),
        ("elu(x)", [-1, -1, 0, 50, 1e4], [0, 0, 1, 1, 1]),
        ("gelu(x)", [0, 0, 0, 50, 1e4], [0, 0, 0.5, 1, 1]),
        ("silu(x)", [0, 0, 0, 50, 1e4], [0, 0, 0.5, 1, 1]),
        ("sigmoid(x)", [0, 0, 0.5, 1, 1], [0, 0, 0.25, 0, 0]),
        ("tanh(x)", [-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
        ("softplus(x)", [0, 0, math.log(2), 50, 1e4], [0, 0, 0.5, 1, 1]),
        ("bce_logits(x, 1)", [1e4, 50, math.log(2), 0, 0], [-1, -1, -0.5, 0, 0]),
        ("bce_logits(x, 0)", [0, 0, math.log(2), 50, 1e4], [0, 0, 0.5, 1, 1]),
        ("huber(x, 0)", [1e4 - 0.5, 49.5, 0, 49.5, 1e4 - 0.5], [-1, -1, 0, 1, 1]),
    ],
)
def test_ends_of_the_range(body, values, slopes):
    found = run(body, x=ENDS)
    np.testing.assert_allclose(found["out"], values, 1e-5, 1e-8)
    np.testing.assert_allclose(found["x"], slopes, 1e-5, 1e-8)


@pytest.mark.parametrize("body", ["relu(x)", "elu(x)", "silu(x)", "gelu(x)", "leaky_relu(x)"])
def test_a_nan_stays_one(body):
    assert np.isnan(run(body, x=[math.nan])["out"])


ROWS = {"inputs": "x: f32[N, K]", "result": "f32[N, K]"}
HARD = [[-INF] * 3, [1e4, -1e4, 0], [-INF, 2, 2], [-1e4] * 3]


def test_softmax():
    found = run("softmax(x, over=K)", **ROWS, x=HARD)
    np.testing.assert_allclose(found["out"], [[0] * 3, [1, 0, 0], [0, 0.5, 0.5], [1 / 3] * 3], 1e-6)
    np.testing.assert_allclose(found["x"], 0, atol=1e-6)


def test_log_softmax():
    found = run("log_softmax(x, over=K)", **ROWS, x=HARD)
    third = math.log(1 / 3)
    half = math.log(0.5)
    np.testing.assert_allclose(
        found["out"], [[-INF] * 3, [0, -2e4, -1e4], [-INF, half, half], [third] * 3], 1e-6
    )
    assert np.isfinite(found["x"]).all()


def test_logsumexp():
    found = run("logsumexp(x, over=K)", ROWS["inputs"], x=HARD)
    np.testing.assert_allclose(found["out"], [-INF, 1e4, 2 + math.log(2), -1e4 + math.log(3)], 1e-6)
    np.testing.assert_allclose(found["x"], [[0] * 3, [1, 0, 0], [0, 0.5, 0.5], [1 / 3] * 3], 1e-6)


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_cross_entropy(smoothing):
    rows = [[1e4, -1e4, 0], [0, 0, 0], [-1e4, 1e4, 1e4]]
    body = f"cross_entropy(x, label, over=K, smoothing={smoothing})"
    found = run(body, "x: f32[N, K], label: i32[N]", x=rows, label=[0, 1, 0])
    if smoothing == 0:
        np.testing.assert_allclose(found["out"], [0, math.log(3), 2e4 + math.log(2)], 1e-6)
        np.testing.assert_allclose(
            found["x"], [[0] * 3, [1 / 3, -2 / 3, 1 / 3], [-1, 0.5, 0.5]], 1e-6, 1e-6
        )
    assert np.isfinite(found["out"]).all()
    assert np.isfinite(found["x"]).all()


def test_cross_entropy_with_an_impossible_other_class():
    body = "cross_entropy(x, label, over=K)"
    found = run(body, "x: f32[N, K], label: i32[N]", x=[[-INF, 1, 1]], label=[1])
    np.testing.assert_allclose(found["out"], math.log(2), 1e-6)
    np.testing.assert_allclose(found["x"], [[0, -0.5, 0.5]], 1e-6)


def test_divergence_where_a_class_is_impossible():
    found = run("kl(x, y, over=K)", "x: f32[N, K], y: f32[N, K]",
                x=[[-INF, math.log(0.5), math.log(0.5)]], y=[[-INF, -INF, 0]])  # fmt: skip
    assert found["out"] == INF
    found = run("kl(x, y, over=K)", "x: f32[N, K], y: f32[N, K]",
                x=[[-INF, 0, -INF]], y=[[0, -1, -INF]])  # fmt: skip
    np.testing.assert_allclose(found["out"], [1])
    assert np.isfinite(found["x"]).all()
    assert np.isfinite(found["y"]).all()


def test_bce_of_certain_probabilities():
    found = run("bce(x, y)", "x: f32[N], y: f32[N]", x=[0, 1, 0, 1], y=[0, 1, 1, 0])
    np.testing.assert_allclose(found["out"], [0, 0, 100, 100], atol=1e-6)
    assert np.isfinite(found["x"]).all()


def test_losses_without_a_slope_at_equality():
    for body in ("mae(x, 1)", "mse(x, 1)"):
        found = run(body, result="f32", x=[1.0, 1.0])
        np.testing.assert_array_equal(found["x"], 0)


def test_first_of_equal_elements_takes_the_slope_of_a_pool():
    found = run("max_pool(x, 2, over=K)", ROWS["inputs"], "f32[N, K=1]", x=[[1, 1, 9], [2, 3, 9]])
    np.testing.assert_array_equal(found["x"], [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("init", "deviation", "bound"),
    [
        ("he_normal", math.sqrt(2 / 600), INF),
        ("he_uniform", math.sqrt(2 / 600), math.sqrt(6 / 600)),
        ("glorot_normal", math.sqrt(2 / 1000), INF),
        ("glorot_uniform", math.sqrt(2 / 1000), math.sqrt(6 / 1000)),
        ("lecun_normal", math.sqrt(1 / 600), INF),
        ("normal_init", 0.01, INF),
        ("uniform_init", 0.05 / math.sqrt(3), 0.05),
    ],
)
def test_initial_values(init, deviation, bound):
    text = (
        "axis N, C = 20, T = 30, K = 400\nmodel M(x: f32[N, C, T]) -> f32[N, K]:\n"
        f"    return Linear((C, T) -> K, init={init})(x)\n"
    )
    graph = lower(check_file(Source("init.dl", text)).init())
    seeds = {n.attrs["name"]: np.int64(3) for n in graph.inputs}
    weight = interpret(graph, seeds)["M.linear_0.weight"]
    assert weight.shape == (20, 30, 400)
    assert abs(weight.mean()) < deviation / 100
    assert weight.std() == pytest.approx(deviation, rel=0.01)
    assert np.abs(weight).max() <= bound


def test_constant_initial_values():
    text = (
        "axis N, K = 4\ndef third(In -> Out) -> float[In, Out]:\n"
        "    return constant_init(In -> Out, value=0.5)\n"
        "model M(x: f32[N, K]) -> f32[N, K=2]:\n"
        "    return Linear(K -> 3, init=zeros)(x) |> Linear(K -> 5, init=ones) "
        "|> Linear(K -> 2, init=third)\n"
    )
    found = interpret(lower(check_file(Source("init.dl", text)).init()), {})
    for number, value in enumerate((0, 1, 0.5)):
        assert (found[f"M.linear_{number}.weight"] == value).all()


@pytest.mark.parametrize(("rows", "columns"), [(40, 40), (60, 8), (8, 60)])
def test_orthogonal_initial_values(rows, columns):
    text = (
        f"axis N, F = {rows}, K = {columns}\nmodel M(x: f32[N, F]) -> f32[N, K]:\n"
        "    return Linear(F -> K, init=orthogonal)(x)\n"
    )
    graph = lower(check_file(Source("init.dl", text)).init())
    seeds = {n.attrs["name"]: np.int64(3) for n in graph.inputs}
    weight = interpret(graph, seeds)["M.linear_0.weight"]
    np.testing.assert_allclose(np.linalg.svd(weight, compute_uv=False), 1, atol=1e-5)
