"""Gradients against central differences in float64, nested ones, and those that do not exist."""

import numpy as np
import pytest

from dlc.diagnostics import DlcError, Source, Span
from dlc.graph import FLOATS, Axis, Graph, Node, Size, TensorType, input_node
from dlc.ops import REGISTRY, build
from dlc.reference.interpreter import interpret
from dlc.reference.random_graphs import random_graph
from dlc.reference.verify import verify
from dlc.transform.autodiff import expand_gradients
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

N, K = Axis("N"), Axis("K")
ROUGH = ("grad", "stop_gradient", "floor", "ceil", "round", "sign", "floordiv", "mod", "cast")
SMOOTH = tuple(n for n in REGISTRY if n not in ROUGH)


def scalar(outputs):
    """A smooth number that depends on all float outputs."""
    parts = [build.cast(build.tanh(o), "f64") for o in outputs if o.type.dtype in FLOATS]
    total = build.const(0.0, "f64")
    for part in parts:
        total = build.add(total, build.reduce_sum(part, part.type.axes))
    return total


def doubles(feeds):
    return {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in feeds.items()}


def slope(graph, feeds, along, step=1e-6):
    """The directional derivative of the output `y`, by differences."""
    values = [
        interpret(graph, {**feeds, **{k: feeds[k] + sign * step * d for k, d in along.items()}})
        for sign in (1, -1)
    ]
    return (values[0]["y"] - values[1]["y"]) / (2 * step)


@pytest.mark.parametrize("chunk", range(4))
def test_random_graphs_against_differences(chunk):
    for seed in range(25 * chunk, 25 * chunk + 25):
        graph, feeds = random_graph(seed, ops=SMOOTH, size=10)
        feeds = doubles(feeds)
        y = scalar(graph.outputs.values())
        xs = {n.attrs["name"]: n for n in graph.inputs if n.type.dtype in FLOATS}
        outputs = {"y": y, **{f"d{k}": build.grad(y, x) for k, x in xs.items()}}
        expanded = verify(expand_gradients(widen(Graph(graph.inputs, outputs))))
        found = interpret(expanded, feeds)
        lowered = interpret(verify(lower(expanded)), feeds)
        for name, value in found.items():
            np.testing.assert_allclose(lowered[name], value, 1e-9, 1e-9, err_msg=f"seed {seed}")
        rng = np.random.default_rng(seed)
        along = {k: rng.normal(size=feeds[k].shape) for k in xs}
        forward = Graph(expanded.inputs, {"y": expanded.outputs["y"]})
        expected = slope(forward, feeds, along)
        actual = sum(np.sum(found[f"d{k}"] * along[k]) for k in xs)
        assert abs(actual - expected) <= 1e-5 * (1 + abs(expected)), f"seed {seed}"


def test_gradients_of_gradients_against_differences():
    ops = [n for n in SMOOTH if REGISTRY[n].kind in ("map", "dot", "view", "reduce")]
    for seed in range(25):
        graph, feeds = random_graph(seed, ops=ops, size=6)
        feeds = doubles(feeds)
        x = graph.inputs[0]
        inner = build.grad(scalar(graph.outputs.values()), x)
        y = scalar([inner])
        outputs = {"y": y, "dx": build.grad(y, x)}
        expanded = verify(expand_gradients(widen(Graph(graph.inputs, outputs))))
        along = {"x0": np.random.default_rng(seed).normal(size=feeds["x0"].shape)}
        expected = slope(Graph(expanded.inputs, {"y": expanded.outputs["y"]}), feeds, along)
        actual = np.sum(interpret(expanded, feeds)["dx"] * along["x0"])
        assert abs(actual - expected) <= 1e-4 * (1 + abs(expected)), f"seed {seed}"


def test_three_derivatives_of_a_power():
    x = input_node("x", TensorType("f64"))
    y = build.pow(x, 5.0)
    outputs = {}
    for order in range(1, 4):
        y = build.grad(y, x)
        outputs[f"d{order}"] = y
    got = interpret(verify(lower(Graph((x,), outputs))), {"x": np.float64(1.5)})
    expected = {"d1": 5 * 1.5**4, "d2": 20 * 1.5**3, "d3": 60 * 1.5**2}
    assert all(np.isclose(got[k], v) for k, v in expected.items())


def test_a_gradient_inside_the_loss():
    """The penalty of a Wasserstein critic: the loss holds the norm of a gradient."""
    x = input_node("x", TensorType.of("f64", [(K, 3)]))
    w = input_node("w", TensorType.of("f64", [(K, 3)]), "param")
    inner = build.grad(build.tanh(build.dot(x, w, (K,))), x)
    loss = build.reduce_sum(build.mul(inner, inner), (K,))
    graph = verify(lower(Graph((x, w), {"y": loss, "dw": build.grad(loss, w)})))
    rng = np.random.default_rng(0)
    feeds, along = {k: rng.normal(size=3) for k in "xw"}, {"w": rng.normal(size=3)}
    got = interpret(graph, feeds)["dw"] @ along["w"]
    assert np.isclose(got, slope(Graph(graph.inputs, {"y": graph.outputs["y"]}), feeds, along))


def test_all_gradients_of_one_loss_share_one_walk():
    n = 300
    params = [input_node(f"w{i}", TensorType("f32"), "param") for i in range(n)]
    y = params[0]
    for w in params[1:]:
        y = build.tanh(build.mul(y, w))
    outputs = {f"d{i}": build.grad(y, w) for i, w in enumerate(params)}
    assert len(expand_gradients(Graph(tuple(params), outputs)).nodes) < 12 * n


def test_only_what_lies_between_is_walked():
    x, w = (input_node(k, TensorType.of("f32", [(K, 3)])) for k in "xw")
    side = build.exp(build.exp(x))
    y = build.reduce_sum(build.mul(side, w), (K,))
    graph = expand_gradients(Graph((x, w), {"dw": build.grad(y, w)}))
    assert [n.op for n in graph.nodes].count("scale") == 1


def test_gradient_nodes_have_the_places_of_forward_nodes():
    source = Source("a.dl", "y = exp(x)\n")
    span, asked = Span(source, 4, 10), Span(source, 0, 1)
    x = input_node("x", TensorType.of("f32", [(K, 3)]))
    e = Node("exp", (x,), x.type, {}, (span,), "Net.layer_0")
    y = build.reduce_sum(e, (K,))
    grad = Node("grad", (y, x), x.type, {}, (asked,))
    out = expand_gradients(Graph((x,), {"out": grad})).outputs["out"]
    assert (out.op, out.spans, out.path) == ("scale", (span,), "Net.layer_0")


def test_a_gradient_through_an_order_alone_is_a_mistake():
    source = Source("a.dl", "sort(x)")
    x = input_node("x", TensorType.of("f32", [(K, 3)]))
    order = Node("argsort", (x,), x.type.cast("i32"), {"over": (K,)}, (Span(source, 0, 4),))
    sorted_x = build.gather(x, (order,), (K,))
    weighted = build.mul(build.cast(order, "f32"), 2)
    fine = build.reduce_sum(build.mul(sorted_x, sorted_x), (K,))
    lower(Graph((x,), {"out": build.grad(fine, x)}))
    with pytest.raises(DlcError) as caught:
        lower(Graph((x,), {"out": build.grad(build.reduce_sum(weighted, (K,)), x)}))
    (found,) = caught.value.diagnostics
    assert (found.code, found.message, str(found.span)) == (
        "E0512", "no gradient through argsort", "a.dl:1:1",
    )  # fmt: skip


def test_half_precision_gradients_have_the_operand_s_dtype():
    x = input_node("x", TensorType.of("f16", [(N, Size.symbol("N")), (K, 3)]))
    y = build.reduce_sum(build.cast(build.mul(x, x), "f32"), (N, K))
    graph = verify(lower(Graph((x,), {"out": build.grad(y, x)})))
    value = np.ones((2, 3), np.float16) * 3
    assert np.all(interpret(graph, {"x": value})["out"] == np.float16(6))
