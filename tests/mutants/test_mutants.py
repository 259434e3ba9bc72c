"""Ten thousand wrong programs: each is refused with places and reasons, or runs."""

from __future__ import annotations

import pytest

from dlc.diagnostics import DlcError, Source, render
from dlc.reference.text import print_graph
from dlc.semantics import check_file
from tests.mutants.mutate import EXAMPLES, EXAMPLES_SHARE, SMALL, mutant, original
from tests.mutants.running import MAX_NODES, compare, draw, graphs, initial_values, small

COUNT, PARTS = 10_000, 20
RUN_ONE_IN, RUN_NODES = 50, 120
"""Of the mutants that check, so many run their small graphs in the short test; in the slow ones all
run."""


def survivor(text: str):
    """The program of a text, or None if it is wrong and says so well."""
    try:
        return check_file(Source("mutant.dl", text))
    except DlcError as error:
        found = error.diagnostics
    assert found
    for case in found:
        assert case.severity == "error"
        assert case.span is not None
        assert case.span.source.path == "mutant.dl", f"{case.code} points into the library"
        assert 0 <= case.span.start <= case.span.end <= len(text)
        assert render(case)
    return None


def run(program, done: set[str], max_nodes: int) -> None:
    """Runs each graph of a program that is not done yet, interpreted and compiled."""
    for graph in initial_values(program):
        if small(graph, max_nodes):
            draw(program, graph)
    for name, graph in graphs(program):
        text = print_graph(graph)
        if text in done or not small(graph, max_nodes):
            continue
        done.add(text)
        try:
            compare(program, graph)
        except Exception as error:
            raise AssertionError(f"{name}:\n{text}") from error


def try_mutants(
    part: int, done: set[str], share: float, one_in: int = 1, max_nodes: int = MAX_NODES
) -> None:
    each = COUNT // PARTS
    for seed in range(part * each, (part + 1) * each):
        text = mutant(seed, share)
        try:
            program = survivor(text)
            if program is not None and seed % one_in == 0:
                run(program, done, max_nodes)
        except Exception as error:
            raise AssertionError(f"mutant {seed}:\n{text}") from error


@pytest.fixture(scope="module")
def done() -> set[str]:
    """The texts of the graphs that were run: many mutants mean the same."""
    return set()


@pytest.mark.parametrize("path", [*SMALL, *EXAMPLES], ids=lambda path: path.stem)
def test_originals_are_right(path):
    assert not check_file(path).warnings
    assert not check_file(Source(path.name, original(path))).warnings


@pytest.mark.parametrize("part", range(PARTS))
def test_mutants(part, done):
    try_mutants(part, done, EXAMPLES_SHARE, RUN_ONE_IN, RUN_NODES)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_all_mutants_run(part, done):
    try_mutants(part, done, EXAMPLES_SHARE)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_all_mutants_of_examples_run(part, done):
    try_mutants(part, done, 1)
