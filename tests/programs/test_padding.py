"""What is written behind the end of an axis is nobody's, also where axes of one element follow."""

import numpy as np
import pytest
from native_runs import assert_same, run_native

from dlc.diagnostics import Source
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.semantics import check_file
from dlc.transform.autodiff import expand_gradients
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

GROUPS = """
axis N, C = {c}, Y = {y}, X = {y}

model Net(image: f32[N, C, Y, X]) -> f32[N, C, Y, X]:
    return image |> Conv(C -> C, kernel=1) |> GroupNorm(C, groups={g}) |> tanh

train fit:
    batch N = 4
    step(image: f32[N, C, Y, X]):
        minimize mean(Net(image) ** 2) wrt Net using sgd(0.1, momentum=0.9)
"""
N, Y, X, H = (Axis(name) for name in "NYXH")
ROWS = Size.symbol("N")


@pytest.mark.parametrize("width", [10, 13, 20])
@pytest.mark.parametrize("outputs", [1, 2])
def test_gradients_by_weights_of_images(width, outputs):
    image = input_node("image", TensorType.of("f32", ((N, ROWS), (Y, 40), (X, width))))
    dims = ((Y, 40), (X, width), (H, outputs))
    weight = input_node("weight", TensorType.of("f32", dims), "param")
    h = b.tanh(b.dot(image, weight, (Y, X)))
    slope = b.grad(b.reduce_sum(h, h.type.axes), weight)
    moved = b.sub(weight, b.mul(slope, b.const(0.5, "f32")))
    graph = Graph((image, weight), {"update:weight": moved, "slope": b.tanh(slope)})
    rng = np.random.default_rng(width)
    feeds = {
        "image": rng.standard_normal((5, 40, width), np.float32),
        "weight": rng.standard_normal((40, width, outputs), np.float32) * np.float32(0.1),
    }
    lowered = lower(graph)
    got = run_native(lowered, feeds, 2, checked=True)
    assert_same(graph, got, interpret(expand_gradients(graph), feeds))


@pytest.mark.parametrize(("channels", "groups", "image"), [(56, 4, 5), (24, 2, 5), (40, 4, 7)])
def test_parts_of_an_axis_have_no_padding_between_them(channels, groups, image):
    """A group norm goes through the parts of the channels, which are merged when it stores them."""
    program = check_file(Source("net.dl", GROUPS.format(c=channels, g=groups, y=image)))
    graph = program.recipes["fit"].steps[0].graph
    rng = np.random.default_rng(channels)
    feeds = {}
    for node in graph.inputs:
        shape = [size.value({"N": 5}) for size in node.type.sizes]
        feeds[node.attrs["name"]] = rng.uniform(-1, 1, shape).astype(np.float32)
        if node.attrs["role"] == "clock":
            feeds[node.attrs["name"]] = np.array(1, np.int64)
    lowered = lower(graph)
    wide = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in feeds.items()}
    want = interpret(widen(expand_gradients(graph)), wide)
    runs = [run_native(lowered, feeds, threads) for threads in (1, 3)]
    for got in [*runs, run_native(lowered, feeds, checked=True)]:
        for name, value in want.items():
            if name.endswith(":v"):
                assert np.abs(got[name] - value).max() <= 1e-4 * np.abs(value).max(), name
            assert np.array_equal(got[name], runs[0][name]), name
