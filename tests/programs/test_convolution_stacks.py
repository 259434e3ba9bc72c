"""Stacks of convolutions: what chains share and what they leave, in whole training steps."""

import numpy as np
import pytest
from native_runs import run_generated

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

N, C, D, Y, X, PY, PX, KY, KX = (Axis(a) for a in ("N", "C", "D", "Y", "X", "PY", "PX", "KY", "KX"))
ROWS = Size.symbol("N")
POOL = "pool"


def layer(x, w):
    """Smooth, so that gradients can be compared."""
    rows = b.window(x, Y, KY, 3, before=1, after=1)
    y = b.dot(b.window(rows, X, KX, 3, before=1, after=1), w, (C, KY, KX))
    return b.rename(b.tanh(y), {D: C})


def pool(x, image):
    for axis, tap in ((Y, PY), (X, PX)):
        x = b.split(x, axis, ((axis, image // 2), (tap, 2)))
    return b.reduce_max(x, (PY, PX))


def gradients(widths, image):
    """The gradients by all weights of the stack; POOL halves the image."""
    x = input_node("x", TensorType.of("f32", ((N, ROWS), (C, widths[0]), (Y, image), (X, image))))
    weights, h, before = [], x, widths[0]
    for width in widths[1:]:
        if width == POOL:
            h, image = pool(h, image), image // 2
            continue
        dims = ((C, before), (KY, 3), (KX, 3), (D, width))
        weights.append(input_node(f"w{len(weights)}", TensorType.of("f32", dims), "param"))
        h, before = layer(h, weights[-1]), width
    loss = b.reduce_sum(b.mul(h, h), h.type.axes)
    outputs = {f"d{w.attrs['name']}": b.grad(loss, w) for w in weights}
    return lower(Graph((x, *weights), {"h": h, **outputs}))


@pytest.mark.parametrize(
    ("widths", "image", "rows"),
    [
        ((16, 64, 64, 128), 4, 16), ((16, 64, 128, 16), 8, 9), ((64, 64, 128, 64), 6, 3),
        ((16, 32, POOL, 64, POOL, 128), 16, 20), ((16, 16, 16, 16, 16), 10, 33),
        ((3, 16, POOL, 24, 24, POOL, 16), 16, 10), ((17, 33, 20), 7, 12), ((128, 128), 4, 40),
    ],
)  # fmt: skip
def test_gradients(widths, image, rows):
    graph = gradients(widths, image)
    rng = np.random.default_rng(0)
    feeds = {}
    for node in graph.inputs:
        shape = [n.value({"N": rows}) for n in node.type.sizes]
        scale = 1.0 if node.attrs["name"] == "x" else 1 / np.sqrt(9 * shape[0])
        feeds[node.attrs["name"]] = (scale * rng.uniform(-1, 1, shape)).astype(np.float32)
    exact = interpret(widen(graph), {k: v.astype(np.float64) for k, v in feeds.items()})
    generated = generate(graph, host())
    runs = [run_generated(generated, graph, feeds, threads) for threads in (1, 2, 5)]
    runs.append(run_generated(generated, graph, feeds, checked=True))
    for name, value in exact.items():
        error = np.abs(runs[0][name] - value).max() / np.abs(value).max()
        assert error <= 1e-4, name  # a winner may be another one where two are close
        assert all(np.array_equal(runs[0][name], run[name]) for run in runs), name
