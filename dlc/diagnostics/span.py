"""Places in source texts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One text and the name under which a user knows it."""

    path: str
    text: str

    def line_of(self, offset: int) -> int:
        """The line, counted from 1, that holds the character at `offset`."""
        return self.text.count("\n", 0, offset) + 1

    def row(self, line: int) -> str:
        """The text of a line, counted from 1, without its end."""
        rows = self.text.split("\n")
        return rows[line - 1].rstrip("\r") if line <= len(rows) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """The characters [start, end) of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """The first line, counted from 1."""
        return self.source.line_of(self.start)

    @property
    def column(self) -> int:
        """The first column, counted from 1."""
        return self.start - self.source.text.rfind("\n", 0, self.start)

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Span({self})"
