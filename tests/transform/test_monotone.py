"""Functions that grow wait for the maximum over windows: the same bits, the same gradients."""

import numpy as np
import pytest

from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.reference.verify import verify
from dlc.transform.autodiff import expand_gradients
from dlc.transform.monotone import pool_first

N, C, X, TAP = Axis("N"), Axis("C"), Axis("X"), Axis("Tap")
TYPE = TensorType("f32", ((N, Size.of(3)), (C, Size.of(5)), (X, Size.of(12))))
BIAS = TensorType("f32", ((C, Size.of(5)),))


def relu(x):
    return b.where(b.le(x, 0), 0, x)


def graph_of(pad=0, share=False, bias=BIAS):
    x, bias = input_node("x", TYPE, "data"), input_node("b", bias, "param")
    hidden = relu(b.rename(b.add(x, bias), {X: Axis("Y")}))
    seen = b.window(hidden, Axis("Y"), TAP, 2, stride=2, before=pad, after=pad, value=-np.inf)
    pooled = b.reduce_max(seen, (TAP,))
    loss = b.reduce_sum(b.mul(pooled, pooled), pooled.type.axes)
    outputs = {"pooled": pooled, "dx": b.grad(loss, x), "db": b.grad(loss, bias)}
    if share:
        outputs["hidden"] = hidden
    return Graph((x, bias), outputs)


def feeds(bias=BIAS):
    rng = np.random.default_rng(0)
    found = {"x": TYPE, "b": bias}
    return {
        name: rng.standard_normal([n.value({}) for n in t.sizes]).astype(np.float32)
        for name, t in found.items()
    }


def ops_below_the_maximum(graph):
    (node,) = (n for n in graph.nodes if n.op == "reduce_max")
    found, todo = set(), [node]
    while todo:
        below = todo.pop()
        found.add(below.op)
        todo += below.args
    return found


def test_bias_and_relu_move_and_no_bit_changes():
    graph = graph_of()
    moved = verify(pool_first(graph))
    assert ops_below_the_maximum(moved) <= {"reduce_max", "window", "rename", "input"}
    before = interpret(expand_gradients(graph), feeds())
    after = interpret(verify(expand_gradients(moved)), feeds())
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


@pytest.mark.parametrize(
    "graph",
    [graph_of(pad=1), graph_of(share=True), graph_of(bias=TensorType("f32", TYPE.dims[1:]))],
    ids=["padded", "read elsewhere", "bias along the window"],
)
def test_what_would_change_the_meaning_stays(graph):
    assert ops_below_the_maximum(pool_first(graph)) >= {"add"}
