"""Random graphs: native code gives what the interpreter gives."""

import pytest
from native_runs import assert_native_agrees

from dlc.reference.random_graphs import random_graph
from dlc.transform.pipeline import lower


@pytest.mark.parametrize("seed", range(24))
def test_random_graphs(seed):
    graph, feeds = random_graph(seed)
    assert_native_agrees(lower(graph), feeds)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_many_random_graphs(seed):
    graph, feeds = random_graph(seed, size=20)
    assert_native_agrees(lower(graph), feeds)
