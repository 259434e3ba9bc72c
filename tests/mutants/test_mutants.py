"""Ten thousand wrong programs: each is refused with places and reasons, or runs."""

from __future__ import annotations

import pytest

from dlc.diagnostics import DlcError, Source, render
from dlc.semantics import check_file
from tests.mutants.mutate import EXAMPLES, SMALL, mutant
from tests.mutants.running import graphs, interpreted, small

COUNT, PARTS = 10_000, 20
RUN_ONE_IN = 10
"""Of the mutants that check, so many run a step in these tests; all of them in the slow one."""


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


def run(seeds: range, one_in: int) -> None:
    for seed in seeds:
        text = mutant(seed)
        try:
            program = survivor(text)
            if program is None or seed % one_in:
                continue
            for _, graph in graphs(program):
                if small(graph):
                    interpreted(program, graph)
        except Exception as error:
            raise AssertionError(f"mutant {seed}:\n{text}") from error


@pytest.mark.parametrize("path", [*SMALL, *EXAMPLES], ids=lambda path: path.stem)
def test_originals_are_right(path):
    assert not check_file(path).warnings


@pytest.mark.parametrize("part", range(PARTS))
def test_mutants(part):
    each = COUNT // PARTS
    run(range(part * each, (part + 1) * each), RUN_ONE_IN)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_more_mutants(part):
    run(range(100_000 + part * COUNT, 100_000 + (part + 1) * COUNT), 1)
