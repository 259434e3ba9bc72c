"""Diagnostics as text for people and as JSON for programs."""

from __future__ import annotations

from typing import Any

from dlc.diagnostics.diagnostic import Diagnostic, Label

RED, YELLOW, BLUE, BOLD, RESET = "\x1b[31;1m", "\x1b[33;1m", "\x1b[34;1m", "\x1b[1m", "\x1b[0m"
WIDTH = 120
"""Longer source lines are cut around the mistake."""


def render(diagnostic: Diagnostic, *, color: bool = False) -> str:
    """The diagnostic with its source lines, carets and help, without a final newline."""
    paint = _painter(color)
    tone = RED if diagnostic.severity == "error" else YELLOW
    head = paint(tone, f"{diagnostic.severity}[{diagnostic.code}]")
    lines = [f"{head}{paint(BOLD, ': ' + diagnostic.message)}"]
    labels = diagnostic.labels
    gutter = max((len(str(label.span.line)) for label in labels), default=1)
    if labels:
        lines.append(f"{' ' * gutter}{paint(BLUE, '-->')} {labels[0].span}")
    for path in dict.fromkeys(label.span.source.path for label in labels):
        group = [label for label in labels if label.span.source.path == path]
        if path != labels[0].span.source.path:
            lines.append(f"{' ' * gutter}{paint(BLUE, ':::')} {group[0].span}")
        lines.append(f"{' ' * gutter} {paint(BLUE, '|')}")
        for label in sorted(group, key=lambda g: g.span.start):
            lines += _excerpt(label, label is labels[0], gutter, paint, tone)
    if diagnostic.help:
        lines.append(f"{' ' * gutter} {paint(BLUE, '=')} help: {diagnostic.help}")
    return "\n".join(lines)


def to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """The diagnostic as plain data, its places as line and column counted from 1."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "help": diagnostic.help,
        "labels": [
            {
                "path": label.span.source.path,
                "line": label.span.line,
                "column": label.span.column,
                "start": label.span.start,
                "end": label.span.end,
                "text": label.text,
            }
            for label in diagnostic.labels
        ],
    }


def _painter(color: bool) -> Any:
    return (lambda tone, text: f"{tone}{text}{RESET}") if color else (lambda tone, text: text)


def _excerpt(label: Label, primary: bool, gutter: int, paint: Any, tone: str) -> list[str]:
    span = label.span
    row = span.source.row(span.line)
    start = span.column - 1
    width = max(1, min(span.end - span.start, len(row) - start))
    lead = row[:start].expandtabs(4)
    shown = lead + row[start : start + width].expandtabs(4)
    marks = ((1 if primary else 0) and "^") or "-"
    width = max(1, len(shown) - len(lead))
    text = row.expandtabs(4)
    column = len(lead)
    if len(text) > WIDTH:
        cut = max(0, column - WIDTH // 3)
        text = ("..." if cut else "") + text[cut : cut + WIDTH] + "..."
        column = column - cut + (3 if cut else 0)
        width = max(1, min(width, len(text) - column))
    carets = paint(tone if primary else BLUE, f"{marks * width} {label.text}".rstrip())
    bar = paint(BLUE, "|")
    return [
        f"{paint(BLUE, str(span.line).rjust(gutter))} {bar} {text}".rstrip(),
        f"{' ' * gutter} {bar} {' ' * column}{carets}",
    ]
