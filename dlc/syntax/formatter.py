"""`dlc fmt`: the canonical layout of a file; its tree and its comments stay as they are.

Indentation is four spaces a level, lines have at most 100 characters where they can be broken:
a chain of pipes before `|>`, everything else inside its largest brackets. At most two blank lines
follow each other. A line with comments in the middle of an expression keeps its line breaks.
"""

from __future__ import annotations

from dlc.diagnostics import Source
from dlc.syntax.parser import parse_tokens
from dlc.syntax.printer import INDENT_WIDTH, can_print, print_line
from dlc.syntax.rows import Comment, Line, lines_of

MAX_BLANK = 2


def format_source(source: Source) -> str:
    """The canonical text of a file.

    Raises DlcError if the file has syntax mistakes.
    """
    _, tokens = parse_tokens(source)
    out: list[str] = []
    for entry in lines_of(source, tokens):
        blank = min(entry.blank_before, MAX_BLANK) if out else 0
        out += [""] * blank
        if isinstance(entry, Comment):
            out.append(" " * (INDENT_WIDTH * entry.depth) + entry.text)
        elif can_print(entry):
            out += print_line(entry)
        else:
            out += _verbatim(source, entry)
    return "\n".join(out) + "\n" if out else ""


def _verbatim(source: Source, line: Line) -> list[str]:
    """The rows of a line as they are, moved to the line's depth as a whole."""
    first, last = line.tokens[0], line.tokens[-1]
    row_start = source.text.rfind("\n", 0, first.start) + 1
    old = len(source.text[row_start : first.start].lstrip("\ufeff").expandtabs(4))
    shift = INDENT_WIDTH * line.depth - old
    rows = [" " * (INDENT_WIDTH * line.depth)]
    for token, following in zip(line.tokens, [*line.tokens[1:], None], strict=True):
        rows[-1] += token.text
        end = following.start if following else last.end
        gap = source.text[token.end : end]
        if "\n" in gap:
            lead = len(gap[gap.rfind("\n") + 1 :].expandtabs(4))
            rows[-1] = rows[-1].rstrip()
            rows += [""] * (gap.count("\n") - 1)
            rows.append(" " * max(lead + shift, INDENT_WIDTH * line.depth))
        else:
            rows[-1] += gap.replace("\t", " ")
    return rows
