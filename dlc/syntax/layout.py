"""Layout: from tokens with ends of lines to logical lines and indented blocks.

Before: `def f ( x ) : NEWLINE return x NEWLINE`
After:  `def f ( x ) : _NL _INDENT return x _NL _DEDENT`
"""

from __future__ import annotations

from dlc.diagnostics import Diagnostic, Source, Span, fail
from dlc.diagnostics import text as texts
from dlc.syntax.lexer import BAD, COMMENT, NAME, NEWLINE, Token

NL, INDENT, DEDENT = "_NL", "_INDENT", "_DEDENT"
MAX_BRACKETS, MAX_BLOCKS = 100, 50
CLOSERS = {"(": ")", "[": "]"}
OPENS_STATEMENT = frozenset({
    "def", "layer", "model", "train", "optimizer", "hyper", "axis", "from", "return", "param",
    "state", "carry", "emit", "for", "if", "scan", "minimize", "metric",
})  # fmt: skip
"""Words that, before another name at the start of a line, show that a bracket was not closed."""


def layout(source: Source, raw: list[Token]) -> list[Token]:
    """The tokens of the parser: no comments, with `_NL`, `_INDENT` and `_DEDENT`.

    Raises DlcError where brackets or blocks are nested beyond the limits.
    """
    return _Layout(source).run(raw)


class _Layout:
    """The state of the pass: what is open at this place of the text."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.out: list[Token] = []
        self.brackets: list[tuple[Token, int]] = []
        """Open brackets, each with the indentation of its line."""
        self.indents = [0]
        self.line_has_tokens = False
        self.filling = ""
        """What the file indents with, once a line has shown it: a tab, a space, or "mixed"."""

    def run(self, raw: list[Token]) -> list[Token]:
        row, fresh = 0, True
        for index, token in enumerate(raw):
            if token.type == NEWLINE:
                row, fresh = token.end, True
                continue
            if token.type == COMMENT:
                continue
            if fresh:
                following = raw[index + 1] if index + 1 < len(raw) else None
                self.begin_row(token, row, following)
                fresh = False
            if token.type == "OPERATOR":
                self.track(token)
            self.out.append(token)
            self.line_has_tokens = True
        self.finish()
        return self.out

    def begin_row(self, token: Token, row: int, following: Token | None) -> None:
        """At the first token of a row: end the line before and open or close blocks."""
        lead = self.source.text[row : token.start].lstrip("\ufeff")
        width = len(lead.expandtabs(4))
        if self.brackets:
            if not self.abandoned(token, width, following):
                return
            self.report_unclosed()
        if token.text == "|>" and self.line_has_tokens:
            return
        self.end_line()
        self.indent(token, lead, width)

    def abandoned(self, token: Token, width: int, following: Token | None) -> bool:
        """Whether this row starts a statement although a bracket is open."""
        return (
            token.type == NAME
            and token.text in OPENS_STATEMENT
            and width <= self.brackets[0][1]
            and following is not None
            and following.type == NAME
        )

    def report_unclosed(self) -> None:
        opener = self.brackets[-1][0]
        self.spoil(texts.UnclosedBracket(opener.span, CLOSERS[opener.text]))
        self.brackets.clear()

    def spoil(self, mistake: Diagnostic) -> None:
        end = self.out[-1].end if self.out else 0
        self.out.append(Token(BAD, "", end, end, self.source, mistake))

    def end_line(self) -> None:
        if self.line_has_tokens:
            self.add(NL, self.out[-1].end)
            self.line_has_tokens = False

    def add(self, kind: str, place: int) -> None:
        self.out.append(Token(kind, "", place, place, self.source))

    def indent(self, token: Token, lead: str, width: int) -> None:
        mistake = self.check_filling(token, lead)
        if width > self.indents[-1]:
            if len(self.indents) > MAX_BLOCKS:
                raise fail(texts.NestedTooDeeply(token.span, "blocks", MAX_BLOCKS))
            self.indents.append(width)
            self.add(INDENT, token.start)
        elif width < self.indents[-1]:
            open_before = tuple(self.indents)
            while width < self.indents[-1]:
                self.indents.pop()
                self.add(DEDENT, token.start)
            if width != self.indents[-1]:
                mistake = texts.UnindentMismatch(token.span, open_before)
        if mistake:
            self.out.append(Token(BAD, "", token.start, token.start, self.source, mistake))

    def check_filling(self, token: Token, lead: str) -> Diagnostic | None:
        """The mistake of the first row that indents with what the file does not."""
        kinds = set(lead) & {"\t", " "}
        if not kinds or self.filling == "mixed":
            return None
        self.filling = self.filling or lead[0]
        if kinds == {self.filling}:
            return None
        self.filling = "mixed"
        return texts.TabsAndSpaces(Span(self.source, token.start - len(lead), token.start))

    def track(self, token: Token) -> None:
        """Open or close a bracket."""
        if token.text in CLOSERS:
            if len(self.brackets) >= MAX_BRACKETS:
                raise fail(texts.NestedTooDeeply(token.span, "brackets", MAX_BRACKETS))
            self.brackets.append((token, self.indents[-1]))
        elif token.text in CLOSERS.values():
            opener = self.brackets.pop()[0] if self.brackets else None
            if opener is None or CLOSERS[opener.text] != token.text:
                token.type = BAD
                token.mistake = texts.MismatchedBracket(token.span, opener.span if opener else None)

    def finish(self) -> None:
        if self.brackets:
            self.report_unclosed()
        self.end_line()
        end = len(self.source.text)
        for _ in self.indents[1:]:
            self.add(DEDENT, end)
