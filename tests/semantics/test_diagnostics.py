"""What a user is told of wrong programs, word for word."""

from __future__ import annotations

import pytest

from dlc.diagnostics import DlcError, Source, render
from dlc.diagnostics.placed import Placed
from dlc.diagnostics.record import replaced
from dlc.semantics import check_file, machine, memory, scope
from tests.golden import cases


def report(text: str) -> str:
    """All mistakes and warnings of a program, rendered without places in the library."""
    try:
        found = check_file(Source("wrong.dl", text)).warnings
    except DlcError as error:
        found = error.diagnostics
    return "\n\n".join(render(without_library(d)) for d in found) or "fine"


def without_library(case):
    if not isinstance(case, Placed):
        return case
    notes = tuple(n for n in case.notes if not n.span.source.path.startswith("std/"))
    return replaced(case, notes=notes)


@pytest.mark.parametrize("case", cases("check"))
def test_report(case, golden, monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda: 16 * 2**30)
    monkeypatch.setattr(scope, "MAX_NODES", 2000)
    monkeypatch.setattr(machine, "MAX_STATEMENTS", 10_000)
    golden(case, report)


def test_mistake_inside_the_library_shows_both_places():
    text = "axis N, T\nmodel M(x: f32[N, T]) -> f32[N]:\n    return x |> Linear(T -> ())\n"
    with pytest.raises(DlcError) as caught:
        check_file(Source("wrong.dl", text))
    (case,) = caught.value.diagnostics
    assert [label.span.source.path for label in case.labels] == ["wrong.dl", "std/layers.dl"]
    assert case.labels[0].span.text == "Linear(T -> ())"
