"""Mutants of the examples: a mistake is a diagnostic with a place, never a traceback."""

from __future__ import annotations

import random

import pytest

from dlc.diagnostics import DlcError, Source, render
from dlc.reference.verify import verify
from dlc.semantics import check_file
from dlc.transform.pipeline import lower
from tests.semantics.mutants import mutant, programs


def outcome(text: str) -> str:
    """`fine` or the codes; what is fine has sound graphs, what is wrong has places."""
    try:
        program = check_file(Source("mutant.dl", text))
    except DlcError as error:
        for case in error.diagnostics:
            assert case.span is not None
            assert case.span.source.path == "mutant.dl"
            assert render(case)
        return " ".join(d.code for d in error.diagnostics)
    for model in program.models.values():
        verify(lower(model.graph))
    for recipe in program.recipes.values():
        for step in recipe.steps:
            verify(lower(step.graph))
            verify(step.evaluation)
    verify(program.init(next(iter(program.recipes), None)))
    return "fine"


def run(seeds: range) -> None:
    texts = programs()
    for seed in seeds:
        text = mutant(random.Random(seed), texts)
        try:
            outcome(text)
        except Exception as error:
            raise AssertionError(f"mutant {seed}:\n{text}") from error


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_mutants(start):
    run(range(start, start + 50))


@pytest.mark.slow
def test_ten_thousand_mutants():
    run(range(10_000, 20_000))
