"""From text to tokens, in one linear pass: what cannot be read becomes `BAD` tokens."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from dlc.diagnostics import Diagnostic, Source, Span
from dlc.diagnostics import syntax as mistakes
from dlc.diagnostics import text as texts

NAME, NUMBER, STRING = "NAME", "NUMBER", "STRING"
OPERATOR, COMMENT, NEWLINE, BAD = "OPERATOR", "COMMENT", "NEWLINE", "BAD"

TRIPLE = '"""'
OPERATORS = (
    "|>", "->", "<-", "..", "==", "!=", "<=", ">=", "//", "**",
    "(", ")", "[", "]", ":", ",", "=", "<", ">", "+", "-", "*", "/", "%", ".",
)  # fmt: skip
FOREIGN = {
    "//=": "write `x = x // ...`", "**=": "write `x = x ** ...`", "+=": "write `x = x + ...`",
    "-=": "write `x = x - ...`", "*=": "write `x = x * ...`", "/=": "write `x = x / ...`",
    "%=": "write `x = x % ...`", ":=": "name the value on a line of its own: `x = ...`",
    "===": "write `==`", "!==": "write `!=`", "<>": "write `!=`", "=>": "write `>=` to compare",
    "&&": "write `and`", "||": "write `or`", "...": "write `..` for the axes not named",
    "!": "write `not`", "&": "write `and`", "|": "write `or`, or `|>` to hand a value on",
    "^": "write `**` for a power", "~": "write `not`",
    "@": "a matrix product is `dot(a, b, over=K)`",
    ";": "write each statement on a line of its own",
    "{": "blocks are indented, lists are `[a, b]`", "}": "blocks are indented, lists are `[a, b]`",
    "?": "a choice between values is `where(condition, a, b)`",
    "\\": "to go on in the next line, use brackets, or start that line with `|>`",
}  # fmt: skip
LOOKALIKES = {
    "\u2013": "type `-`", "\u2014": "type `-`", "\u2212": "type `-`", "\u00d7": "type `*`",
    "\u00f7": "type `/`", "\u2264": "type `<=`", "\u2265": "type `>=`", "\u2260": "type `!=`",
    "\u2192": "type `->`", "\u2190": "type `<-`", "\u201c": 'type `"`', "\u201d": 'type `"`',
    "\u2018": 'type `"`', "\u2019": 'type `"`', "\u2026": "type `..`",
    "\u00a0": "type a plain space", "\ufeff": "remove it", "\u200b": "remove it",
    "\0": "remove it; the file may be damaged", "\r": "end lines with LF or CR LF",
}  # fmt: skip
LARGEST = 2**63 - 1
"""The largest integer that may be written."""


@dataclass(slots=True, eq=False)
class Token:
    """A piece of the text; `mistake` is what is wrong with a `BAD` one.

    `type` is one of the kinds of this module until the parser replaces it by a terminal.
    """

    type: str
    text: str
    start: int
    end: int
    source: Source
    mistake: Diagnostic | None = None

    @property
    def span(self) -> Span:
        """The place."""
        return Span(self.source, self.start, self.end)


def _alternatives(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_TOKEN = re.compile(
    r"(?P<SPACE>[ \t\f]+)"
    r"|(?P<NAME>[A-Za-z_][A-Za-z0-9_]*)"
    rf"|(?P<NUMBER>{_DIGITS}(?:\.(?!\.)(?:{_DIGITS})?)?(?:[eE][+-]?{_DIGITS})?)(?P<TAIL>\w+)?"
    rf"|(?P<OPERATOR>{_alternatives((*OPERATORS, *FOREIGN))})"
    r"|(?P<NEWLINE>\r?\n)"
    r"|(?P<COMMENT>\#[^\r\n]*)"
    r'|(?P<STRING>"""[\s\S]*?"""|(?!""")"[^"\\\n]*(?:\\.[^"\\\n]*)*")'
    r'|(?P<UNCLOSED>"""[\s\S]*|"[^\r\n]*)'
    r"|(?P<QUOTED>'[^'\r\n]*'?)"
    r"|(?P<OTHER>[\s\S])"
)
_ESCAPE = re.compile(r'\\(?![\\"nt]).?')


def scan(source: Source) -> list[Token]:
    """All tokens of a text, with comments and ends of lines, without spaces."""
    tokens: list[Token] = []
    text = source.text
    for match in _TOKEN.finditer(text, 1 if text.startswith("\ufeff") else 0):
        kind = match.lastgroup
        if kind == "SPACE":
            continue
        token = Token(kind or BAD, match[0], match.start(), match.end(), source)
        if kind == OPERATOR:
            if token.text in FOREIGN:
                _spoil(token, mistakes.ForeignOperator(token.span, FOREIGN[token.text]))
        elif kind not in (NAME, NEWLINE, COMMENT):
            _check(token)
        tokens.append(token)
    _join_leading_points(tokens)
    return tokens


def _spoil(token: Token, mistake: Diagnostic) -> None:
    token.type = BAD
    token.mistake = mistake


def _check(token: Token) -> None:
    text, span = token.text, token.span
    match token.type:
        case "NUMBER":
            if not _fits(text):
                _spoil(token, texts.NumberTooLarge(span))
        case "TAIL":
            fix = "numbers are written 3, 1_000, 0.5 or 1e-3, and names start with a letter"
            _spoil(token, texts.BadNumber(span, fix))
        case "STRING":
            escape = None if text.startswith(TRIPLE) else _ESCAPE.search(_without_pairs(text))
            if escape:
                place = Span(token.source, token.start + escape.start(), token.start + escape.end())
                _spoil(token, texts.BadEscape(place))
        case "UNCLOSED":
            quotes = TRIPLE if text.startswith(TRIPLE) else '"'
            width = len(quotes) if quotes == TRIPLE else len(text)
            place = Span(token.source, token.start, token.start + width)
            _spoil(token, texts.UnclosedString(place, quotes))
        case "QUOTED":
            fix = f'strings have double quotes: "{text.strip(chr(39))}"'
            _spoil(token, mistakes.ForeignOperator(span, fix))
        case _:
            name = unicodedata.name(text, "")
            shown = f"U+{ord(text):04X}" + (f" ({name.lower()})" if name else "")
            _spoil(token, texts.BadCharacter(span, shown, LOOKALIKES.get(text)))


def _without_pairs(text: str) -> str:
    return text.replace("\\\\", "__")


def _fits(text: str) -> bool:
    if text.replace("_", "").isdigit():
        return len(text) < 40 and int(text) <= LARGEST
    return float(text) != float("inf")


def _join_leading_points(tokens: list[Token]) -> None:
    """Make `.5`, which reads as a point and a number, one bad token."""
    for before, point, number in zip([None, *tokens], tokens, tokens[1:], strict=False):
        if point.text == "." and number.type == NUMBER and point.end == number.start:
            after_value = before is not None and before.end == point.start and (
                before.type in (NAME, STRING) or before.text in (")", "]")
            )  # fmt: skip
            if not after_value:
                place = Span(point.source, point.start, number.end)
                fix = f"write 0{point.text}{number.text}"
                _spoil(point, texts.BadNumber(place, fix))
