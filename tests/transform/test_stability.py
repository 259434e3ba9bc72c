"""Softmax and its relatives, as the standard library writes them: values and gradients stay true
at 1e4, at ties and on rows of -inf, and a zero gradient stays zero through every op."""

import numpy as np
import pytest

from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.reference.verify import verify
from dlc.transform.pipeline import lower

INF = float("inf")
N, K = Axis("N"), Axis("K")
ROWS = np.array(
    [
        [1e4, -1e4, 0, 3], [1e4, 1e4, 0, -INF], [1, 1, 1, 1], [-1e4, -1e4, -1e4, -1e4],
        [-INF, 2, -INF, 1], [-INF, -INF, -INF, -INF], [88, -88, 1e-4, 7],
    ],
    np.float32,
)  # fmt: skip
LABELS = np.array([0, 0, 3, 2, 1, 0, 3], np.int32)
EMPTY = 5
"""The row of -inf."""


def shifted(x):
    top = b.stop_gradient(b.reduce_max(x, (K,)))
    return b.where(b.eq(top, -INF), b.const(0.0, "f32"), top)


def softmax(x):
    e = b.exp(b.sub(x, shifted(x)))
    total = b.reduce_sum(e, (K,))
    return b.div(e, b.where(b.eq(total, 0), b.const(1.0, "f32"), total))


def logsumexp(x):
    safe = shifted(x)
    total = b.reduce_sum(b.exp(b.sub(x, safe)), (K,))
    one = b.where(b.eq(total, 0), b.const(1.0, "f32"), total)
    return b.where(b.eq(total, 0), b.const(-INF, "f32"), b.add(b.log(one), safe))


def cross_entropy(x, label):
    return b.neg(b.gather(b.sub(x, logsumexp(x)), (label,), (K,)))


def run(form, rows=ROWS):
    x = input_node("x", TensorType.of("f32", [(N, Size.symbol("N")), (K, 4)]))
    label = input_node("label", TensorType.of("i32", [(N, Size.symbol("N"))]))
    y = form(x, label)
    graph = Graph((x, label), {"y": y, "dx": b.grad(b.reduce_sum(y, y.type.axes), x)})
    return interpret(verify(lower(graph)), {"x": rows, "label": LABELS})


def exact_softmax():
    x = ROWS.astype(np.float64)
    top = np.max(x, 1, keepdims=True)
    e = np.exp(x - np.where(np.isinf(top), 0, top))
    total = e.sum(1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def test_softmax():
    got = run(lambda x, label: b.gather(softmax(x), (label,), (K,)))
    p = exact_softmax()
    picked = p[np.arange(len(p)), LABELS]
    one_hot = np.eye(4)[LABELS]
    np.testing.assert_allclose(got["y"], picked, 1e-6)
    np.testing.assert_allclose(got["dx"], picked[:, None] * (one_hot - p), 1e-5, 1e-7)


def test_logsumexp():
    got = run(lambda x, label: logsumexp(x))
    with np.errstate(divide="ignore"):
        expected = np.log(np.sum(np.exp(ROWS.astype(np.longdouble)), 1))
    np.testing.assert_allclose(got["y"], expected.astype(np.float64), 1e-6)
    np.testing.assert_allclose(got["dx"], exact_softmax(), 1e-5, 1e-7)
    assert np.all(got["dx"][EMPTY] == 0)


def test_cross_entropy():
    got = run(cross_entropy)
    kept = [i for i in range(len(ROWS)) if i != EMPTY]
    p, one_hot = exact_softmax()[kept], np.eye(4)[LABELS[kept]]
    np.testing.assert_allclose(got["dx"][kept], p - one_hot, 1e-5, 1e-7)
    assert got["y"][0] == 0
    assert np.all(np.isfinite(got["y"][kept]))


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("sqrt", 0.0), ("rsqrt", 0.0), ("log", 0.0), ("sqrt", -1.0), ("log", -1.0),
        ("log1p", -1.0), ("exp", 1e4), ("tan", INF),
    ],
)  # fmt: skip
def test_a_zero_gradient_stays_zero(name, outside):
    """`where(x > 0, f(x), 0)` is safe, whatever f is at 0."""
    x = input_node("x", TensorType.of("f32", [(K, 2)]))
    bad = b.eq(x, outside)
    y = b.where(bad, b.const(0.0, "f32"), b.make(name, (x,)))
    graph = verify(lower(Graph((x,), {"dx": b.grad(b.reduce_sum(y, (K,)), x)})))
    got = interpret(graph, {"x": np.array([outside, 0.5], np.float32)})["dx"]
    assert got[0] == 0
    assert np.isfinite(got[1])
    assert got[1] != 0


@pytest.mark.parametrize("name", ["div", "pow"])
def test_a_zero_gradient_stays_zero_with_two_operands(name):
    x, y = (input_node(k, TensorType.of("f32", [(K, 2)])) for k in "xy")
    z = b.where(b.eq(y, 0), b.const(0.0, "f32"), b.make(name, (x, y)))
    total = b.reduce_sum(z, (K,))
    graph = verify(lower(Graph((x, y), {"dx": b.grad(total, x), "dy": b.grad(total, y)})))
    feeds = {"x": np.array([0, 2], np.float32), "y": np.array([0, 3], np.float32)}
    got = interpret(graph, feeds)
    assert got["dx"][0] == got["dy"][0] == 0
    assert np.all(np.isfinite([got["dx"][1], got["dy"][1]]))


def test_binary_cross_entropy_of_logits():
    x = input_node("x", TensorType.of("f32", [(K, 5)]))
    y = input_node("y", TensorType.of("f32", [(K, 5)]))
    loss = b.add(b.mul(y, b.softplus(b.neg(x))), b.mul(b.sub(1, y), b.softplus(x)))
    total = b.reduce_sum(loss, (K,))
    graph = verify(lower(Graph((x, y), {"loss": loss, "dx": b.grad(total, x)})))
    logits = np.array([1e4, -1e4, 0, 1e4, -1e4], np.float32)
    target = np.array([1, 0, 1, 0, 1], np.float32)
    got = interpret(graph, {"x": logits, "y": target})
    np.testing.assert_allclose(got["loss"], [0, 0, np.log(2), 1e4, 1e4], 1e-6)
    np.testing.assert_allclose(got["dx"], [0, 0, -0.5, 1, -1], 1e-6)


def test_ties_of_the_maximum_go_to_the_first():
    x = input_node("x", TensorType.of("f32", [(N, 2), (K, 2)]))
    y = b.reduce_max(x, (K, N))
    graph = verify(lower(Graph((x,), {"dx": b.grad(y, x)})))
    got = interpret(graph, {"x": np.array([[0, 1], [1, 1]], np.float32)})["dx"]
    assert got.tolist() == [[0, 0], [1, 0]]
