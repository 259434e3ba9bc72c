"""Convolutions and their gradients as products of transformed tiles."""

import numpy as np
import pytest
from native_runs import run_generated

from dlc.codegen.machine import LEVELS, host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

N, C, D, Y, X, KY, KX = (Axis(a) for a in ("N", "C", "D", "Y", "X", "KY", "KX"))
ROWS = Size.symbol("N")


def tensor(name, *dims, role="data"):
    return input_node(name, TensorType.of("f32", dims), role)


def layer(channels, out, image, kernel=3, **steps):
    """x, w and the convolution of both."""
    steps = {"before": 1, "after": 1, **steps}
    x = tensor("x", (N, ROWS), (C, channels), (Y, image), (X, image))
    w = tensor("w", (C, channels), (KY, kernel), (KX, kernel), (D, out), role="param")
    seen = b.window(b.window(x, Y, KY, kernel, **steps), X, KX, kernel, **steps)
    return x, w, b.dot(seen, w, (C, KY, KX))


def gradients(channels, out, image, *, by_input=True, **steps):
    """The gradients of sum(y * g) by the weights, and by x."""
    x, w, y = layer(channels, out, image, **steps)
    g = tensor("g", *y.type.dims)
    loss = b.reduce_sum(b.mul(y, g), y.type.axes)
    outputs = {"dw": b.grad(loss, w)}
    if by_input:
        outputs["dx"] = b.grad(loss, x)
    return lower(Graph((x, w, g), outputs))


def feeds_of(graph, rows):
    rng = np.random.default_rng(1)
    shapes = {n.attrs["name"]: [s.value({"N": rows}) for s in n.type.sizes] for n in graph.inputs}
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def products(graph, level):
    """Operations of the products in a plan for one row."""
    plan = generate(lower(graph), LEVELS[level]).plan
    return sum(r.work.flops.value({"N": 1}) for r in plan.rows if " dot[" in f" {r.label}")


PLAIN, V3, V4 = (), ("x86-64-v3",), ("x86-64-v3", "x86-64-v4")


@pytest.mark.parametrize(
    ("channels", "image", "kernel", "steps", "fewer"),
    [
        (16, 16, 3, {}, V4), (8, 16, 3, {}, PLAIN), (32, 15, 3, {}, V3), (16, 15, 3, {}, PLAIN),
        (16, 3, 3, {}, PLAIN), (64, 5, 3, {}, PLAIN), (16, 8, 3, {}, V4), (32, 16, 3, {}, V4),
        (16, 16, 5, {}, PLAIN), (16, 16, 3, {"stride": 2}, PLAIN), (64, 15, 3, {}, V3),
        (16, 16, 3, {"dilation": 2, "before": 2, "after": 2}, PLAIN),
        (16, 18, 3, {"before": 0, "after": 0}, V4),
    ],
)  # fmt: skip
@pytest.mark.parametrize("level", V4)
def test_which_convolutions_take_fewer_products(channels, image, kernel, steps, fewer, level):
    x, w, y = layer(channels, 16, image, kernel, **steps)
    every = channels * kernel**2 * 2 * y.type.elements.value({"N": 1})
    tiles = every * 16 // 36 * (image + image % 2) ** 2 // image**2
    assert products(Graph((x, w), {"y": y}), level) == (tiles if level in fewer else every)


@pytest.mark.parametrize(
    ("channels", "out", "image", "steps", "fewer"),
    [
        (16, 16, 16, {}, V3), (32, 32, 16, {}, V4), (8, 64, 16, {}, PLAIN), (17, 23, 29, {}, V3),
        (64, 64, 7, {}, PLAIN), (64, 64, 9, {}, V4), (32, 32, 64, {}, PLAIN), (128, 96, 64, {}, V4),
        (32, 32, 16, {"stride": 2}, PLAIN), (32, 32, 16, {"before": 3, "after": 3}, PLAIN),
        (32, 32, 16, {"kernel": 5, "before": 2, "after": 2}, PLAIN),
    ],
)  # fmt: skip
@pytest.mark.parametrize("level", V4)
def test_which_gradients_by_weights_take_fewer_products(channels, out, image, steps, fewer, level):
    graph = gradients(channels, out, image, by_input=False, **steps)
    kernel = steps.get("kernel", 3)
    results = graph.inputs[2].type.elements.value({"N": 1})
    every = channels * kernel**2 * 2 * results
    tiles = channels * out * 2 * (4 * -(-image // 2)) ** 2
    assert products(graph, level) == (tiles if level in fewer else every)


def test_a_gradient_by_weights_of_single_channels_is_none_of_these():
    x, g = (tensor(name, (N, ROWS), (C, 64), (Y, 16), (X, 16)) for name in ("x", "g"))
    seen = b.window(b.window(x, Y, KY, 3, before=1, after=1), X, KX, 3, before=1, after=1)
    graph = lower(Graph((x, g), {"dw": b.dot(seen, g, (N, Y, X))}))
    plan = generate(graph, host()).plan
    assert not [row.label for row in plan.rows if "tile_in" in row.label]
    feeds = feeds_of(graph, 3)
    want = interpret(graph, feeds)["dw"]
    found = run_generated(generate(graph, host()), graph, feeds)["dw"]
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-3)


def test_both_gradients_share_the_tiles_of_what_they_are_made_of():
    plan = generate(gradients(32, 32, 16), host()).plan
    made = [row.label for row in plan.rows if "broadcast[N" in row.label and "tile_in" in row.label]
    assert len(made) == 2  # of x and of g
    alone = generate(gradients(32, 32, 16, by_input=False), host()).plan
    assert len([row for row in alone.rows if "tile_in" in row.label]) >= 4


@pytest.mark.parametrize("rows", [0, 1, 9, 17])
@pytest.mark.parametrize(
    ("channels", "out", "image", "steps"),
    [
        (32, 32, 16, {}), (16, 32, 16, {}), (32, 24, 13, {}), (64, 96, 12, {}),
        (32, 32, 16, {"before": 0, "after": 0}), (32, 32, 14, {"before": 2, "after": 2}),
        (32, 32, 15, {"before": 0, "after": 2}), (32, 32, 15, {"before": 2, "after": 1}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by_input", [True, False])
def test_gradients_of_any_edge(channels, out, image, steps, by_input, rows):
    graph = gradients(channels, out, image, by_input=by_input, **steps)
    generated = generate(graph, host())
    feeds = feeds_of(graph, rows)
    exact = interpret(widen(graph), {k: v.astype(np.float64) for k, v in feeds.items()})
    one = run_generated(generated, graph, feeds, 1)
    runs = [run_generated(generated, graph, feeds, threads) for threads in (2, 11)]
    runs.append(run_generated(generated, graph, feeds, 2, checked=True))
    for name, value in exact.items():
        scale = np.abs(value).max(initial=1.0)
        assert np.abs(one[name] - value).max(initial=0.0) <= 1e-5 * scale, name
        assert all(np.array_equal(one[name], run[name]) for run in runs), name


def test_transformed_tiles_are_as_exact_as_the_plain_sum():
    x, w, y = layer(64, 32, 12)
    g = tensor("g", *y.type.dims)
    loss = b.reduce_sum(b.mul(y, g), y.type.axes)
    outputs = {"y": y, "dx": b.grad(loss, x), "dw": b.grad(loss, w)}
    graph = lower(Graph((x, w, g), outputs))
    feeds = feeds_of(graph, 3)
    exact = interpret(widen(graph), {k: v.astype(np.float64) for k, v in feeds.items()})
    plain, ours = interpret(graph, feeds), run_generated(generate(graph, host()), graph, feeds)
    for name, value in exact.items():
        plain_error, error = (np.abs(a[name] - value).mean() for a in (plain, ours))
        assert error <= 2 * plain_error, name
