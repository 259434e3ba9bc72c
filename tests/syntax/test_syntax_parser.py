"""What texts parse to, and that no text at all breaks the parser."""

import random

import pytest
from lark import Lark
from lark.indenter import Indenter
from texts import PROGRAMS, mutant

from dlc.diagnostics import DlcError, Source, render
from dlc.syntax import parse, tree
from dlc.syntax.lexer import FOREIGN, OPERATORS
from dlc.syntax.parser import ALWAYS_WORDS, RESERVED
from dlc.syntax.tables import TERMINALS_BY_TEXT
from grammar.tables import HERE


def file(text: str) -> tree.File:
    return parse(Source("test.dl", text))


def expression(text: str) -> tree.Expr:
    (item,) = file(f"x = {text}\n").items
    assert isinstance(item, tree.Constant)
    return item.value


def shape(node: tree.Node) -> str:
    """An expression with all its brackets."""
    match node:
        case tree.Name(text=text) | tree.Number(text=text):
            return text
        case tree.Unary(op=op, operand=operand):
            return f"({op} {shape(operand)})"
        case tree.Binary(op=op, left=a, right=b) | tree.Compare(op=op, left=a, right=b):
            return f"({shape(a)} {op} {shape(b)})"
        case tree.Pipe(value=a, function=b):
            return f"({shape(a)} |> {shape(b)})"
        case tree.Call(function=function, arguments=arguments):
            return f"{shape(function)}({', '.join(shape(a.value) for a in arguments)})"
    raise AssertionError(node)


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_programs_parse(text):
    assert file(text).items


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_spans_nest_in_the_order_of_the_text(text):
    for node in tree.walk(file(text)):
        place = node.span.start
        for child in tree.children(node):
            assert node.span.start <= child.span.start <= child.span.end <= node.span.end
            assert child.span.start >= place
            place = child.span.start


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_spans_show_what_was_written(text):
    for node in tree.walk(file(text)):
        if isinstance(node, tree.Identifier | tree.Number | tree.String):
            assert node.span.text.strip("( )") == node.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c ** d", "(a + (b * (c ** d)))"),
        ("a - b - c", "((a - b) - c)"),
        ("-a ** -b", "(- (a ** (- b)))"),
        ("a ** b ** c", "(a ** (b ** c))"),
        ("-a * b", "((- a) * b)"),
        ("not a == b and c or d", "(((not (a == b)) and c) or d)"),
        ("a + b |> f |> g(c)", "(((a + b) |> f) |> g(c))"),
        ("a or b |> f", "((a or b) |> f)"),
        ("a // b % c / d", "(((a // b) % c) / d)"),
        ("(a + b) * c", "((a + b) * c)"),
        ("a < -1", "(a < (- 1))"),
        ("f(a)(b)", "f(a)(b)"),
    ],
)
def test_precedence(text, expected):
    assert shape(expression(text)) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1_000", 1000), ("1e-3", 0.001), ("2.", 2.0), ("0.5", 0.5), ("1E2", 100.0)],
)
def test_numbers(text, value):
    number = expression(text)
    assert (number.value, type(number.value), number.text) == (value, type(value), text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\\n\n\t\"b"', 'a\\n\n\t"b'),
        ('"é #"', "é #"),
        ('"""a\\n\n b"""', "a\\n\n b"),
        ('""', ""),
    ],
)
def test_strings(text, value):
    assert expression(text).value == value


def test_subscripts():
    first = expression("x[T=1:-1:2, N][..][:]").value.value.subscripts
    assert first[0].name.text == "T"
    assert (first[0].value.start.text, first[0].value.step.text) == ("1", "2")
    assert first[1] == tree.Subscript(None, tree.Name("N", span=None), span=None)
    assert expression("x[..]").subscripts[0].value == tree.Rest(span=None)
    assert expression("x[:]").subscripts[0].value == tree.Slice(None, None, None, span=None)


def test_arrows():
    (argument,) = expression("f((In, Tap) -> H=128)").arguments
    assert isinstance(argument.value, tree.Arrow)
    assert isinstance(argument.value.source, tree.Tuple)
    assert argument.value.target.name.text == "H"
    (argument,) = expression("f(H -> ())").arguments
    assert argument.value.target == tree.Tuple((), span=None)


def test_brackets_that_group_leave_no_node():
    assert expression("(((a)))") == expression("a")
    assert expression("(a)").span.text == "(a)"
    assert isinstance(expression("(a,)"), tree.Tuple)
    assert isinstance(expression("(H=4)"), tree.Tuple)


def test_equality_is_of_content():
    assert file("x = 1 +  2 # note\n") == file("\nx = 1 + 2\n")
    assert file("x = 1 + 2\n") != file("x = 1 - 2\n")


def test_words_are_names_where_no_keyword_stands():
    text = (
        "def f(x, step: int, batch, train = 1, over: axis = T):\n    model = step + every(using)\n"
    )
    text += "    y = stack([x], axis=S).state\n    return y * wrt ** reversed\n"
    assert len(file(text).items[0].body.statements) == 3


def test_documentation():
    parsed = file('"""File."""\ndef f(x):\n    """Words."""\ntrain t:\n    """Recipe."""\n')
    assert parsed.doc.value == "File."
    assert parsed.items[0].body == tree.Body(
        tree.String("Words.", '"""Words."""', span=None), (), span=None
    )
    assert parsed.items[1].doc.value == "Recipe."


def test_scan():
    text = "def f(x):\n    scan t in T reversed:\n        emit y = x\n    return y\n"
    loop = file(text).items[0].body.statements[0]
    assert (loop.variable.text, loop.axis.text) == ("t", "T")
    assert loop.reversed == tree.Bool(True, span=None)
    loop = file(text.replace("reversed", "reversed=a")).items[0].body.statements[0]
    assert loop.reversed == tree.Name("a", span=None)


@pytest.mark.parametrize(
    "text", ["", "\n", "# only a comment", "\ufeffaxis N", "axis N\r\naxis M", "\t\n"]
)
def test_small_files(text):
    file(text)


def test_a_line_may_end_without_a_new_line():
    assert file("def f(x):\n    return x") == file("def f(x):\n    return x\n\n\n")


def test_pipes_continue_past_comments():
    text = "x = a  # one\n# two\n\n    # three\n  |> f\n|> g\ny = 1\n"
    assert len(file(text).items) == 2


COUNT = 100_000


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = " + "(" * COUNT, "E0601"),
        ("x = " + "[" * COUNT + "]" * COUNT, "E0601"),
        ("x = " + ")" * COUNT, "E0004"),
        ("x = " + "-" * COUNT + "1", "E0601"),
        ("x = " + "not " * 20_000 + "1", "E0601"),
        ("x = " + "1 + " * 20_000 + "1", "E0601"),
        ("x = a" + ".b" * 20_000, "E0601"),
        ("x = a" + "()" * 20_000, "E0601"),
        ("def f(x):\n" + "".join(" " * i + "if x:\n" for i in range(1, 1000)), "E0601"),
        ('"' * COUNT, "E0005"),
        ("x = (1,\n" * COUNT, "E0601"),
        ("def f(x):\n    f(" + "1, " * 20_000 + ")\n", "E0021"),
    ],
    ids=range(12),
)  # fmt: skip
def test_limits(text, code):
    with pytest.raises(DlcError) as caught:
        file(text)
    assert caught.value.diagnostics[0].code == code


def test_limits_are_far_from_what_people_write():
    file("x = " + "(" * 100 + "1" + ")" * 100)
    file("x = " + "1 + " * 150 + "1")
    blocks = "".join(f"{'    ' * i}if x:\n" for i in range(1, 49))
    file(f"def f(x):\n{blocks}{'    ' * 49}return x\n")


def test_long_files():
    text = "def f(x):\n" + "    y = x + 1  # note\n" * 5_000 + "    return y\n"
    assert len(file(text).items[0].body.statements) == 5_001


def test_mistakes_come_in_order_and_are_at_most_twenty():
    with pytest.raises(DlcError) as caught:
        file("axis N N\n" * 1000)
    places = [diagnostic.span.start for diagnostic in caught.value.diagnostics]
    assert len(places) == 20
    assert places == sorted(places)


@pytest.mark.parametrize("seed", range(20))
def test_mutants(seed):
    rng = random.Random(seed)
    for _ in range(100):
        text = mutant(rng)
        try:
            file(text)
        except DlcError as error:
            for diagnostic in error.diagnostics:
                assert render(diagnostic)
                assert diagnostic.span.end <= len(text)


class _Layout(Indenter):
    NL_type, INDENT_type, DEDENT_type, tab_len = "_NL", "_INDENT", "_DEDENT", 8
    OPEN_PAREN_types, CLOSE_PAREN_types = ["LPAR", "LSQB"], ["RPAR", "RSQB"]


@pytest.fixture(scope="module")
def plain_lark():
    return Lark((HERE / "dl.lark").read_text(), parser="lalr", start="file", postlex=_Layout())


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "corners"])
def test_the_grammar_stands_alone(plain_lark, name):
    assert plain_lark.parse(PROGRAMS[name])


def test_lexer_and_grammar_agree_on_words_and_operators():
    texts = set(TERMINALS_BY_TEXT)
    assert {text for text in texts if not text.isidentifier()} == set(OPERATORS)
    assert not texts & set(FOREIGN)
    assert texts >= ALWAYS_WORDS | RESERVED
