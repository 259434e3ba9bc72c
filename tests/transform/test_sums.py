"""Factors that are the same for all that is summed leave the sum."""

import numpy as np
import pytest

from dlc.diagnostics import Source
from dlc.graph import Axis, Graph, Size, TensorType, input_node, order
from dlc.ops import build
from dlc.ops.build import make
from dlc.reference.interpreter import interpret
from dlc.semantics import check_file
from dlc.transform.pipeline import lower
from dlc.transform.simplify import simplify

N, C = Axis("N", 1), Axis("C", 2)
ROWS = TensorType("f32", ((N, Size.of(6)), (C, Size.of(4))))
CHANNEL = TensorType("f32", ((C, Size.of(4)),))
NORMALISED = """
axis N, C = 16, Y = 8, X = 8
model Net(x: f32[N, C, Y, X]) -> f32[N, C, Y, X]:
    return x |> Conv(C -> 16, kernel=3, pad=1, bias=false) |> BatchNorm(C) |> relu
train fit:
    batch N = 8
    step(x: f32[N, C, Y, X]):
        minimize mean(Net(x) ** 2) wrt Net using sgd(1e-3)
"""


def graph_of(node):
    return Graph(tuple(n for n in order([node]) if n.op == "input"), {"y": node})


def summed(node):
    return make("reduce_sum", (node,), {"over": (N,)})


def found(node):
    """What the one output of a graph becomes."""
    return simplify(graph_of(node)).outputs["y"]


def inputs():
    kinds = {"x": ROWS, "g": ROWS, "c": CHANNEL, "d": CHANNEL}
    return [input_node(name, kind) for name, kind in kinds.items()]


def test_factors_of_the_kept_axes_leave_gradients():
    x, g, c, d = inputs()
    twice = make("scale", (g, c))
    for inner in (
        make("scale", (g, make("mul", (x, c)))),
        make("scale", (make("scale", (g, c)), make("mul", (x, d)))),
        make("scale", (make("mul", (g, c)), x)),
        make("scale", (c, x)),
        make("neg", (make("scale", (g, c)),)),
        make("add", (twice, twice)),
    ):
        graph = simplify(graph_of(summed(inner)))
        (total,) = [n for n in graph.nodes if n.op == "reduce_sum"]
        assert not {c, d} & {*graph_of(total).inputs}


def test_what_varies_and_what_programs_sum_stays():
    """Sums of a program's own could be too large without their factors."""
    x, g, c, _ = inputs()
    for inner in (make("scale", (x, g)), make("mul", (x, c)), make("div", (x, c))):
        assert found(summed(inner)).op == "reduce_sum"


@pytest.mark.parametrize("form", ["scale", "mul"])
def test_cotangents_of_zero_make_no_gradient(form):
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal((6, 4)) for name in "xg"}
    feeds["c"] = np.array([1.5, 3.5, 0, 0])
    feeds["g"][:, 1] = 0
    feeds["x"][2, 1:3] = np.inf  # where the cotangent is 0, or becomes 0 by its factor
    feeds = {name: array.astype(np.float32) for name, array in feeds.items()}
    x, g, c, _ = inputs()
    graph = graph_of(summed(make("scale", (make(form, (g, c)), x))))
    before, after = interpret(graph, feeds)["y"], interpret(simplify(graph), feeds)["y"]
    assert not after[1:].any()
    np.testing.assert_allclose(after, before, 1e-6)


def test_a_sum_of_one_known_element_is_the_element():
    k, g, n = Axis("K", 3), Axis("G", 4), Size.of(6)
    place = input_node("place", TensorType("i32", ((N, n),)))
    value = input_node("value", TensorType("f32", ((N, n), (C, Size.of(4)))))
    index = make("index", (), {"axis": k, "size": Size.of(5)})
    hot = build.where(build.eq(index, place), value, build.const(0.0, "f32"))
    hot = build.rename(hot, {k: g})
    feeds = {
        "place": np.array([0, 4, 5, -1, 2, 2], np.int32),
        "value": np.arange(24, dtype=np.float32).reshape(6, 4),
    }
    for over, most in (((g,), 0), ((N, g), 1), ((N,), 1)):
        graph = graph_of(make("reduce_sum", (hot,), {"over": over}))
        after = simplify(graph)
        sums = [n for n in after.nodes if n.op == "reduce_sum"]
        assert len(sums) == most
        assert not any(n.attrs["over"] == (g,) or g in n.attrs["over"] for n in sums)
        want, got = interpret(graph, feeds)["y"], interpret(after, feeds)["y"]
        assert want.shape == got.shape
        assert (want == got).all()


def test_narrow_sums_keep_their_factors():
    kind = TensorType("f16", ROWS.dims)
    x, c = input_node("x", kind), input_node("c", TensorType("f16", CHANNEL.dims))
    assert found(summed(make("scale", (x, c)))).op == "reduce_sum"


def test_the_gradient_of_a_normalisation_sums_once():
    """Over the whole image: the mean, the variance, and two sums of the gradient in one pass."""
    program = check_file(Source("net.dl", NORMALISED))
    graph = lower(program.recipes["fit"].steps[0].graph)
    sums = [n for n in graph.nodes if n.op == "reduce_sum" and len(n.attrs["over"]) == 3]
    assert len(sums) == 4


@pytest.mark.parametrize(
    ("mean", "sums"),
    [
        (lambda total: build.div(total, 6.0), 0),
        (lambda total: build.mul(total, 1 / 6), 0),
        (lambda total: build.div(total, build.cast(build.size(6), "f32")), 0),
        (lambda total: build.div(total, 5.0), 2),
        (lambda total: build.mul(total, 0.2), 2),
        (lambda total: build.div(total, build.cast(build.size(4), "f32")), 2),
    ],
)
def test_what_is_around_its_mean_sums_to_nothing(mean, sums):
    x = input_node("x", ROWS)
    node = summed(build.sub(x, mean(summed(x))))
    assert len([n for n in order([found(node)]) if n.op == "reduce_sum"]) == sums
    feeds = {"x": np.random.default_rng(3).uniform(-1, 1, (6, 4)).astype(np.float32)}
    got = interpret(simplify(graph_of(node)), feeds)["y"]
    np.testing.assert_allclose(got, interpret(graph_of(node), feeds)["y"], atol=1e-6)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_count_that_is_one_less_is_no_mean(dtype):
    kind = TensorType(dtype, ((N, Size.of(2_000_000)),))
    x = input_node("x", kind)
    for number, sums in ((2e6, 0), (2e6 - 1, 2)):
        node = summed(build.sub(x, build.div(summed(x), number)))
        assert len([n for n in order([found(node)]) if n.op == "reduce_sum"]) == sums


def test_what_is_around_another_mean_keeps_its_sum():
    x, g, *_ = inputs()
    away = build.sub(x, build.div(summed(g), 6.0))
    assert len([n for n in order([found(summed(away))]) if n.op == "reduce_sum"]) == 2
