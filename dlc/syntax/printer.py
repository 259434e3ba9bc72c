"""One logical line in canonical form: its spaces, and its breaks where it is too long."""

from __future__ import annotations

from itertools import pairwise

from dlc.syntax.lexer import COMMENT, NAME, NUMBER, STRING, Token
from dlc.syntax.rows import Line

INDENT_WIDTH = 4
MAX_WIDTH = 100

_OPEN, _CLOSE = ("(", "["), (")", "]")
_BY_PRECEDENCE = (
    ("|>",), ("or",), ("and",), ("==", "!=", "<", "<=", ">", ">="), ("+", "-"),
    ("*", "/", "//", "%"),
)  # fmt: skip
_HAS_PARAMETERS = ("DEF", "LAYER", "MODEL", "OPTIMIZER", "STEP")


def print_line(line: Line) -> list[str]:
    """The rows of a line that has no comments inside brackets."""
    indent = " " * (INDENT_WIDTH * line.depth)
    parts = _split_at_pipes(line)
    whole = _Printer([token for part in parts for token in part.code])
    comments = [comment for part in parts for comment in part.before]
    inner = [part.after for part in parts[:-1] if part.after]
    flat = indent + whole.flat(0, len(whole.tokens))
    if not comments and not inner and (_fits(flat) or not whole.pipes()):
        rows = [flat] if _fits(flat) else whole.lay(0, len(whole.tokens), indent)
        return _with_comment(rows, parts[-1].after)
    rows = []
    start = 0
    deeper = indent + " " * INDENT_WIDTH
    broken = len(parts) > 1
    for part in parts:
        rows += [deeper + comment for comment in part.before]
        end = start + len(part.code)
        lead = deeper if start else indent
        rows += _with_comment(whole.chain(start, end, lead, deeper, force=not broken), part.after)
        start = end
    return rows


class _Part:
    """A piece of a chain between two breaks before `|>`, with the comments around it."""

    def __init__(self) -> None:
        self.before: list[str] = []
        self.code: list[Token] = []
        self.after = ""


def _split_at_pipes(line: Line) -> list[_Part]:
    """The line, cut where its author broke it before `|>` outside brackets."""
    parts = [_Part()]
    depth = 0
    for index, token in enumerate(line.tokens):
        starts_row = index in line.starts_row and index > 0
        if token.type == COMMENT:
            if starts_row:
                parts.append(_Part()) if parts[-1].code else None
                parts[-1].before.append(token.text.rstrip())
            else:
                parts[-1].after = token.text.rstrip()
            continue
        if starts_row and token.text == "|>" and depth == 0 and parts[-1].code:
            parts.append(_Part())
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        parts[-1].code.append(token)
    return parts


def _with_comment(rows: list[str], comment: str) -> list[str]:
    return [*rows[:-1], f"{rows[-1]}  {comment}"] if comment else rows


def _fits(text: str) -> bool:
    return len(text) <= MAX_WIDTH or "\n" in text


class _Printer:
    """Prints ranges of the tokens of one line."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = _without_trailing_commas(tokens)
        self.closers = _matches(self.tokens)
        self.spaced = _spaces(self.tokens)

    def flat(self, start: int, end: int) -> str:
        """The tokens [start, end) in one row."""
        parts = []
        for index in range(start, end):
            if index > start and self.spaced[index]:
                parts.append(" ")
            parts.append(self.tokens[index].text)
        return "".join(parts)

    def outer(self, start: int, end: int) -> list[int]:
        """The indices in [start, end) outside the brackets that close in that range."""
        found = []
        index = start
        while index < end:
            found.append(index)
            closer = self.closers.get(index, end)
            index = closer if closer < end else index + 1
        return found

    def pipes(self) -> list[int]:
        """The pipes outside brackets."""
        return [i for i in self.outer(0, len(self.tokens)) if self.tokens[i].text == "|>"]

    def chain(self, start: int, end: int, lead: str, deeper: str, *, force: bool) -> list[str]:
        """A piece of a chain, broken before its own pipes if it is too long or `force` says so."""
        if _fits(lead + self.flat(start, end)) and not force:
            return [lead + self.flat(start, end)]
        cuts = [start, *(pipe for pipe in self.pipes() if start < pipe < end), end]
        rows = []
        for a, b in pairwise(cuts):
            rows += self.lay(a, b, lead if a == start else deeper)
        return rows

    def lay(self, start: int, end: int, indent: str) -> list[str]:
        """The tokens in one row if they fit, else with their largest brackets opened up."""
        flat = indent + self.flat(start, end)
        groups = [
            (self.closers[index] - index, index)
            for index in self.outer(start, end)
            if index + 1 < self.closers.get(index, 0) < end
        ]
        if _fits(flat) or not groups:
            return [flat]
        opener = max(groups, key=lambda group: (len(self.flat(group[1], sum(group))), group[1]))[1]
        closer = self.closers[opener]
        return [
            *self.lay(start, opener + 1, indent),
            *self.inside(opener + 1, closer, indent + " " * INDENT_WIDTH),
            *self.lay(closer, end, indent),
        ]

    def inside(self, start: int, end: int, indent: str) -> list[str]:
        """What stands between brackets: in one row if it fits, else one row for each element."""
        if _fits(indent + self.flat(start, end)):
            return [indent + self.flat(start, end)]
        commas = [index for index in self.outer(start, end) if self.tokens[index].text == ","]
        if not commas:
            return self.element(start, end, indent, indent)
        cuts = [start, *(comma + 1 for comma in commas)]
        ends = [*commas, end]
        rows: list[str] = []
        for a, b in zip(cuts, ends, strict=True):
            if a < b:
                *above, last = self.element(a, b, indent, indent + " " * INDENT_WIDTH)
                rows += [*above, last + ","]
        return rows

    def element(self, start: int, end: int, indent: str, deeper: str) -> list[str]:
        """One element, broken before its loosest operators if it is too long."""
        if len(indent) + len(self.flat(start, end)) < MAX_WIDTH:
            return [indent + self.flat(start, end)]
        cuts = self.operators(start, end)
        if not cuts:
            return self.lay(start, end, indent)
        rows = self.lay(start, cuts[0], indent)
        for a, b in zip(cuts, [*cuts[1:], end], strict=True):
            rows += self.lay(a, b, deeper)
        return rows

    def operators(self, start: int, end: int) -> list[int]:
        """The loosest binary operators outside brackets, if the element is no named one."""
        outer = self.outer(start, end)
        if any(self.tokens[index].text in ("=", "->", ":") for index in outer):
            return []
        for level in _BY_PRECEDENCE:
            cuts = [
                index
                for index in outer
                if self.tokens[index].text in level
                and index > start
                and _ends_value(self.tokens[index - 1])
            ]
            if cuts:
                return cuts
        return []


def _without_trailing_commas(tokens: list[Token]) -> list[Token]:
    """Drop the comma before a closing bracket, unless it is the only one there (`(x,)`)."""
    kept: list[Token] = []
    commas = [0]
    for token in tokens:
        if token.text in _OPEN:
            commas.append(0)
        elif token.text == ",":
            commas[-1] += 1
        elif token.text in _CLOSE and commas.pop() > 1 and kept[-1].text == ",":
            kept.pop()
        kept.append(token)
    return kept


def _matches(tokens: list[Token]) -> dict[int, int]:
    """The closing bracket of each opening one."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.text in _OPEN:
            opened.append(index)
        elif token.text in _CLOSE:
            found[opened.pop()] = index
    return found


def _spaces(tokens: list[Token]) -> list[bool]:
    """For each token, whether a space stands before it."""
    spaces = [False] * len(tokens)
    opened: list[str] = []
    parameters = tokens[0].type in _HAS_PARAMETERS and tokens[-1].text == ":"
    commas = 0
    for index in range(1, len(tokens)):
        before, token = tokens[index - 1], tokens[index]
        if before.text in _OPEN:
            opened.append(before.text)
        if token.text in _CLOSE:
            spaces[index] = False
            opened.pop()
            continue
        commas += token.text == "," and not opened
        named = opened != ["("] if parameters and opened else bool(opened)
        named = named or (not opened and _is_option(tokens, index, commas))
        in_slice = opened[-1:] == ["["]
        spaces[index] = _space(tokens, index, named=named, in_slice=in_slice)
    return spaces


def _is_option(tokens: list[Token], index: int, commas: int) -> bool:
    """Whether the token is at the `=` of `param ..., decay=false` or of `reversed=backward`."""
    at = index if tokens[index].text == "=" else index - 1
    if tokens[0].type == "PARAM":
        return commas > 0
    return tokens[0].type == "SCAN" and tokens[at - 1].type == "REVERSED"


def _space(tokens: list[Token], index: int, *, named: bool, in_slice: bool) -> bool:
    before, token = tokens[index - 1], tokens[index]
    if before.text in (*_OPEN, ".") or token.text in (",", "."):
        return False
    if "=" in (before.text, token.text):
        return not named
    if ":" in (before.text, token.text):
        return before.text == ":" and not in_slice
    if before.text == "-" and not (index >= 2 and _ends_value(tokens[index - 2])):
        return False
    if token.text in _OPEN:
        return not (_ends_value(before) or before.type == "STEP")
    return True


def _ends_value(token: Token) -> bool:
    return (
        token.type in (NAME, NUMBER, STRING, "TRUE", "FALSE")
        or token.text in _CLOSE
        or token.text == ".."
    )
