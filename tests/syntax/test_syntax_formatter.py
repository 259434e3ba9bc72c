"""The canonical layout: it changes no meaning, loses no comment, and is a fixed point."""

import random
from collections import Counter

import pytest
from golden import cases
from texts import PROGRAMS, excerpt, mutant, respaced

from dlc.diagnostics import DlcError, Source
from dlc.syntax import parse
from dlc.syntax.formatter import format_source
from dlc.syntax.lexer import COMMENT, scan


def formatted(text: str) -> str:
    return format_source(Source("test.dl", text))


def comments(text: str) -> Counter[str]:
    tokens = scan(Source("test.dl", text))
    return Counter(token.text.rstrip() for token in tokens if token.type == COMMENT)


def check(text: str) -> None:
    once = formatted(text)
    assert parse(Source("test.dl", once)) == parse(Source("test.dl", text))
    assert comments(once) == comments(text)
    assert formatted(once) == once


@pytest.mark.parametrize("case", cases("format"))
def test_golden(case, golden):
    golden(case, formatted)


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_programs(text):
    check(text)
    code = [line.split("#")[0].rstrip() for line in formatted(text).split("\n")]
    assert max(len(line) for line in code) <= 100


@pytest.mark.parametrize("seed", range(10))
def test_other_spaces(seed):
    rng = random.Random(seed)
    for name in ("gan", "lenet", "layers", "attention", "models"):
        check(respaced(rng, PROGRAMS[name]))


@pytest.mark.parametrize("seed", range(5))
def test_mutants(seed):
    rng = random.Random(1000 + seed)
    for _ in range(60):
        text = mutant(rng)
        try:
            formatted(text)
        except DlcError:
            continue
        check(text)


@pytest.mark.parametrize("seed", range(3))
def test_narrow_pieces(seed):
    rng = random.Random(seed)
    for _ in range(10):
        text = excerpt(rng).replace("x", "x_with_a_name_of_some_length_that_makes_lines_long")
        try:
            formatted(text)
        except DlcError:
            continue
        check(text)


def test_canonical_text_does_not_depend_on_spaces():
    text = PROGRAMS["gan"]
    squeezed = text.replace("    ", "  ").replace(", ", ",").replace(" + ", "+").replace(" = ", "=")
    assert formatted(squeezed) == formatted(text)


def test_line_ends_and_marks():
    assert formatted("\ufeffaxis   N\r\n\r\n\r\n\r\n\r\naxis M") == "axis N\n\n\naxis M\n"
    assert formatted("") == ""
    assert formatted("\n\n# only\n\n") == "# only\n"


def test_mistakes_are_reported():
    with pytest.raises(DlcError):
        formatted("axis N N\n")
