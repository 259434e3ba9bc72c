"""Metrics over many batches are what they would be if the epoch were one batch."""

from itertools import pairwise

import numpy as np
import pytest

from dlc.graph import Axis, Graph, Size, TensorType, input_node, product
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.reference.verify import verify
from dlc.transform.metrics import split_metrics
from dlc.transform.pipeline import lower

N, K, T = Axis("N"), Axis("K"), Axis("T")
n = Size.symbol("N")
BATCH = frozenset("N")
X = input_node("x", TensorType.of("f32", [(N, n), (K, 3)]))
LABEL = input_node("label", TensorType.of("i32", [(N, n)]))
W = input_node("w", TensorType.of("f32", [(K, 3)]), "param")
RATE = input_node("rate", TensorType("f32"), "hyper")
INPUTS = (X, LABEL, W, RATE)
COMBINE = {"sum": np.add, "max": np.maximum, "min": np.minimum, "last": lambda a, b: b}


def mean(x, *over):
    over = over or x.type.axes
    count = b.size(product([x.type.size(a) for a in over]))
    return b.div(b.reduce_sum(x, over), b.cast(count, x.type.dtype))


def error():
    return b.sub(b.dot(X, W, (K,)), b.cast(LABEL, "f32"))


def right():
    return b.cast(b.eq(b.argmax(X, (K,)), LABEL), "i32")


def recall():
    """Of each class, averaged: a tensor is accumulated."""
    hit = b.scatter(b.cast(right(), "f32"), (LABEL,), (K,), (3,), (N,))
    ones = b.broadcast(b.const(1.0, "f32"), LABEL.type.dims)
    return mean(b.div(hit, b.scatter(ones, (LABEL,), (K,), (3,), (N,))))


FORMS = {
    "mean": lambda: mean(error()),
    "accuracy": lambda: mean(b.cast(right(), "f32")),
    "perplexity": lambda: b.exp(mean(b.abs(error()))),
    "root mean square": lambda: b.sqrt(mean(b.mul(error(), error()))),
    "ratio of sums": lambda: b.div(b.reduce_sum(X, (N, K)), b.reduce_sum(b.abs(X), (N, K))),
    "sum of means": lambda: b.add(mean(X), b.mul(mean(b.mul(X, X)), 0.5)),
    "mean of inner means": lambda: mean(mean(X, K), N),
    "inner mean of outer means": lambda: mean(mean(X, N), K),
    "extremes": lambda: b.sub(b.reduce_max(X, (N, K)), b.reduce_min(X, (N, K))),
    "whole numbers": lambda: b.reduce_sum(right(), (N,)),
    "any": lambda: b.cast(b.reduce_max(b.gt(X, 2), (N, K)), "f32"),
    "dot": lambda: b.div(b.dot(error(), error(), (N,)), b.cast(b.size(n), "f32")),
    "with a parameter's norm": lambda: b.add(mean(X), b.mul(b.reduce_sum(b.mul(W, W), (K,)), RATE)),
    "recall": recall,
    "a count": lambda: b.cast(b.size(n * 3), "f32"),
    "a fixed number": lambda: b.const(2.5, "f32"),
}


def feeds(rows):
    rng = np.random.default_rng(7)
    return {
        "x": rng.normal(size=(rows, 3)).astype(np.float32),
        "label": (np.arange(rows) % 3).astype(np.int32),
        "w": rng.normal(size=3).astype(np.float32), "rate": np.float32(0.1),
    }  # fmt: skip


def over_batches(split, data, cuts, run):
    totals = {}
    for lo, hi in pairwise(cuts):
        batch = {**data, "x": data["x"][lo:hi], "label": data["label"][lo:hi]}
        for name, value in interpret(run, batch, {"N": hi - lo}).items():
            how = COMBINE[split.combine[name]]
            totals[name] = how(totals[name], value) if name in totals else value
    return interpret(split.finish, totals)


@pytest.mark.parametrize("name", FORMS)
def test_batches_give_what_one_batch_gives(name):
    graph = Graph(INPUTS, {"metric:m": FORMS[name]()})
    split = split_metrics(graph, BATCH)
    verify(split.finish)
    data = feeds(11)
    expected = interpret(graph, data, {"N": 11})["metric:m"]
    for run in (verify(split.graph), verify(lower(split.graph))):
        got = over_batches(split, data, (0, 4, 8, 11), run)
        np.testing.assert_allclose(got["m"], expected, 1e-5)


def test_names_and_kinds_of_accumulators():
    loss = b.add(mean(error()), b.mul(RATE, b.reduce_max(X, (N, K))))
    step = Graph(INPUTS, {"update:w": W, "metric:loss": loss, "metric:rate": RATE})
    graph, finish, combine = split_metrics(step, BATCH)
    assert list(graph.outputs) == ["update:w", *combine]
    assert combine == {
        "accumulate:loss:0": "sum", "accumulate:loss:1": "sum", "accumulate:loss:2": "last",
        "accumulate:loss:3": "max", "accumulate:rate:0": "last",
    }  # fmt: skip
    assert [i.attrs["name"] for i in finish.inputs] == list(combine)
    assert all(node.type == TensorType("f64") for node in finish.inputs)
    assert list(finish.outputs) == ["loss", "rate"]


def test_what_runs_through_no_batch_is_taken_from_the_last():
    norm = b.reduce_sum(b.mul(W, W), (K,))
    gradient = b.grad(mean(error()), W)
    first = b.reduce_sum(b.slice(X, N, size=1), (N, K))
    outputs = {
        "metric:a": b.sqrt(norm),
        "metric:b": b.reduce_sum(gradient, (K,)),
        "metric:c": first,
    }
    _, _, combine = split_metrics(Graph(INPUTS, outputs), BATCH)
    assert set(combine.values()) == {"last"}
    assert len(combine) == 3
