"""From the parser's reductions to nodes of the tree: one method for each rule of the grammar."""
# ruff: noqa: D102  (the rules in dl.lark say what each method receives)

from __future__ import annotations

from typing import Any, TypeVar

from dlc.diagnostics import Span
from dlc.diagnostics.record import replaced
from dlc.syntax import tree
from dlc.syntax.layout import DEDENT, INDENT, NL
from dlc.syntax.lexer import NAME, TRIPLE, Token

Children = list[Any]
"""Tokens, nodes, lists of nodes, and None for what was left out."""

_LAYOUT = (NL, INDENT, DEDENT)
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "t": "\t"}
_N = TypeVar("_N", bound=tree.Node)


class Builder:
    """What Lark calls for each reduction. Stateless: tokens carry their source."""

    # Items

    def file(self, c: Children) -> tuple[tree.String | None, tuple[tree.Item, ...]]:
        """The docstring and the items; the parser makes them a `File`."""
        doc, _, *items = c
        return doc and self.string([doc]), tuple(items)

    def import_(self, c: Children) -> tree.Import:
        return tree.Import(c[1], _names(c[3:]), span=_span(c))

    def path(self, c: Children) -> tree.Path:
        return tree.Path(_names(c), span=_span(c))

    def axis(self, c: Children) -> tree.AxisDecl:
        return tree.AxisDecl(_nodes(c, tree.AxisEntry), span=_span(c))

    def axis_entry(self, c: Children) -> tree.AxisEntry:
        name, _, over, _, size = c
        return tree.AxisEntry(_identifier(name), over, size, span=_span(c))

    def hyper(self, c: Children) -> tree.HyperDecl:
        _, name, _, kind, _, default, _, space, _ = c
        return tree.HyperDecl(_identifier(name), _identifier(kind), default, space, span=_span(c))

    def constant(self, c: Children) -> tree.Constant:
        return tree.Constant(_identifier(c[0]), c[2], span=_span(c))

    def def_(self, c: Children) -> tree.Def:
        _, name, _, params, _, _, result, _, body = c
        return tree.Def(_identifier(name), tuple(params or ()), result, body, span=_span(c))

    def layer(self, c: Children) -> tree.Layer:
        _, name, _, config, _, _, inputs, _, _, result, _, body = c
        return tree.Layer(
            _identifier(name), tuple(config or ()), tuple(inputs or ()), result, body, span=_span(c)
        )

    def model(self, c: Children) -> tree.Model:
        _, name, _, inputs, _, _, result, _, body = c
        return tree.Model(_identifier(name), tuple(inputs or ()), result, body, span=_span(c))

    def optimizer(self, c: Children) -> tree.Optimizer:
        _, name, _, config, _, _, inputs, _, _, body = c
        return tree.Optimizer(
            _identifier(name), tuple(config or ()), tuple(inputs or ()), body, span=_span(c)
        )

    def train(self, c: Children) -> tree.Train:
        _, name, _, _, _, doc, _, *items, _ = c
        return tree.Train(
            _identifier(name), doc and self.string([doc]), tuple(items), span=_span(c)
        )

    # Parameters and types

    def params(self, c: Children) -> list[tree.Param]:
        return [child for child in c if isinstance(child, tree.Node)]  # type: ignore[misc]

    def param(self, c: Children) -> tree.Parameter:
        name, _, kind, _, default = c
        return tree.Parameter(_identifier(name), kind, default, span=_span(c))

    def axis_map(self, c: Children) -> tree.AxisMap:
        return tree.AxisMap(_identifier(c[0]), _identifier(c[2]), span=_span(c))

    def type_expr(self, c: Children) -> tree.TypeExpr:
        name, bracket, axes, _ = c
        return tree.TypeExpr(
            _identifier(name), tuple(axes or ()) if bracket else None, span=_span(c)
        )

    def type_axes(self, c: Children) -> list[tree.TypeAxis | tree.RestAxes]:
        return [child for child in c if isinstance(child, tree.Node)]  # type: ignore[misc]

    def type_axis(self, c: Children) -> tree.TypeAxis:
        return tree.TypeAxis(_identifier(c[0]), c[2], span=_span(c))

    def rest_axes(self, c: Children) -> tree.RestAxes:
        return tree.RestAxes(span=_span(c))

    def tuple_type(self, c: Children) -> tree.TupleType:
        return tree.TupleType(_nodes(c, tree.NamedResult), span=_span(c))

    def named_result(self, c: Children) -> tree.NamedResult:
        return tree.NamedResult(_identifier(c[0]), c[2], span=_span(c))

    # Statements

    def block(self, c: Children) -> tree.Body:
        _, _, doc, _, *statements, _ = c
        parts = [part for part in (doc, *statements) if part is not None]
        span = _span(parts or c)
        return tree.Body(doc and self.string([doc]), tuple(statements), span=span)

    def instance(self, c: Children) -> tree.LayerInstance:
        return tree.LayerInstance(_identifier(c[1]), c[3], span=_span(c))

    def param_decl(self, c: Children) -> tree.ParamDecl:
        return tree.ParamDecl(
            _identifier(c[1]), c[3], c[5], _nodes(c[6:], tree.Option), span=_span(c)
        )

    def option(self, c: Children) -> tree.Option:
        return tree.Option(_identifier(c[0]), c[2], span=_span(c))

    def state(self, c: Children) -> tree.StateDecl:
        _, name, _, kind, _, init, _ = c
        return tree.StateDecl(_identifier(name), kind, init, span=_span(c))

    def carry(self, c: Children) -> tree.Carry:
        return tree.Carry(_identifier(c[1]), c[3], c[5], span=_span(c))

    def emit(self, c: Children) -> tree.Emit:
        return tree.Emit(_identifier(c[1]), c[3], span=_span(c))

    def assign(self, c: Children) -> tree.Assign:
        return tree.Assign(_names(c[:-2]), c[-2], span=_span(c))

    def update(self, c: Children) -> tree.Update:
        return tree.Update(_identifier(c[0]), c[2], span=_span(c))

    def return_(self, c: Children) -> tree.Return:
        return tree.Return(_expressions(c), span=_span(c))

    def for_(self, c: Children) -> tree.For:
        *head, iterable, _, body = c
        return tree.For(_names(head), iterable, body, span=_span(c))

    def if_(self, c: Children) -> tree.If:
        _, condition, _, body, *rest, _, _, orelse = c
        first = tree.Branch(condition, body, span=_span(c[:4]))
        return tree.If((first, *rest), orelse, span=_span(c))

    def elif_(self, c: Children) -> tree.Branch:
        return tree.Branch(c[1], c[3], span=_span(c))

    def scan(self, c: Children) -> tree.Scan:
        _, variable, _, axis, word, _, backward, _, body = c
        if word is not None and backward is None:
            backward = tree.Bool(True, span=word.span)
        return tree.Scan(_identifier(variable), self.name([axis]), backward, body, span=_span(c))

    def minimize(self, c: Children) -> tree.Minimize:
        return tree.Minimize(c[1], _nodes(c, tree.Path), c[-2], span=_span(c))

    def metric(self, c: Children) -> tree.Metric:
        return tree.Metric(_identifier(c[1]), c[3], span=_span(c))

    def setting(self, c: Children) -> tree.Setting:
        return tree.Setting(_identifier(c[0]), c[2], span=_span(c))

    def batch(self, c: Children) -> tree.BatchSetting:
        return tree.BatchSetting(_nodes(c, tree.BatchEntry), span=_span(c))

    def batch_entry(self, c: Children) -> tree.BatchEntry:
        return tree.BatchEntry(_identifier(c[0]), c[2], span=_span(c))

    def step(self, c: Children) -> tree.Step:
        _, name, _, params, _, _, every, _, body = c
        return tree.Step(
            _identifier(name) if name else None, tuple(params or ()), every, body, span=_span(c)
        )

    # Expressions

    def pipe(self, c: Children) -> tree.Pipe:
        return tree.Pipe(c[0], c[2], span=_span(c), place=c[1].span)

    def binary(self, c: Children) -> tree.Binary:
        return tree.Binary(c[1].text, c[0], c[2], span=_span(c), place=c[1].span)

    def compare(self, c: Children) -> tree.Compare:
        return tree.Compare(c[1].text, c[0], c[2], span=_span(c), place=c[1].span)

    def unary(self, c: Children) -> tree.Unary:
        return tree.Unary(c[0].text, c[1], span=_span(c))

    def call(self, c: Children) -> tree.Call:
        return tree.Call(c[0], tuple(c[2] or ()), span=_span(c))

    def arguments(self, c: Children) -> list[tree.Argument]:
        return [child for child in c if isinstance(child, tree.Argument)]

    def argument(self, c: Children) -> tree.Argument:
        name, _, value = c
        return tree.Argument(_identifier(name) if name else None, value, span=_span(c))

    def arrow(self, c: Children) -> tree.Argument:
        arrow = tree.Arrow(c[0], c[2], span=_span(c))
        return tree.Argument(None, arrow, span=arrow.span)

    def sized(self, c: Children) -> tree.Sized:
        return tree.Sized(_identifier(c[0]), c[2], span=_span(c))

    def index(self, c: Children) -> tree.Index:
        return tree.Index(c[0], tuple(c[2] or ()), span=_span(c))

    def subscripts(self, c: Children) -> list[tree.Subscript]:
        return [child for child in c if isinstance(child, tree.Subscript)]

    def subscript(self, c: Children) -> tree.Subscript:
        name, _, value = c
        return tree.Subscript(_identifier(name) if name else None, value, span=_span(c))

    def slice(self, c: Children) -> tree.Slice:
        start, _, stop, _, step = c
        return tree.Slice(start, stop, step, span=_span(c))

    def attribute(self, c: Children) -> tree.Attribute:
        return tree.Attribute(c[0], _identifier(c[2]), span=_span(c))

    def name(self, c: Children) -> tree.Name:
        return tree.Name(c[0].text, span=c[0].span)

    def number(self, c: Children) -> tree.Number:
        text = c[0].text
        plain = text.replace("_", "")
        return tree.Number(int(plain) if plain.isdigit() else float(plain), text, span=c[0].span)

    def string(self, c: Children) -> tree.String:
        return tree.String(_string_value(c[0].text), c[0].text, span=c[0].span)

    def truth(self, c: Children) -> tree.Bool:
        return tree.Bool(c[0].text == "true", span=c[0].span)

    def rest(self, c: Children) -> tree.Rest:
        return tree.Rest(span=c[0].span)

    def elements(self, c: Children) -> Children:
        return c

    def list_items(self, c: Children) -> Children:
        return c

    def group(self, c: Children) -> tree.Expr:
        """A tuple, or the expression itself that the brackets only group."""
        span = _span(c)
        elements = c[1] or []
        if len(elements) == 2 and elements[1] is None and not isinstance(elements[0], tree.Sized):
            grouped: tree.Expr = replaced(elements[0], span=span)
            return grouped
        return tree.Tuple(_expressions(elements), span=span)

    def list_expr(self, c: Children) -> tree.ListExpr:
        return tree.ListExpr(_expressions(c[1] or []), span=_span(c))


def _identifier(token: Token) -> tree.Identifier:
    return tree.Identifier(token.text, span=token.span)


def _names(children: Children) -> tuple[tree.Identifier, ...]:
    names = [c for c in children if isinstance(c, Token) and c.type == NAME]
    return tuple(_identifier(token) for token in names)


def _nodes(children: Children, kind: type[_N]) -> tuple[_N, ...]:
    return tuple(child for child in children if isinstance(child, kind))


def _expressions(children: Children) -> tuple[tree.Expr, ...]:
    return tuple(child for child in children if isinstance(child, tree.Node))  # type: ignore[misc]


def _span(children: Children) -> Span:
    """From the first to the last of the children that is text, layout aside."""
    first = next(c for c in children if c is not None)
    last = next(
        c
        for c in reversed(children)
        if c is not None and not (isinstance(c, Token) and c.type in _LAYOUT)
    )
    start = first.start if isinstance(first, Token) else first.span.start
    if isinstance(last, Token):
        return Span(last.source, start, last.end)
    return Span(last.span.source, start, last.span.end)


def _string_value(text: str) -> str:
    if text.startswith(TRIPLE):
        return text[3:-3]
    parts = text[1:-1].split("\\\\")
    return "\\".join(_unescape(part) for part in parts)


def _unescape(part: str) -> str:
    for mark in '"nt':
        part = part.replace("\\" + mark, _ESCAPES[mark])
    return part
