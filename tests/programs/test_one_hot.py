"""Products with one-hot tensors read and write the rows that are not 0 alone."""

import numpy as np
import pytest
from native_runs import assert_same, run_native

from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.transform.autodiff import expand_gradients
from dlc.transform.pipeline import lower

N, T, K, G, H = (Axis(name) for name in "NTKGH")
ROWS = Size.symbol("N")
WORDS = 40


def network(form):
    """A dense layer on one-hot rows of words, and the gradient by its weights."""
    word = input_node("word", TensorType.of("i32", ((N, ROWS), (T, 3))))
    weight = input_node("weight", TensorType.of("f32", ((G, WORDS), (H, 24))), "param")
    hot = b.eq(b.index(K, WORDS), word)
    if form == "cast":
        hot = b.cast(hot, "f32")
    else:
        much = input_node("much", TensorType.of("f32", ((N, ROWS), (T, 3))))
        hot = b.where(hot, much, b.const(0.0, "f32"))
    h = b.tanh(b.dot(b.rename(hot, {K: G}), weight, (G,)))
    loss = b.reduce_sum(h, h.type.axes)
    inputs = (word, weight) if form == "cast" else (word, weight, much)
    return Graph(inputs, {"h": h, "dw": b.grad(loss, weight)})


@pytest.mark.parametrize("form", ["cast", "where"])
@pytest.mark.parametrize("rows", [1, 9])
def test_the_rows_of_words_are_read_and_added_to(form, rows):
    rng = np.random.default_rng(rows)
    feeds = {
        "word": rng.integers(-3, WORDS + 3, (rows, 3)).astype(np.int32),
        "much": rng.standard_normal((rows, 3), np.float32),
        "weight": rng.standard_normal((WORDS, 24), np.float32),
    }
    graph = network(form)
    feeds = {node.attrs["name"]: feeds[node.attrs["name"]] for node in graph.inputs}
    lowered = lower(graph)
    ops = [node.op for node in lowered.nodes]
    assert "dot" not in ops
    assert {"gather", "scatter"} <= {*ops}
    want = interpret(expand_gradients(graph), feeds)
    assert_same(graph, interpret(lowered, feeds), want)
    assert_same(graph, run_native(lowered, feeds, 2), want)


def test_short_axes_and_shared_axes_are_multiplied_as_they_are():
    word = input_node("word", TensorType.of("i32", ((N, ROWS),)))
    for size, axes in ((3, ((K, 3), (H, 8))), (WORDS, ((K, WORDS), (N, ROWS)))):
        weight = input_node("weight", TensorType.of("f32", axes), "param")
        hot = b.cast(b.eq(b.index(K, size), word), "f32")
        graph = lower(Graph((word, weight), {"y": b.dot(hot, weight, (K,))}))
        assert "dot" in [node.op for node in graph.nodes]
