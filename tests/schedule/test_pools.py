"""Products of which only whole windows are read reduce these windows in registers."""

import pytest
from native_runs import assert_near_float64

from dlc.codegen.machine import host
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.schedule import pools
from dlc.schedule.schedule import schedule
from dlc.schedule.tile import Target
from dlc.transform.pipeline import lower

N, C, D, Y, X, PY, PX, KY, KX = (Axis(a) for a in ("N", "C", "D", "Y", "X", "PY", "PX", "KY", "KX"))
ROWS = Size.symbol("N")


def convolution(channels, columns, image, kernel):
    x = input_node("x", TensorType.of("f32", ((N, ROWS), (C, channels), (Y, image), (X, image))))
    dims = ((C, channels), (KY, kernel), (KX, kernel), (D, columns))
    w = input_node("w", TensorType.of("f32", dims), "param")
    bias = input_node("b", TensorType.of("f32", ((D, columns),)), "param")
    pad = kernel // 2
    rows = b.window(x, Y, KY, kernel, before=pad, after=pad)
    y = b.dot(b.window(rows, X, KX, kernel, before=pad, after=pad), w, (C, KY, KX))
    return x, w, bias, b.add(y, bias)


def windows(y, image, pool):
    for axis, tap, size in ((Y, PY, pool[0]), (X, PX, pool[1])):
        y = b.split(y, axis, ((axis, image // size), (tap, size)))
    return y


def rectified(y):
    zero = b.const(0, "f32")
    return b.where(b.le(y, zero), zero, y)


def kernels_with(graph, *ops):
    """Of each kernel the ops of its members that are among these."""
    kernels = schedule(graph, Target(host().lanes, host().registers)).kernels
    found = [[m.op for m in k.members if m.op in ops] for k in kernels]
    return [ops for ops in found if ops]


SHAPES = [  # channels, columns, image, pool, kernel, rows
    (1, 32, 28, (2, 2), 3, 5),
    (3, 20, 12, (2, 3), 5, 2),
    (5, 16, 12, (3, 2), 1, 1),
    (40, 24, 12, (4, 2), 5, 7),
    (70, 40, 8, (2, 2), 7, 3),
    (3, 17, 6, (3, 3), 3, 4),
]


@pytest.mark.parametrize(("channels", "columns", "image", "pool", "kernel", "rows"), SHAPES)
def test_several_reductions_of_one_product(
    channels, columns, image, pool, kernel, rows, monkeypatch
):
    monkeypatch.setattr(pools, "PASS", 1e9)
    x, w, bias, y = convolution(channels, columns, image, kernel)
    y = windows(y, image, pool)
    best = rectified(b.reduce_max(y, (PY, PX)))
    outputs = {"best": best, "place": b.argmax(y, (PY, PX)), "worst": b.argmin(y, (PX, PY))}
    outputs["mean"] = b.mul(b.reduce_sum(y, (PY, PX)), b.const(0.25, "f32"))
    graph = lower(Graph((x, w, bias), outputs))
    assert len(kernels_with(graph, "dot", "reduce_max", "argmax", "reduce_sum")) == 1
    assert_near_float64(graph, rows)


def test_training_through_a_maximum_needs_the_windows_alone():
    x, w, bias, y = convolution(1, 32, 28, 3)
    best = rectified(b.reduce_max(windows(y, 28, (2, 2)), (PY, PX)))
    loss = b.reduce_sum(b.mul(best, best), best.type.axes)
    graph = lower(Graph((x, w, bias), {"loss": loss, "dw": b.grad(loss, w)}))
    found = kernels_with(graph, "dot", "argmax", "reduce_max")
    assert ["argmax", "dot", "reduce_max"] in map(sorted, found)
    assert_near_float64(graph, 9)


@pytest.mark.parametrize("pool", [(2, 2), (2, 4), (3, 3), (4, 2)])
@pytest.mark.parametrize("channels", [16, 24, 64])
def test_windows_of_a_product_channel_by_channel(channels, pool):
    image = 3 * pool[0]
    x = input_node("x", TensorType.of("f32", ((N, ROWS), (Y, image), (X, 24), (D, channels))))
    w = input_node("w", TensorType.of("f32", ((KY, 3), (KX, 3), (D, channels))), "param")
    seen = b.window(b.window(x, Y, KY, 3, before=1, after=1), X, KX, 3, before=1, after=1)
    y = b.dot(seen, w, (KY, KX))
    for axis, tap, size in ((Y, PY, pool[0]), (X, PX, pool[1])):
        count = (image if axis == Y else 24) // size
        y = b.split(y, axis, ((axis, count), (tap, size)))
    graph = lower(Graph((x, w), {"best": b.reduce_max(y, (PY, PX))}))
    assert_near_float64(graph, 3)


def test_a_product_that_is_read_elsewhere_too_stays():
    x, w, bias, y = convolution(3, 32, 12, 3)
    best = b.reduce_max(windows(y, 12, (2, 2)), (PY, PX))
    graph = lower(Graph((x, w, bias), {"best": best, "mean": b.reduce_sum(y, (Y, X))}))
    assert ["dot", "reduce_max"] not in kernels_with(graph, "dot", "reduce_max")
    assert_near_float64(graph, 2)


def test_axes_of_the_user_may_have_any_name():
    other = Axis("in_Y")
    x = input_node("x", TensorType.of("f32", ((N, ROWS), (Y, 12), (X, 12), (other, 3))))
    w = input_node("w", TensorType.of("f32", ((other, 3), (D, 32))), "param")
    best = b.reduce_max(windows(b.dot(x, w, (other,)), 12, (2, 2)), (PY, PX))
    graph = lower(Graph((x, w), {"best": best}))
    assert ["dot", "reduce_max"] in kernels_with(graph, "dot", "reduce_max")
    assert_near_float64(graph, 3)


def test_windows_of_one_and_few_columns_stay():
    for columns, pool in ((32, (1, 1)), (3, (2, 2))):
        x, w, bias, y = convolution(1, columns, 28, 3)
        graph = lower(Graph((x, w, bias), {"y": b.reduce_max(windows(y, 28, pool), (PY, PX))}))
        assert ["dot", "reduce_max"] not in kernels_with(graph, "dot", "reduce_max")
        assert_near_float64(graph, 2)


def test_long_sums_stay():
    """Their tiles would be other ones than the best, and meet the zeros around x."""
    x, w, bias, y = convolution(32, 64, 8, 5)
    graph = lower(Graph((x, w, bias), {"y": b.reduce_max(windows(y, 8, (2, 2)), (PY, PX))}))
    assert ["dot", "reduce_max"] not in kernels_with(graph, "dot", "reduce_max")


def test_windows_with_more_places_than_registers_stay():
    x, w, bias, y = convolution(3, 32, 12, 3)
    graph = lower(Graph((x, w, bias), {"y": b.reduce_max(windows(y, 12, (6, 6)), (PY, PX))}))
    assert ["dot", "reduce_max"] not in kernels_with(graph, "dot", "reduce_max")
    assert_near_float64(graph, 2)


@pytest.mark.parametrize(
    ("channels", "columns", "image", "rows"), [(16, 32, 12, 3), (32, 16, 32, 2)]
)
def test_tiles_that_are_windows_are_reduced_where_they_are_made(channels, columns, image, rows):
    x, w, bias, y = convolution(channels, columns, image, 3)
    best = rectified(b.reduce_max(windows(b.tanh(y), image, (2, 2)), (PY, PX)))
    graph = lower(Graph((x, w, bias), {"best": best}))
    assert kernels_with(graph, "dot", "reduce_max", "broadcast")[-1] == ["reduce_max"]
    assert len(kernels_with(graph, "dot", "broadcast", "reduce_max")) == 5  # x, w, tiles, dot
    assert_near_float64(graph, rows)
