"""From the text of a file to its tree, or all of its syntax mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator

from dlc.diagnostics import Diagnostic, DlcError, Source, Span
from dlc.diagnostics import syntax as mistakes
from dlc.diagnostics import text as texts
from dlc.syntax import tree
from dlc.syntax.explain import STATEMENTS, explain, header_word
from dlc.syntax.layout import DEDENT, INDENT, NL, layout
from dlc.syntax.lexer import NAME, NUMBER, Token, scan
from dlc.syntax.tables import TERMINALS_BY_TEXT, TEXTS_BY_TERMINAL, Machine

MAX_MISTAKES = 20
MAX_OPERATIONS = 200
"""How deep an expression may nest."""

ALWAYS_WORDS = frozenset({
    "and", "or", "not", "if", "elif", "else", "for", "in", "def", "from", "import", "true",
    "false",
})  # fmt: skip
"""Keywords everywhere; the others are names where the grammar takes no keyword."""
RESERVED = frozenset({
    "param", "state", "carry", "emit", "axis", "layer", "scan", "minimize", "metric", "return",
})  # fmt: skip
FOREIGN_NAMES = {
    "True": "write `true`",
    "False": "write `false`",
    "None": "leave the argument out, or give a value",
    "null": "leave the argument out, or give a value",
    "nil": "leave the argument out, or give a value",
}


def parse(source: Source) -> tree.File:
    """The tree of a file.

    Raises DlcError with all mistakes found, at most 20, in the order of the text.
    """
    return parse_tokens(source)[0]


def parse_tokens(source: Source) -> tuple[tree.File, list[Token]]:
    """The tree of a file and all its tokens, with comments and ends of lines.

    Words and operators have their terminals as types. Raises as `parse` does.
    """
    tokens = scan(source)
    run = _Parse(source, layout(source, tokens))
    file = run.run()
    found = run.mistakes or list(_check(file))[:MAX_MISTAKES]
    if found:
        raise DlcError(sorted(found, key=_place))
    return file, tokens


def _place(mistake: Diagnostic) -> int:
    return mistake.span.start if mistake.span else 0


class _Parse:
    """One parse: feeds tokens to the tables and starts anew after each line that fails."""

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.machine = Machine()
        self.line = 0
        """The index of the first token of this logical line."""
        self.restart = self.machine.copy()
        """The parser as it was at the start of this line."""
        self.dropped: set[int] = set()
        """Ends of blocks that were never opened."""
        self.mistakes: list[Diagnostic] = []

    def run(self) -> tree.File:
        """The tree; without meaning if there are mistakes."""
        index = 0
        while index < len(self.tokens) and len(self.mistakes) < MAX_MISTAKES:
            index = self.step(index)
        if INDENT in self.machine.choices():
            self.recover_missing_block(index)
        everything = Span(self.source, 0, len(self.source.text))
        if self.mistakes:
            return tree.File(None, (), span=everything)
        doc, items = self.machine.finish()
        return tree.File(doc, items, span=everything)

    def step(self, index: int) -> int:
        """Take the token at `index`; the index to go on with."""
        token = self.tokens[index]
        if index in self.dropped:
            self.begin_line(index + 1)
            return index + 1
        self.classify(index)
        if not self.machine.feed(token):
            return self.recover(index)
        if token.type in (NL, INDENT, DEDENT):
            self.begin_line(index + 1)
        return index + 1

    def begin_line(self, index: int) -> None:
        self.line = index
        self.restart = self.machine.copy()

    def classify(self, index: int) -> None:
        """Set the terminal of a token: a word is a keyword only where the grammar takes one."""
        token = self.tokens[index]
        if token.type == "OPERATOR":
            token.type = TERMINALS_BY_TEXT[token.text]
        if token.type != NAME:
            return
        terminal = TERMINALS_BY_TEXT.get(token.text)
        if terminal is None:
            return
        choices = self.machine.choices()
        following = self.tokens[index + 1].text if index + 1 < len(self.tokens) else ""
        as_name = NAME in choices and following in ("=", "<-", ",")
        if token.text in ALWAYS_WORDS or (terminal in choices and not as_name):
            token.type = terminal

    # Recovery

    def recover(self, index: int) -> int:
        """Report the mistake at a token, and go on behind its line."""
        token = self.tokens[index]
        if index == self.line and INDENT in self.restart.choices() and token.type != INDENT:
            return self.recover_missing_block(index)
        end = self.end_of_line(self.line)
        line = self.tokens[self.line : end + 1]
        if token.type == NL and token.mistake is None:
            line = self.tokens[self.line : index + 1]
        self.report(self.explain(line, index))
        if token.type == INDENT:
            self.dropped.add(self.end_of_block(index))
            index += 1
            if self.tokens[index].type == "OPERATOR":
                index = self.end_of_line(index) + 1
            self.begin_line(index)
            return index
        if token.type == NL and "COLON" in self.machine.choices() and header_word(line):
            self.machine.feed(self.made("COLON", ":"))
            return index
        return self.skip(end)

    def report(self, mistake: Diagnostic) -> None:
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def explain(self, line: list[Token], index: int) -> Diagnostic:
        self.machine = self.restart.copy()
        for token in self.tokens[self.line : index]:
            self.machine.feed(token)
        return explain(
            line,
            index - self.line,
            self.machine.accepts(),
            self.restart.accepts(),
            TEXTS_BY_TERMINAL,
        )

    def recover_missing_block(self, index: int) -> int:
        """After a line that ends with `:` nothing is indented."""
        header = self.start_of_line_before(index)
        word = self.tokens[header].text
        self.report(mistakes.MissingBlock(self.tokens[header].span, word))
        self.machine.feed(self.made(INDENT, ""))
        self.feed_placeholder()
        self.machine.feed(self.made(DEDENT, ""))
        self.begin_line(index)
        while index < len(self.tokens) and self.is_stray(self.tokens[index]):
            index = self.skip(self.end_of_line(index))
        return index

    def is_stray(self, token: Token) -> bool:
        """Whether a line that starts with the token must belong to the block that is missing."""
        terminal = TERMINALS_BY_TEXT.get(token.text)
        return token.text in STATEMENTS and terminal not in self.machine.accepts()

    def start_of_line_before(self, index: int) -> int:
        start = index - 2
        while start > 0 and self.tokens[start - 1].type not in (NL, INDENT, DEDENT):
            start -= 1
        return max(start, 0)

    def skip(self, end: int) -> int:
        """Drop the line that ends at `end`, its block and, after an `if`, its other branches."""
        word = self.tokens[self.line].text
        while True:
            after = end + 1
            if after < len(self.tokens) and self.tokens[after].type == INDENT:
                after = self.end_of_block(after) + 1
            branches = word in ("if", "elif", "else", "elseif", "elsif")
            if not branches or after >= len(self.tokens):
                break
            if self.tokens[after].text not in ("elif", "else", "elseif", "elsif"):
                break
            end = self.end_of_line(after)
        self.machine = self.restart
        self.feed_placeholder()
        self.begin_line(after)
        return after

    def feed_placeholder(self) -> None:
        """A statement that may stand everywhere, in place of one that could not be read."""
        for token in (
            self.made(NAME, "_"), self.made("EQUAL", "="), self.made(NUMBER, "0"), self.made(NL, "")
        ):  # fmt: skip
            self.machine.feed(token)

    def made(self, kind: str, text: str) -> Token:
        return Token(kind, text, 0, 0, self.source)

    def end_of_line(self, index: int) -> int:
        """The index of the `_NL` that ends the line at `index`."""
        while index < len(self.tokens) - 1 and self.tokens[index].type != NL:
            index += 1
        return index

    def end_of_block(self, index: int) -> int:
        """The index of the `_DEDENT` that ends the block whose `_INDENT` is at `index`."""
        depth = 0
        for place in range(index, len(self.tokens)):
            kind = self.tokens[place].type
            depth += (kind == INDENT) - (kind == DEDENT)
            if depth == 0:
                return place
        return len(self.tokens) - 1


# What the grammar takes, but the language does not


def _check(file: tree.File) -> Iterator[Diagnostic]:
    pending: list[tuple[tree.Node, int]] = [(file, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_OPERATIONS:
            yield texts.NestedTooDeeply(_start(node.span), "operations", MAX_OPERATIONS)
            return
        yield from _check_names(node)
        if isinstance(node, tree.Body):
            depth = 0
        elif isinstance(node, tree.Expr):
            depth += 1
        pending.extend((child, depth) for child in tree.children(node))


def _start(span: Span) -> Span:
    return Span(span.source, span.start, min(span.end, span.start + 1))


def _check_names(node: tree.Node) -> Iterator[Diagnostic]:
    match node:
        case tree.Name(text=text) if text in RESERVED:
            yield mistakes.ReservedName(node.span)
        case tree.Name(text=text) if text in FOREIGN_NAMES:
            yield mistakes.ForeignName(node.span, FOREIGN_NAMES[text])
        case tree.Assign(targets=names) | tree.For(targets=names):
            yield from _reserved(names)
        case (
            tree.Parameter(name=name) | tree.Update(name=name) | tree.Constant(name=name)
            | tree.Emit(name=name) | tree.Carry(name=name) | tree.StateDecl(name=name)
            | tree.ParamDecl(name=name) | tree.LayerInstance(name=name) | tree.Scan(variable=name)
            | tree.HyperDecl(name=name) | tree.AxisEntry(name=name) | tree.Def(name=name)
            | tree.Layer(name=name) | tree.Model(name=name) | tree.Optimizer(name=name)
        ):  # fmt: skip
            yield from _reserved((name,))


def _reserved(names: tuple[tree.Identifier, ...]) -> Iterator[Diagnostic]:
    for name in names:
        if name.text in RESERVED:
            yield mistakes.ReservedName(name.span)
