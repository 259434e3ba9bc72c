"""From the place where a parse fails to the mistake that a person made there."""

from __future__ import annotations

from collections.abc import Collection

from dlc.diagnostics import Diagnostic, Span
from dlc.diagnostics import syntax as mistakes
from dlc.diagnostics import text as texts
from dlc.syntax.layout import INDENT, NL
from dlc.syntax.lexer import NAME, NUMBER, STRING, Token

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
BINARY = COMPARISONS | {"+", "-", "*", "/", "//", "%", "**", "and", "or", "|>"}
UNFINISHED = {"=", "<-", ",", "->", "not", "in", "wrt", "using", "minimize"}
CONTINUES = BINARY | {"(", "[", "."}
"""What may follow every value; not worth listing."""
HEADERS = frozenset({
    "def", "layer", "model", "optimizer", "train", "step", "if", "elif", "else", "for", "scan",
})  # fmt: skip
STATEMENTS = frozenset({
    "layer", "param", "state", "carry", "emit", "return", "for", "if", "elif", "else", "scan",
    "minimize", "metric",
})  # fmt: skip
ITEMS = frozenset({
    "def", "model", "optimizer", "train", "hyper", "from",
})  # fmt: skip
FOREIGN_STATEMENTS = {
    "import": "name what you need: `from models.lenet import LeNet`",
    "class": "a network is a `layer` or a `model`",
    "while": "loops run over a list (`for`) or along an axis (`scan t in T:`)",
    "print": "a step reports numbers with `metric name = ...`",
    "lambda": "write a small function as a `def`",
    "pass": "a body may hold its documentation only: a string in triple quotes",
    "break": "loops run over all of their list",
    "continue": "loops run over all of their list",
    "try": "there are no exceptions: what can fail is checked before the program runs",
    "raise": "there are no exceptions: what can fail is checked before the program runs",
    "assert": "sizes and types are checked where they are declared",
    "with": "remove it",
    "del": "names need no deletion",
    "global": "use a constant at the top of the file, or a parameter",
    "yield": "in a `scan`, `emit out = x` stacks the values of all turns",
    "match": "write `if` and `elif`",
    "elseif": "write `elif`",
    "elsif": "write `elif`",
    "function": "write `def`",
    "func": "write `def`",
    "fn": "write `def`",
    "fun": "write `def`",
    "let": "write `name = value`",
    "var": "write `name = value`",
    "const": "write `NAME = value` at the top of the file",
    "async": "remove it",
}
LAYER_FORM = "layer NAME(In -> Out)(x: float[.., In]) -> float[.., Out]:"
FORMS = {
    "from": "from models.lenet import LeNet",
    "axis": "axis N, K = 10, Tap for over = 3",
    "hyper": "hyper lr: float = 1e-3 in log(1e-5, 1e-1)",
    "def": "def NAME(x: float[..]) -> float[..]:",
    "layer": "layer NAME = Linear(In -> Out)",
    "model": "model NAME(x: f32[N, C]) -> f32[N, K]:",
    "optimizer": "optimizer NAME(lr: float)(p, g):",
    "train": "train NAME:",
    "step": "step(x: f32[N, C], label: i32[N]):",
    "batch": "batch N = 64",
    "param": "param weight: float[In, Out] = 0",
    "state": "state average: float[C] = 0",
    "carry": "carry h: float[.., H] = 0",
    "emit": "emit out = h",
    "for": "for a, b in LIST:",
    "scan": "scan t in T:",
    "minimize": "minimize LOSS wrt NET using adam(1e-3)",
    "metric": "metric NAME = VALUE",
}
KINDS = {
    NAME: "a name", NUMBER: "a number", STRING: "a string", NL: "the end of the line",
    INDENT: "an indented block", "_DEDENT": "the end of the block", "$END": "the end of the file",
}  # fmt: skip


def explain(
    line: list[Token],
    at: int,
    accepted: Collection[str],
    accepted_first: Collection[str],
    terminals: dict[str, str],
) -> Diagnostic:
    """The mistake at token `at` of a logical line, which ends with its `_NL`.

    `accepted` are the terminals that could stand there, `accepted_first` those at the start of
    the line, `terminals` the words and operators by their terminal.
    """
    for token in line:
        if token.mistake is not None:
            return token.mistake
    token = line[at]
    return (
        _layout(line, at, accepted)
        or _foreign(line, at)
        or _misplaced(line, at, accepted, accepted_first)
        or _assignment(line, at)
        or _line_end(line, at, accepted)
        or _unexpected(line, at, accepted, _expected(accepted, terminals))
    )


def _layout(line: list[Token], at: int, accepted: Collection[str]) -> Diagnostic | None:
    token = line[at]
    if token.type == INDENT:
        return mistakes.UnexpectedIndent(line[at + 1].span if at + 1 < len(line) else token.span)
    if at and line[at - 1].text == ":" and NL in accepted and token.type != NL:
        return mistakes.BlockOnLine(token.span)
    if token.type == NL and "COLON" in accepted and header_word(line):
        return mistakes.MissingColon(token.span, header_word(line))
    return None


def header_word(line: list[Token]) -> str:
    """The word that opens a block with this line, or nothing."""
    word = line[0].text
    if word not in HEADERS:
        return ""
    if word == "layer" and len(line) > 2 and line[2].text == "=":
        return ""
    return word


def _foreign(line: list[Token], at: int) -> Diagnostic | None:
    first, token = line[0], line[at]
    before = line[at - 1] if at else None
    if first.text in FOREIGN_STATEMENTS and at <= 1 and first.type != STRING:
        return mistakes.ForeignStatement(first.span, FOREIGN_STATEMENTS[first.text])
    if first.text == "else" and token.text == "if":
        both = Span(token.source, first.start, token.end)
        return mistakes.ForeignStatement(both, "write `elif`")
    if before is not None and before.text == "lambda":
        return mistakes.ForeignExpression(before.span, "lambda", "write the function as a `def`")
    if at == 0 or before is None:
        return None
    match token.text:
        case "if" if _ends_value(before):
            fix = "write `where(condition, a, b)`, or an `if` statement"
            return mistakes.ForeignExpression(token.span, "`a if condition else b`", fix)
        case "for" if _ends_value(before):
            fix = "build the list in a `for` loop: `items = items + [x]`"
            return mistakes.ForeignExpression(token.span, "list comprehensions", fix)
        case "is":
            return mistakes.ForeignExpression(token.span, "`is`", "write `==`")
        case "in" | "not" if _ends_value(before) and first.text not in ("for", "scan", "hyper"):
            fix = "compare with each value: `x == a or x == b`"
            return mistakes.ForeignExpression(token.span, "test for membership", fix)
        case "*" | "**" if before.text in ("(", ",", "["):
            fix = "write the values one by one"
            return mistakes.ForeignExpression(token.span, "starred values", fix)
    if token.text in COMPARISONS:
        chained = _comparison_before(line, at)
        if chained:
            return mistakes.ChainedComparison(token.span, chained.span)
    return None


def _ends_value(token: Token) -> bool:
    return token.type in (NAME, NUMBER, STRING) or token.text in (")", "]", "true", "false", "..")


def _comparison_before(line: list[Token], at: int) -> Token | None:
    """The comparison that the one at `at` would chain with."""
    depth = 0
    for token in reversed(line[:at]):
        if token.text in (")", "]"):
            depth += 1
        elif token.text in ("(", "["):
            depth -= 1
            if depth < 0:
                return None
        elif depth == 0 and token.text in ("and", "or", "not", "|>", ",", "=", ":", "if", "return"):
            return None
        elif depth == 0 and token.text in COMPARISONS:
            return token
    return None


def _assignment(line: list[Token], at: int) -> Diagnostic | None:
    first, token = line[0], line[at]
    depth = _depth(line, at)
    starts_with_name = first.type == NAME and first.text not in STATEMENTS
    if token.text == "=":
        if first.text in ("if", "elif", "while", "return", "for") and depth == 0:
            return mistakes.AssignmentInExpression(token.span)
        if depth == 0 and any(t.text == "=" for t in line[:at]) and first.text != "param":
            return mistakes.ChainedAssignment(token.span)
        if depth > 0 and line[at - 1].type != NAME:
            return mistakes.AssignmentInExpression(token.span)
    if token.text == ":" and at == 1 and starts_with_name:
        return mistakes.TypedAssignment(token.span)
    if at >= 1 and starts_with_name and not any(t.text == "=" for t in line[:at]):
        return _no_assignment(line, at)
    if at == 0 and (token.type == NUMBER or token.text in ("(", "[", "-", "not", "true", "false")):
        return mistakes.ExpressionStatement(token.span)
    return None


def _no_assignment(line: list[Token], at: int) -> Diagnostic | None:
    """A line that starts with a name but assigns nothing."""
    token = line[at]
    continues = token.text in BINARY or token.text in ("(", "[", ".", ",") or token.type == NL
    if not continues:
        return None
    depth = 0
    for part in line:
        depth += (part.text in ("(", "[")) - (part.text in (")", "]"))
        if depth == 0 and part.text in ("=", "<-"):
            return mistakes.AssignmentTarget(line[0].span)
    return mistakes.ExpressionStatement(line[0].span)


def _depth(line: list[Token], at: int) -> int:
    opened = sum(token.text in ("(", "[") for token in line[:at])
    return opened - sum(token.text in (")", "]") for token in line[:at])


def _misplaced(
    line: list[Token], at: int, accepted: Collection[str], accepted_first: Collection[str]
) -> Diagnostic | None:
    token = line[at]
    if at == 0 and token.type == STRING:
        return mistakes.MisplacedDocstring(token.span)
    first = line[0]
    named = len(line) > 1 and line[1].text == "=" and first.text.isidentifier()
    if named and at <= 1 and first.type != NAME:
        return mistakes.ReservedName(first.span)
    unread = at == 0 or (at == 1 and first.type == NAME and token.text not in ("=", "<-", ","))
    if unread and first.text in STATEMENTS | ITEMS | {"step", "batch"}:
        where, fix = _where(first.text, accepted_first)
        return mistakes.Misplaced(first.span, where, fix)
    is_word = token.text.isidentifier() and token.type != NAME
    if is_word and NAME in accepted and token.text not in ("true", "false"):
        return mistakes.ReservedName(token.span)
    return None


def _where(word: str, accepted: Collection[str]) -> tuple[str, str]:
    if word in ("elif", "else"):
        return "here", "it follows the block of an `if`, at the same indentation"
    if "DEF" in accepted:
        if word in ("step", "batch"):
            return "at the top of a file", "put it in a `train` block"
        return "at the top of a file", "put it in the body of a `def`, `layer` or `model`"
    if "BATCH" in accepted:
        fix = "a `train` block holds settings (`epochs = 5`), `batch` and steps"
        return "in a `train` block", fix
    if word in ("step", "batch"):
        return "in a body", "it belongs to a `train` block"
    return "in a body", "declare it at the top of the file"


def _line_end(line: list[Token], at: int, accepted: Collection[str]) -> Diagnostic | None:
    token = line[at]
    if token.type != NL or NL in accepted:
        return None
    before = line[at - 1].text if at else ""
    if before == "return":
        return mistakes.LineEndsEarly(token.span, "the value that `return` gives", True)
    if before in BINARY | UNFINISHED:
        return mistakes.LineEndsEarly(token.span, f"what follows `{before}`", True)
    missing = {"EQUAL": "`= ...`", "USING": "`using OPTIMIZER(...)`", "WRT": "`wrt NETWORK`"}
    for terminal, words in missing.items():
        if terminal in accepted and line[0].text not in HEADERS - {"layer"}:
            return mistakes.LineEndsEarly(token.span, words, fix=_form(line, at, accepted))
    return None


def _unexpected(
    line: list[Token], at: int, accepted: Collection[str], expected: tuple[str, ...]
) -> Diagnostic:
    token = line[at]
    fix = _fix(line, at, expected) or _form(line, at, accepted)
    if token.type == NL and expected:
        return mistakes.LineEndsEarly(token.span, texts.either(expected), fix=fix)
    return mistakes.UnexpectedToken(token.span, _shown(token), expected, fix)


def _fix(line: list[Token], at: int, expected: tuple[str, ...]) -> str | None:
    """What helps against the more common of the unexpected tokens."""
    first, token = line[0], line[at]
    if token.type == STRING and at and line[at - 1].end == token.start:
        return "strings have no prefixes: remove it"
    if expected == ("`->`",) and first.text in ("layer", "model"):
        return f"a {first.text} declares its result: `-> f32[N]`"
    if expected == ("`:`",) and token.text in ("[", ",", ")") and first.text in HEADERS:
        return "several results have names: `(mu: f32[N], logvar: f32[N])`"
    if token.text == "," and first.type == NAME:
        return "write one line for each name; a list is `[a, b]`"
    if token.text == "as":
        return "names are imported as they are"
    return None


def _form(line: list[Token], at: int, accepted: Collection[str]) -> str | None:
    """The form of the declaration, if the mistake is in the declaration itself."""
    first = line[0]
    if first.text not in FORMS or first.type == NAME or at == 0:
        return None
    in_expression = "PLUS" in accepted or _depth(line, at) > 0
    if in_expression and first.text != "minimize":
        return None
    defines = first.text == "layer" and "EQUAL" not in accepted
    return f"the form is `{LAYER_FORM if defines else FORMS[first.text]}`"


def _shown(token: Token) -> str:
    if token.type in KINDS and token.type not in (NAME, NUMBER, STRING):
        return KINDS[token.type]
    text = token.text.split("\n")[0]
    return f"`{text}`" if len(text) < 40 else f"`{text[:36]}...`"


def _expected(accepted: Collection[str], terminals: dict[str, str]) -> tuple[str, ...]:
    """What could stand there, if that is a short list."""
    found = [name for name in accepted if name in terminals or name in KINDS]
    if NAME in found and NUMBER in found:
        return ("a value",)
    words = sorted(terminals[name] for name in found if name in terminals)
    if "|>" in words:
        words = [word for word in words if word not in CONTINUES]
    kinds = [KINDS[name] for name in found if name in KINDS]
    expected = (*kinds, *(f"`{word}`" for word in words))
    return expected if len(expected) <= 5 else ()
