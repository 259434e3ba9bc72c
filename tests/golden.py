"""Golden tests: cases in plain text, each a source and what a function makes of it.

A file holds one or more cases:

    ==== name of the case
    source
    ---- expected
    what the function returns

`--update-golden` rewrites the expected texts; read the diff before it is committed. Use:

    @pytest.mark.parametrize("case", cases("syntax"))
    def test_syntax(case, golden):
        golden(case, lambda source: ...)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "golden"
CASE, EXPECTED = "==== ", "---- expected"


@dataclass(frozen=True)
class Case:
    path: Path
    name: str
    source: str
    expected: str


def cases(folder: str) -> list[pytest.ParameterSet]:
    """All cases of `tests/golden/FOLDER/*.txt`."""
    found = [case for path in sorted((FOLDER / folder).glob("*.txt")) for case in read(path)]
    return [pytest.param(case, id=f"{case.path.stem}: {case.name}") for case in found]


def read(path: Path) -> list[Case]:
    """The cases of one file."""
    parts = ("\n" + path.read_text("utf-8")).split("\n" + CASE)
    assert not parts[0].strip(), f"{path}: text before the first case"
    return [_case(path, part) for part in parts[1:]]


def _case(path: Path, part: str) -> Case:
    name, _, rest = part.partition("\n")
    source, _, expected = rest.partition(EXPECTED)
    return Case(path, name, source, expected.strip("\n"))


def check(case: Case, run: Callable[[str], str], *, update: bool) -> None:
    """Compare what `run` makes of the case's source with what is expected, or write it down."""
    actual = "\n".join(line.rstrip() for line in run(case.source).strip("\n").split("\n"))
    if update and actual != case.expected:
        others = read(case.path)
        text = "\n".join(
            _text(other, actual if other.name == case.name else other.expected) for other in others
        )
        case.path.write_text(text, "utf-8")
        return
    assert actual == case.expected


def _text(case: Case, expected: str) -> str:
    return f"{CASE}{case.name}\n{case.source}{EXPECTED}\n{expected}\n"
