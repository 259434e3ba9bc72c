"""One logical line in canonical form: its spaces, and its breaks where it is too long."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
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
    """The rows of a line whose comments in brackets all stand between elements."""
    indent = " " * (INDENT_WIDTH * line.depth)
    starts_row = {id(line.tokens[index]) for index in line.starts_row if index}
    parts = _split_at_pipes(_without_trailing_commas(line.tokens), starts_row)
    whole = _Printer([token for part in parts for token in part.tokens], starts_row)
    end = len(whole.tokens)
    between = any(part.before for part in parts) or any(part.after for part in parts[:-1])
    if not between and (whole.fits(0, end, indent) or not whole.pipes()):
        return _with_comment(whole.lay(0, end, indent), parts[-1].after)
    rows: list[str] = []
    start = 0
    deeper = indent + " " * INDENT_WIDTH
    for part in parts:
        rows += [deeper + comment for comment in part.before]
        end = start + sum(token.type != COMMENT for token in part.tokens)
        lead = deeper if start else indent
        force = len(parts) == 1
        rows += _with_comment(whole.chain(start, end, lead, deeper, force=force), part.after)
        start = end
    return rows


def can_print(line: Line) -> bool:
    """Whether each comment in brackets stands where an element starts or the brackets end."""
    depth = 0
    before = ""
    code = [token for token in line.tokens if token.type != COMMENT]
    seen = 0
    for token in line.tokens:
        if token.type != COMMENT:
            depth += (token.text in _OPEN) - (token.text in _CLOSE)
            before = token.text
            seen += 1
        elif depth:
            closes = code[seen].text in _CLOSE
            opens = before in _OPEN
            if (opens and closes) or not (opens or closes or before == ","):
                return False
    return True


class _Part:
    """A piece of a chain between two breaks before `|>`, with the comments around it."""

    def __init__(self) -> None:
        self.before: list[str] = []
        self.tokens: list[Token] = []
        self.after = ""


def _split_at_pipes(tokens: list[Token], starts_row: set[int]) -> list[_Part]:
    """The line, cut where its author broke it before `|>` outside brackets."""
    parts = [_Part()]
    depth = 0
    for token in tokens:
        fresh = id(token) in starts_row and depth == 0 and parts[-1].tokens
        if fresh and (token.type == COMMENT or token.text == "|>"):
            parts.append(_Part())
        if token.type == COMMENT and depth == 0:
            if id(token) in starts_row:
                parts[-1].before.append(token.text.rstrip())
            else:
                parts[-1].after = token.text.rstrip()
            continue
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        parts[-1].tokens.append(token)
    return parts


def _with_comment(rows: list[str], comment: str) -> list[str]:
    return [*rows[:-1], f"{rows[-1]}  {comment}"] if comment else rows


def _fits(text: str) -> bool:
    return len(text) <= MAX_WIDTH or "\n" in text


class _Printer:
    """Prints ranges of the tokens of one line.

    Comments are no tokens here: they stand between two tokens, known by the index of the second.
    """

    def __init__(self, tokens: list[Token], starts_row: set[int]) -> None:
        self.tokens: list[Token] = []
        self.trailing: dict[int, str] = {}
        """Comments that end a row."""
        self.own_rows: dict[int, list[str]] = {}
        """Comments on rows of their own."""
        for token in tokens:
            place, text = len(self.tokens), token.text.rstrip()
            if token.type != COMMENT:
                self.tokens.append(token)
            elif id(token) in starts_row:
                self.own_rows.setdefault(place, []).append(text)
            else:
                self.trailing[place] = text
        self.commented = sorted({*self.trailing, *self.own_rows})
        self.closers = _matches(self.tokens)
        self.spaced = _spaces(self.tokens)

    def has_comments(self, first: int, last: int) -> bool:
        """Whether a comment stands before one of the tokens [first, last]."""
        return bisect_left(self.commented, first) < bisect_right(self.commented, last)

    def fits(self, start: int, end: int, indent: str) -> bool:
        """Whether the tokens [start, end) can stand in one row."""
        return not self.has_comments(start + 1, end - 1) and _fits(indent + self.flat(start, end))

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
        if self.fits(start, end, lead) and not force:
            return [lead + self.flat(start, end)]
        cuts = [start, *(pipe for pipe in self.pipes() if start < pipe < end), end]
        rows = []
        for a, b in pairwise(cuts):
            rows += self.lay(a, b, lead if a == start else deeper)
        return rows

    def lay(self, start: int, end: int, indent: str) -> list[str]:
        """The tokens in one row if they fit, else with brackets opened up: the largest first."""
        groups = [
            index
            for index in self.outer(start, end)
            if index + 1 < self.closers.get(index, 0) < end
        ]
        if self.fits(start, end, indent) or not groups:
            return [indent + self.flat(start, end)]
        opener = max(groups, key=self.weight)
        closer = self.closers[opener]
        head = self.lay(start, opener + 1, indent)
        return [
            *_with_comment(head, self.trailing.get(opener + 1, "")),
            *self.inside(opener + 1, closer, indent + " " * INDENT_WIDTH),
            *self.lay(closer, end, indent),
        ]

    def weight(self, opener: int) -> tuple[bool, int, int]:
        """How urgent it is to open up these brackets: comments first, then length."""
        closer = self.closers[opener]
        return self.has_comments(opener + 1, closer), len(self.flat(opener, closer)), opener

    def inside(self, start: int, end: int, indent: str) -> list[str]:
        """What stands between brackets: in one row if it fits, else one row for each element."""
        if _fits(indent + self.flat(start, end)) and not self.has_comments(start, end):
            return [indent + self.flat(start, end)]
        commas = [index for index in self.outer(start, end) if self.tokens[index].text == ","]
        deeper = indent + " " * (INDENT_WIDTH if commas else 0)
        rows: list[str] = []
        for a, b in zip([start, *(comma + 1 for comma in commas)], [*commas, end], strict=True):
            rows += [indent + comment for comment in self.own_rows.get(a, ())]
            if a == b:
                continue
            *above, last = self.element(a, b, indent, deeper)
            after = b + 1 if b < end else b
            rows += _with_comment(
                [*above, last + "," if commas else last], self.trailing.get(after, "")
            )
        if self.tokens[end - 1].text != ",":
            rows += [indent + comment for comment in self.own_rows.get(end, ())]
        return rows

    def element(self, start: int, end: int, indent: str, deeper: str) -> list[str]:
        """One element, broken before its loosest operators if it is too long."""
        if self.has_comments(start + 1, end - 1):
            return self.lay(start, end, indent)
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
    dropped: set[int] = set()
    commas: list[list[Token]] = [[]]
    last = tokens[0]
    for token in tokens:
        if token.type == COMMENT:
            continue
        if token.text in _OPEN:
            commas.append([])
        elif token.text == ",":
            commas[-1].append(token)
        elif token.text in _CLOSE and len(commas.pop()) > 1 and last.text == ",":
            dropped.add(id(last))
        last = token
    return [token for token in tokens if id(token) not in dropped]


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
