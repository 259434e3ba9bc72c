"""What still checks gives the same results interpreted and compiled."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.reference.text import print_graph
from tests.mutants.mutate import SMALL, mutant
from tests.mutants.running import feeds, graphs, interpreted, small
from tests.mutants.test_mutants import survivor
from tests.programs.native_runs import assert_same, run_native

SAMPLE, MAX_COMPILED_NODES = 25, 120


def distinct(seeds: range, count: int):
    """Graphs of mutants that are no graphs of the originals, `count` at most, seeded."""
    known = {
        print_graph(graph)
        for path in SMALL
        for _, graph in graphs(survivor(path.read_text("utf-8")))
    }
    found = []
    for seed in seeds:
        program = survivor(mutant(seed))
        for name, graph in graphs(program) if program is not None else ():
            text = print_graph(graph)
            if len(found) == count:
                return found
            if text not in known and small(graph) and len(graph.nodes) <= MAX_COMPILED_NODES:
                known.add(text)
                found.append((seed, name, program, graph))
    return found


def compare(seed, name, program, graph) -> None:
    want = interpreted(program, graph)
    if want is None:
        return
    got = run_native(graph, feeds(program, graph))
    with np.errstate(all="ignore"):
        assert_same(graph, got, want)


def compare_all(seeds: range, count: int) -> None:
    for seed, name, program, graph in distinct(seeds, count):
        try:
            compare(seed, name, program, graph)
        except Exception as error:
            raise AssertionError(f"mutant {seed}, {name}:\n{mutant(seed)}") from error


def test_compiled_mutants():
    compare_all(range(50_000, 51_000), SAMPLE)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_more_compiled_mutants(part):
    compare_all(range(200_000 + part * 1000, 200_000 + (part + 1) * 1000), 100)
