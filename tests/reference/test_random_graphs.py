from collections import Counter

import numpy as np

from dlc.ops import REGISTRY
from dlc.reference.interpreter import interpret
from dlc.reference.random_graphs import LARGEST, random_graph
from dlc.reference.text import print_graph


def test_all_ops_and_dtypes_are_drawn():
    ops, dtypes = Counter(), Counter()
    for seed in range(150):
        for node in random_graph(seed)[0].nodes:
            ops[node.op] += 1
            dtypes[node.type.dtype] += 1
    assert set(ops) == {*REGISTRY, "input"} - {"grad"}
    assert set(dtypes) == {"f32", "f64", "f16", "bf16", "i32", "i64", "u8", "bool"}


def test_a_seed_gives_one_graph():
    for seed in range(5):
        (a, feeds), (b, again) = random_graph(seed), random_graph(seed)
        assert print_graph(a) == print_graph(b)
        assert all(feeds[k].tobytes() == again[k].tobytes() for k in feeds)
    assert print_graph(random_graph(1)[0]) != print_graph(random_graph(2)[0])


def test_values_are_tame_and_sizes_known_at_run_time_only():
    symbols = set()
    for seed in range(50):
        graph, feeds = random_graph(seed, size=15)
        symbols |= set(graph.symbols)
        for value in interpret(graph, feeds).values():
            assert np.all(np.abs(value.astype(np.float64)) <= LARGEST)
    assert symbols == {"N", "T"}


def test_ops_can_be_chosen():
    graph, _ = random_graph(0, ops=("exp", "dot"), size=5)
    assert {n.op for n in graph.nodes} <= {"exp", "dot", "input"}
