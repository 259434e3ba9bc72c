"""The lines of a file as a formatter sees them: with their depth, comments and blank lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dlc.diagnostics import Source
from dlc.syntax.lexer import COMMENT, NEWLINE, Token


@dataclass(slots=True)
class Comment:
    """A comment on a row of its own, outside of any logical line."""

    token: Token
    column: int
    blank_before: int
    depth: int = 0

    @property
    def text(self) -> str:
        """The comment with its `#`."""
        return self.token.text.rstrip()


@dataclass(slots=True)
class Line:
    """A logical line: all its tokens and the comments among and after them."""

    depth: int
    blank_before: int
    tokens: list[Token] = field(default_factory=list)
    starts_row: set[int] = field(default_factory=set)
    """The indices of the tokens that are the first of a row."""


@dataclass(slots=True)
class _Row:
    tokens: list[Token]
    column: int
    blank_before: int


def lines_of(source: Source, tokens: list[Token]) -> Iterator[Line | Comment]:
    """The logical lines and free comments of a file without mistakes, in order."""
    waiting: list[Comment] = []
    indents = [0]
    line: Line | None = None
    depth = 0
    for row in _rows(source, tokens):
        if depth == 0 and row.tokens[0].type == COMMENT:
            waiting.append(Comment(row.tokens[0], row.column, row.blank_before))
            continue
        continues = line is not None and (depth > 0 or row.tokens[0].text == "|>")
        if line is None or not continues:
            if line:
                yield line
            open_before = list(indents)
            _reindent(indents, row.column)
            yield from _placed(waiting, open_before, indents)
            line = Line(len(indents) - 1, row.blank_before)
        else:
            _take_comments(line, waiting)
        waiting = []
        line.starts_row.add(len(line.tokens))
        line.tokens += row.tokens
        depth += _opened(row)
    if line:
        yield line
    yield from _placed(waiting, indents, [0])


def _rows(source: Source, tokens: list[Token]) -> Iterator[_Row]:
    row: list[Token] = []
    start, blank = 0, 0
    for token in tokens:
        if token.type != NEWLINE:
            row.append(token)
            continue
        if row:
            yield _row(source, row, start, blank)
        blank = 0 if row else blank + 1
        row, start = [], token.end
    if row:
        yield _row(source, row, start, blank)


def _row(source: Source, tokens: list[Token], start: int, blank: int) -> _Row:
    lead = source.text[start : tokens[0].start].lstrip("\ufeff")
    return _Row(tokens, len(lead.expandtabs(4)), blank)


def _opened(row: _Row) -> int:
    opened = sum(token.text in ("(", "[") for token in row.tokens)
    return opened - sum(token.text in (")", "]") for token in row.tokens)


def _reindent(indents: list[int], width: int) -> None:
    while width < indents[-1]:
        indents.pop()
    if width > indents[-1]:
        indents.append(width)


def _placed(comments: list[Comment], before: list[int], after: list[int]) -> Iterator[Comment]:
    """The comments with their depths: as deep as they stand, at least as the line that follows."""
    for comment in comments:
        deepest = sum(width <= comment.column for width in before) - 1
        comment.depth = max(deepest, len(after) - 1)
        yield comment


def _take_comments(line: Line, comments: list[Comment]) -> None:
    """Comments between the rows of a chain of pipes belong to the line."""
    for comment in comments:
        line.starts_row.add(len(line.tokens))
        line.tokens.append(comment.token)
