"""Every pass leaves what a graph computes as it is."""

import numpy as np
import pytest

from dlc.graph import Axis, Graph, Node, Size, SizeCheck, TensorType, input_node
from dlc.ops import REGISTRY, build
from dlc.reference.interpreter import interpret
from dlc.reference.random_graphs import random_graph
from dlc.reference.verify import verify
from dlc.transform.cse import merge_common
from dlc.transform.dce import drop_dead
from dlc.transform.fold import fold
from dlc.transform.pipeline import PASSES, lower
from dlc.transform.precision import widen
from dlc.transform.simplify import simplify

SEEDS = range(60)
NARROW = ("f16", "bf16")
JUMPS = ("floor", "ceil", "round", "sign", "floordiv", "mod", "argsort", "argmax", "argmin", "cast")
STEADY = tuple(n for n in REGISTRY if n not in JUMPS and REGISTRY[n].gradient != "no gradient")


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("run", [merge_common, fold, drop_dead])
def test_exact_passes_change_no_bit(run):
    for seed in SEEDS:
        graph, feeds = random_graph(seed)
        before = interpret(graph, feeds)
        after = interpret(verify(run(graph)), feeds)
        assert all(same_bits(before[k], after[k]) for k in before), f"seed {seed}"


def test_simplify_is_close_in_double_precision():
    for seed in SEEDS:
        graph, feeds = random_graph(seed, ops=STEADY, size=16)
        graph, feeds = widen(graph), {k: wide(v) for k, v in feeds.items()}
        before, after = interpret(graph, feeds), interpret(verify(simplify(graph)), feeds)
        for name, value in before.items():
            np.testing.assert_allclose(after[name], value, 1e-10, 1e-10, err_msg=f"seed {seed}")


def test_all_passes_in_order():
    for seed in SEEDS:
        graph, feeds = random_graph(seed, size=20)
        before, tight = interpret(graph, feeds), not uses(graph, NARROW)
        for run in PASSES:
            graph = verify(run(graph))
        after = interpret(graph, feeds)
        for name, value in before.items():
            near = 1e-4 if tight else 2e-2
            value, got = wide(value), wide(after[name])
            np.testing.assert_allclose(got, value, near, near, err_msg=f"seed {seed}")


def test_lowering_twice_changes_nothing():
    for seed in SEEDS:
        once = lower(random_graph(seed)[0])
        assert len(lower(once).nodes) == len(once.nodes), f"seed {seed}"


def test_widen_leaves_no_narrow_float():
    for seed in SEEDS:
        graph, feeds = random_graph(seed)
        wider = verify(widen(graph))
        assert not uses(wider, (*NARROW, "f32"))
        interpret(wider, {k: wide(v) for k, v in feeds.items()})


def test_checks_that_hold_are_dropped():
    n, m = Size.symbol("N"), Size.symbol("M")
    x = input_node("x", TensorType.of("f32", [(Axis("N"), n), (Axis("M"), m)]))
    open_checks = (
        SizeCheck(n, "==", m, "a"), SizeCheck(n, ">=", Size.of(2), "b"),
        SizeCheck(n, "divisible", Size.of(2), "c"),
    )  # fmt: skip
    proved = (
        SizeCheck(n + 1, "==", 1 + n, "d"), SizeCheck(n + 2, ">=", Size.of(2), "e"),
        SizeCheck(n * 4, "divisible", Size.of(2), "f"), SizeCheck(n, "==", m, "again"),
    )  # fmt: skip
    graph = Graph((x,), {"out": x}, (*open_checks, *proved))
    assert drop_dead(graph).checks == open_checks


def test_new_nodes_keep_the_places_of_old_ones():
    x = input_node("x", TensorType.of("f32", [(Axis("K"), 3)]))
    two = build.const(2.0, "f32")
    node = Node("pow", (x, two), x.type, {}, (), "LeNet.conv_0")
    assert simplify(Graph((x,), {"out": node})).outputs["out"].path == "LeNet.conv_0"


def test_deep_graphs_do_not_recurse():
    x = input_node("x", TensorType("f32"))
    y = x
    for _ in range(5000):
        y = build.sin(y)
    graph = lower(Graph((x,), {"out": y, "grad": build.grad(y, x)}))
    assert len(graph.nodes) < 25_000


def wide(array):
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def uses(graph, dtypes):
    return any(n.type.dtype in dtypes for n in graph.nodes)
