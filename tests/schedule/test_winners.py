"""Gradients through a maximum over windows are summed over the winners alone."""

import numpy as np
import pytest
from native_runs import assert_near_float64, run_generated

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.schedule.winners import with_winners
from dlc.transform.pipeline import lower

N, C, D, Y, X, PY, PX, KY, KX = (Axis(a) for a in ("N", "C", "D", "Y", "X", "PY", "PX", "KY", "KX"))
ROWS = Size.symbol("N")


def network(channels, image, pool, kernel=3):
    """The gradient by the weights of a convolution under a maximum over windows."""
    x = input_node("x", TensorType.of("f32", ((N, ROWS), (C, channels), (Y, image), (X, image))))
    dims = ((C, channels), (KY, kernel), (KX, kernel), (D, 24))
    w = input_node("w", TensorType.of("f32", dims), "param")
    pad = kernel // 2
    h = b.tanh(x)
    rows = b.window(h, Y, KY, kernel, before=pad, after=pad)
    y = b.dot(b.window(rows, X, KX, kernel, before=pad, after=pad), w, (C, KY, KX))
    for axis, tap, size in ((Y, PY, pool[0]), (X, PX, pool[1])):
        y = b.split(y, axis, ((axis, image // size), (tap, size)))
    y = b.reduce_max(y, (PY, PX))
    loss = b.reduce_sum(b.mul(y, y), y.type.axes)
    return lower(Graph((x, w), {"y": y, "dw": b.grad(loss, w), "dx": b.grad(loss, x)}))


def gathers(graph):
    return [n for n in with_winners(graph).nodes if n.op == "gather"]


@pytest.mark.parametrize(
    ("channels", "image", "pool", "kernel", "rows"),
    [
        (16, 8, (2, 2), 3, 5),
        (20, 12, (2, 3), 3, 2),
        (16, 12, (3, 2), 5, 1),
        (32, 16, (4, 2), 1, 40),
    ],
)
def test_gradients_are_those_of_all_windows(channels, image, pool, kernel, rows):
    graph = network(channels, image, pool, kernel)
    assert len(gathers(graph)) == 1
    assert_near_float64(graph, rows)


def test_of_equal_elements_the_first_wins():
    graph = network(16, 8, (2, 2), kernel=1)
    feeds = {"x": np.ones((3, 16, 8, 8), np.float32), "w": np.ones((16, 1, 1, 24), np.float32)}
    got = run_generated(generate(graph, host()), graph, feeds)
    first = np.zeros((8, 8), bool)
    first[::2, ::2] = True
    assert np.all((got["dx"] != 0) == first)
    total = 2 * 16 * np.tanh(1) ** 2 * 3 * 16  # of 3 images with 16 windows
    np.testing.assert_allclose(got["dw"], np.full((16, 1, 1, 24), total), rtol=1e-5)


def test_narrow_operands_stay_as_they_are():
    graph = network(4, 8, (2, 2))
    assert not gathers(graph)
    assert with_winners(graph) is graph
