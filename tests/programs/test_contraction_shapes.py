"""Products and convolutions of many shapes: right at every batch, a row alike in each of them."""

from dataclasses import replace

import numpy as np
import pytest
from native_runs import run_generated

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.schedule.schedule import schedule
from dlc.schedule.tile import Target
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

N, G, C, D, Y, X, KY, KX = (Axis(a) for a in ("N", "G", "C", "D", "Y", "X", "KY", "KX"))
ROWS = Size.symbol("N")
BATCHES = (0, 1, 5, 33)
CLOSE = 2e-5


def tensor(name, *dims, role="data"):
    return input_node(name, TensorType.of("f32", dims), role)


def graph_with_gradients(inputs, y):
    """The result, and the gradients of a loss that is smooth where relu is not."""
    loss = b.reduce_sum(b.mul(y, y), y.type.axes)
    outputs = {"y": y} | {f"d{n.attrs['name']}": b.grad(loss, n) for n in inputs}
    return lower(Graph(tuple(inputs), outputs))


def feeds_of(graph, rows):
    """The first rows of the same arrays for every batch."""
    rng = np.random.default_rng(0)
    found = {}
    for node in graph.inputs:
        shape = [n.value({"N": max(BATCHES)}) for n in node.type.sizes]
        every = rng.uniform(-1, 1, shape).astype(np.float32)
        where = tuple(slice(rows) if n == ROWS else slice(None) for n in node.type.sizes)
        found[node.attrs["name"]] = np.ascontiguousarray(every[where])
    return found


def check(graph, machine=None):
    generated = generate(graph, machine or host())
    exact = widen(graph)
    alike = {}
    for rows in BATCHES:
        feeds = feeds_of(graph, rows)
        want = interpret(exact, {k: v.astype(np.float64) for k, v in feeds.items()})
        got = run_generated(generated, graph, feeds, checked=rows < 10)
        shared = run_generated(generated, graph, feeds, threads=3)
        for name, value in want.items():
            scale = np.abs(value).max(initial=1.0)
            assert np.abs(got[name] - value).max(initial=0.0) <= CLOSE * scale, (name, rows)
            assert np.array_equal(got[name], shared[name]), (name, rows)
        if rows:
            first = alike.setdefault("y", got["y"][0])
            assert np.array_equal(got["y"][0], first), rows


@pytest.mark.parametrize(
    ("summed", "wide"),
    [
        (1, 16),
        (7, 10),
        (40, 33),
        (200, 40),
        (300, 17),
        (70, 2),
        (90, 3),
        (64, 130),
        (520, 48),
        (1030, 8),
        (2100, 64),
    ],
)
def test_dense_layers(summed, wide):
    x, w = tensor("x", (N, ROWS), (C, summed)), tensor("w", (C, summed), (D, wide), role="param")
    bias = tensor("b", (D, wide), role="param")
    y = b.add(b.dot(x, w, (C,)), bias)
    check(graph_with_gradients((x, w, bias), b.where(b.le(y, 0), 0, y)))


def test_rows_of_two_axes():
    x, w = tensor("x", (N, ROWS), (Y, 6), (C, 700)), tensor("w", (C, 700), (D, 64), role="param")
    check(graph_with_gradients((x, w), b.tanh(b.dot(x, w, (C,)))))


@pytest.mark.parametrize("rows", [1, 7, 15, 345, 500])
@pytest.mark.parametrize("columns", [512, 530, 1000])
def test_columns_of_several_units(rows, columns):
    """Units that lie side by side share what is copied, whoever computes how many of them."""
    x, w = tensor("x", (N, ROWS), (C, 600)), tensor("w", (C, 600), (D, columns))
    graph = lower(Graph((x, w), {"y": b.dot(x, w, (C,))}))
    generated = generate(graph, host())
    (row,) = generated.plan.rows
    assert row.run >= 4
    rng = np.random.default_rng(rows)
    feeds = {
        "x": rng.uniform(-1, 1, (rows, 600)).astype(np.float32),
        "w": rng.uniform(-1, 1, (600, columns)).astype(np.float32),
    }
    got = run_generated(generated, graph, feeds, checked=True)["y"]
    assert np.abs(got - feeds["x"].astype("f8") @ feeds["w"]).max() < 1e-4
    for threads in (1, 2, 3, 5):
        shared = run_generated(generated, graph, feeds, threads=threads)["y"]
        assert np.array_equal(got, shared), threads


def test_weights_that_stay_are_copied_to_panels_once():
    x, w = tensor("x", (N, ROWS), (C, 100)), tensor("w", (C, 100), (D, 80), role="param")
    graph = lower(Graph((x, w), {"y": b.dot(x, w, (C,))}))
    plan = generate(graph, host()).plan
    assert (plan.prepared, len(plan.rows)) == (1, 2)
    moved = lower(Graph((x, w), {"y": b.dot(x, w, (C,)), "update:w": b.add(w, w)}))
    assert generate(moved, host()).plan.prepared == 0


@pytest.mark.parametrize(("wide", "rows"), [(128, 1), (8, 2)])
def test_a_large_weight_is_updated_where_its_gradient_is_computed(wide, rows):
    """The gradient has no memory then. Updates of small weights are kernels that all share."""
    x, g = tensor("x", (N, ROWS), (C, 300)), tensor("g", (N, ROWS), (D, wide))
    weight, moment = (tensor(name, (C, 300), (D, wide), role="param") for name in ("w", "m"))
    moved = b.add(b.mul(moment, b.const(0.9, "f32")), b.dot(x, g, (N,)))
    updates = {"update:w": b.sub(weight, b.mul(moved, b.const(0.1, "f32"))), "update:m": moved}
    graph = lower(Graph((x, g, weight, moment), updates))
    generated = generate(graph, host())
    assert len(generated.plan.rows) == rows
    feeds = feeds_of(graph, 33)
    want = interpret(widen(graph), {k: v.astype("f8") for k, v in feeds.items()})
    got = run_generated(generated, graph, feeds, checked=True)
    shared = run_generated(generated, graph, feeds, threads=3)
    for name, value in want.items():
        assert np.abs(got[name] - value).max() <= 2e-5 * np.abs(value).max(), name
        assert np.array_equal(got[name], shared[name]), name


@pytest.mark.parametrize("summed", [24, 200])
def test_every_transposition(summed):
    x, a = tensor("x", (N, ROWS), (C, summed)), tensor("a", (D, 37), (C, summed))
    turned = tensor("t", (C, summed), (N, ROWS))
    both = b.add(b.dot(x, a, (C,)), b.dot(turned, a, (C,)))
    check(graph_with_gradients((x, a, turned), both))


@pytest.mark.parametrize(
    ("size", "into", "kernel", "stride", "pad", "image"),
    [
        (1, 8, 3, 1, 1, 9), (3, 32, 7, 2, 3, 15), (16, 16, 3, 1, 1, 14), (20, 9, 1, 1, 0, 5),
        (32, 64, 3, 1, 1, 6), (16, 24, 3, 1, 1, 7), (20, 16, 3, 1, 0, 11), (16, 16, 3, 1, 1, 3),
        (8, 24, 1, 2, 0, 8), (16, 40, 3, 2, 1, 11), (5, 16, 2, 3, 0, 10), (64, 16, 3, 3, 1, 7),
        (8, 16, 1, 10**6, 0, 4), (1, 20, 7, 4, 3, 9), (24, 40, 3, 2, 1, 14),
        (32, 36, 5, 3, 2, 8), (24, 3, 3, 3, 1, 9),
    ],
)  # fmt: skip
def test_convolutions(size, into, kernel, stride, pad, image):
    x = tensor("x", (N, ROWS), (C, size), (Y, image), (X, image))
    w = tensor("w", (C, size), (KY, kernel), (KX, kernel), (D, into), role="param")
    rows = b.window(x, Y, KY, kernel, stride=stride, before=pad, after=pad)
    seen = b.window(rows, X, KX, kernel, stride=stride, before=pad, after=pad)
    check(graph_with_gradients((x, w), b.dot(seen, w, (C, KY, KX))))


@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "image"), [(16, 3, 1, 9), (20, 5, 2, 11), (3, 3, 1, 6)]
)
def test_convolutions_of_single_channels(channels, kernel, stride, image):
    x = tensor("x", (N, ROWS), (C, channels), (Y, image), (X, image))
    w = tensor("w", (C, channels), (KY, kernel), (KX, kernel), role="param")
    rows = b.window(x, Y, KY, kernel, stride=stride, before=1, after=1)
    seen = b.window(rows, X, KX, kernel, stride=stride, before=1, after=1)
    graph = graph_with_gradients((x, w), b.dot(seen, w, (KY, KX)))
    kernels = schedule(graph, Target(8, 16)).kernels
    assert any(k.contraction and k.members[0].op == "unwindow" for k in kernels)
    check(graph)


def test_windows_of_windows_along_one_axis():
    x, w = tensor("x", (N, ROWS), (C, 8), (X, 12)), tensor("w", (C, 8), (KX, 3), (KY, 5), (D, 16))
    inner = b.window(x, X, KX, 3, stride=1, before=1, after=1)
    outer = b.window(inner, X, KY, 5, stride=1, before=2, after=2)
    check(graph_with_gradients((x, w), b.dot(outer, w, (C, KX, KY))))


@pytest.mark.parametrize(("groups", "size"), [(4, 16), (2, 3), (16, 2)])
def test_convolutions_in_groups(groups, size):
    x = tensor("x", (N, ROWS), (G, groups), (C, size), (Y, 8), (X, 8))
    w = tensor("w", (G, groups), (C, size), (KY, 3), (KX, 3), (D, size), role="param")
    rows = b.window(x, Y, KY, 3, stride=1, before=1, after=1)
    seen = b.window(rows, X, KX, 3, stride=1, before=1, after=1)
    check(graph_with_gradients((x, w), b.dot(seen, w, (C, KY, KX))))


@pytest.mark.parametrize("plain", [False, True])
def test_few_large_images_are_summed_in_parts_of_them(plain):
    """Whether or not the images are copied first, in a chain with the sum."""
    x, w = tensor("x", (N, ROWS), (Y, 24), (X, 26), (C, 16)), tensor("w", (C, 16), (D, 16))
    if plain:
        y = b.dot(x, w, (C,))
        inputs = (x, w)
    else:
        w = tensor("w", (C, 16), (KY, 3), (KX, 3), (D, 16))
        rows = b.window(x, Y, KY, 3, stride=1, before=1, after=1)
        seen = b.window(rows, X, KX, 3, stride=2, before=1, after=1)
        y, inputs = b.dot(seen, w, (C, KY, KX)), (x, w)
    graph = graph_with_gradients(inputs, y)
    kernels = schedule(graph, Target(8, 16)).kernels
    assert any(k.blocks is not None and k.blocks.within is not None for k in kernels)
    check(graph)


def test_a_gradient_of_windows_of_one_element():
    """Most of it is 0: the product is computed for the others alone."""
    x = tensor("x", (N, ROWS), (Y, 10), (X, 11), (C, 12))
    w = tensor("w", (C, 12), (KY, 1), (KX, 1), (D, 20))
    rows = b.window(x, Y, KY, 1, stride=3)
    seen = b.window(rows, X, KX, 1, stride=2, before=1, after=1)
    graph = graph_with_gradients((x, w), b.dot(seen, w, (C, KY, KX)))
    assert not any(n.op == "unwindow" for n in graph.nodes)
    check(graph)


@pytest.mark.parametrize("wide", [520, 1000, 9000])
def test_columns_of_wide_rows(wide):
    """One unit sums all columns of its rows, some rows at a time."""
    x = tensor("x", (N, ROWS), (D, wide))
    total = b.reduce_sum(b.mul(x, x), (N,))
    kernels = schedule(lower(Graph((x,), {"t": total})), Target(8, 16)).kernels
    assert bool(kernels[0].around) == (wide < 9000)
    graph = lower(Graph((x,), {"t": total, "y": b.mul(x, b.broadcast(total, x.type.dims))}))
    generated = generate(graph, host())
    for rows in (0, 1, 7, 8, 300):
        feeds = {"x": np.random.default_rng(rows).normal(size=(rows, wide)).astype("f4")}
        got = run_generated(generated, graph, feeds, checked=True)
        shared = run_generated(generated, graph, feeds, threads=3)
        want = (feeds["x"].astype("f8") ** 2).sum(0)
        np.testing.assert_allclose(got["t"], want, rtol=1e-5)
        assert np.array_equal(got["t"], shared["t"])


def test_columns_of_wide_rows_in_a_chain():
    """A chain takes them slab by slab, or in parts where there are few slabs."""
    x, w = tensor("x", (N, ROWS), (Y, 6), (X, 5), (C, 8)), tensor("w", (C, 8), (D, 520))
    y = b.dot(x, w, (C,))
    mean = b.reduce_sum(y, (N, Y, X))
    apart = b.sub(y, b.broadcast(b.mul(mean, b.const(0.01, "f32")), y.type.dims))
    outputs = {"y": y, "mean": mean, "spread": b.reduce_sum(b.mul(apart, apart), (N, Y, X))}
    graph = lower(Graph((x, w), outputs))
    kernels = schedule(graph, Target(8, 16)).kernels
    assert any(k.around and k.chain for k in kernels)
    check(graph)


@pytest.mark.parametrize("image", [0, 9])
def test_vectors_wider_than_those_of_the_machine(image):
    """LLVM makes two of each here: the schedules and texts of other machines run anywhere."""
    wide = replace(host(), lanes=16, registers=32)
    if image:
        x = tensor("x", (N, ROWS), (C, 20), (Y, image), (X, image))
        w = tensor("w", (C, 20), (KY, 3), (KX, 3), (D, 36), role="param")
        rows = b.window(x, Y, KY, 3, stride=2, before=1, after=1)
        seen = b.window(rows, X, KX, 3, stride=1, before=1, after=1)
        check(graph_with_gradients((x, w), b.dot(seen, w, (C, KY, KX))), wide)
        return
    x, w = tensor("x", (N, ROWS), (C, 300)), tensor("w", (C, 300), (D, 70), role="param")
    check(graph_with_gradients((x, w), b.tanh(b.dot(x, w, (C,)))), wide)


def test_transpositions_of_every_size():
    for rows, columns in ((16, 16), (7, 40), (33, 50), (100, 3)):
        x = tensor("x", (Y, rows), (X, columns))
        graph = lower(Graph((x,), {"y": b.broadcast(x, ((X, columns), (Y, rows)))}))
        feeds = feeds_of(graph, 0)
        got = run_generated(generate(graph, host()), graph, feeds, checked=True)
        assert np.array_equal(got["y"], feeds["x"].T)
