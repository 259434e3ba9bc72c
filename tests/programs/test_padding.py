"""What is written behind the end of an axis is nobody's, also where axes of one element follow."""

import numpy as np
import pytest
from native_runs import assert_same, run_native

from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.transform.autodiff import expand_gradients
from dlc.transform.pipeline import lower

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
