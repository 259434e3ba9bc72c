"""Random graphs: native code gives what the interpreter gives."""

import pytest
from native_runs import assert_native_agrees

from dlc.codegen import ahead
from dlc.reference.random_graphs import random_graph
from dlc.schedule import slabs
from dlc.transform.pipeline import lower


@pytest.fixture
def every_row_is_long(monkeypatch):
    """Units ask ahead, and kernels are chains of one, however short their rows are."""
    monkeypatch.setattr(ahead, "ROW", (1, 1 << 16))
    monkeypatch.setattr(slabs, "WORTH_ALONE", 1)


@pytest.mark.parametrize("seed", range(24))
def test_random_graphs(seed):
    graph, feeds = random_graph(seed)
    assert_native_agrees(lower(graph), feeds)


@pytest.mark.parametrize(("seed", "size"), [(1464, 20), (1505, 20), (1544, 20), (2356, 24)])
def test_graphs_that_were_wrong(seed, size):
    """The place of the best of nothing; a value that is in a register and read elsewhere too;
    merged rows that are shorter than a vector, written by several threads; the best of one."""
    graph, feeds = random_graph(seed, size=size)
    assert_native_agrees(lower(graph), feeds)


@pytest.mark.usefixtures("every_row_is_long")
@pytest.mark.parametrize("seed", range(24, 48))
def test_random_graphs_of_long_rows(seed):
    graph, feeds = random_graph(seed)
    assert_native_agrees(lower(graph), feeds)


@pytest.mark.slow
@pytest.mark.usefixtures("every_row_is_long")
@pytest.mark.parametrize("seed", range(1400, 1600))
def test_many_random_graphs_of_long_rows(seed):
    graph, feeds = random_graph(seed, size=20)
    assert_native_agrees(lower(graph), feeds)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_many_random_graphs(seed):
    graph, feeds = random_graph(seed, size=20)
    assert_native_agrees(lower(graph), feeds)
