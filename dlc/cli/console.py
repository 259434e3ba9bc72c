"""What a command says: results to stdout, progress and diagnostics to stderr, or JSON lines."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from dlc.diagnostics import Diagnostic, render, to_json

JSON_VERSION = 1
"""Of the objects that `--json` prints; a later one may have fields more, never fewer."""


class PipeClosed(BaseException):
    """Who read the results wants no more; no mistake, and nothing that click should see."""


class OutputLost(BaseException):
    """Results cannot be written to where stdout goes: a full disk."""


@dataclass(slots=True)
class Console:
    """Where one invocation writes, as its options say."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    def result(self, kind: str, text: str, /, **fields: Any) -> None:
        """A result: `text` for people, or an object of this kind with the fields."""
        if self.json:
            import json

            text = json.dumps({"version": JSON_VERSION, "kind": kind, **_plain(fields)})
        if text or self.json:
            try:
                print(text, flush=True)
            except BrokenPipeError as error:
                raise PipeClosed from error
            except OSError as error:
                raise OutputLost(error.strerror or str(error)) from error

    def note(self, text: str) -> None:
        """Progress or a remark, to stderr; nothing when quiet."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        """What only `-v` shows."""
        if self.verbose:
            self.note(text)

    def diagnose(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Mistakes and warnings, to stderr; as objects of kind `diagnostic` to stdout in JSON.

        No warnings when quiet.
        """
        for diagnostic in diagnostics:
            if self.quiet and diagnostic.severity == "warning":
                continue
            if self.json:
                self.result("diagnostic", "", **to_json(diagnostic))
            else:
                print(render(diagnostic, color=colored(sys.stderr)), end="\n\n", file=sys.stderr)


def colored(stream: TextIO) -> bool:
    """Whether colour is wanted there: a terminal, and neither NO_COLOR nor a dumb terminal."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(rows: Iterable[Iterable[object]], *, right: frozenset[int] = frozenset()) -> str:
    """Rows in columns two spaces apart; the columns in `right` are set flush right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    """The value as JSON can say it: numbers that are not finite become their names."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)
