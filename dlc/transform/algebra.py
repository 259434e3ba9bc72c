"""Rewrites of elementwise ops."""

from __future__ import annotations

import math

from dlc.graph import FLOATS, INTEGERS, DType, Node
from dlc.ops.build import const, make
from dlc.ops.op import REGISTRY
from dlc.transform.rewrites import Rewrite, is_power_of_two, number, row, same

INF = float("inf")
NONE: frozenset[str] = frozenset()
COMMUTATIVE = frozenset(("add", "mul"))
WIDER: dict[DType, frozenset[DType]] = {
    "bool": frozenset(("u8", "i32", "i64", "f16", "bf16", "f32", "f64")),
    "u8": frozenset(("i32", "i64", "f16", "bf16", "f32", "f64")),
    "i32": frozenset(("i64", "f64")),
    "i64": frozenset(),
    "f16": frozenset(("f32", "f64")),
    "bf16": frozenset(("f32", "f64")),
    "f32": frozenset(("f64",)),
    "f64": frozenset(),
}
"""The dtypes that hold every value of a dtype."""


def _is_float(node: Node) -> bool:
    return node.type.dtype in FLOATS


def _power(node: Node, x: Node, y: Node) -> Node | None:
    exponent = number(y)
    if exponent == 1:
        return x
    if exponent == 2:
        return make("mul", (x, x))
    if exponent == 0.5 and _is_float(x):
        return make("sqrt", (x,))
    if exponent == -1 and _is_float(x):
        return make("div", (const(1.0, x.type.dtype), x))
    return None


def _inverse(node: Node, x: Node, y: Node) -> Node | None:
    value = number(y)
    if value is None or not is_power_of_two(value):
        return None
    return make("mul", (x, const(1 / value, y.type.dtype)))


def _cast_of_cast(node: Node, x: Node) -> Node | None:
    if x.op != "cast":
        return None
    inner, middle, outer = x.args[0].type.dtype, x.type.dtype, node.type.dtype
    # An integer wraps on its way to a narrower one, and saturates on its way by a float.
    wraps = middle in FLOATS and outer in INTEGERS and outer not in {inner, *WIDER[inner]}
    if middle not in WIDER[inner] or (wraps and inner not in FLOATS):
        return None
    return make("cast", x.args, node.attrs)


def _clip_by_infinity(node: Node, x: Node, y: Node) -> Node | None:
    """An infinite limit on a norm: no norm needs to be known."""
    for limit, other in ((x, y), (y, x)):
        if other.op == "div" and number(other.args[0]) == INF and other.args[1].op == "sqrt":
            return limit if number(limit) is not None else None
    return None


def _under_broadcast(node: Node, *args: Node) -> Node | None:
    """Operands are broadcast and turned by their op itself, or its result is."""
    bare = [_unbroadcast(a) for a in args]
    if all(a is b for a, b in zip(args, bare, strict=True)):
        return None
    alone = make(node.op, bare, node.attrs)
    if alone.type == node.type or set(alone.type.axes) != set(node.type.axes):
        return alone
    if node.op in COMMUTATIVE:
        return same(node, node.op, *bare[::-1]) or alone
    kept = list(args)
    for i, operand in enumerate(bare):
        trial = [*kept[:i], operand, *kept[i + 1 :]]
        if REGISTRY[node.op].type([a.type for a in trial], node.attrs) == node.type:
            kept = trial
    return alone if kept == list(args) else make(node.op, kept, node.attrs)


def _unbroadcast(node: Node) -> Node:
    while node.op == "broadcast":
        node = node.args[0]
    return node


def _same_branches(node: Node, c: Node, a: Node, b: Node) -> Node | None:
    value = number(a)
    return a if a is b or (value == number(b) and value) else None


def _minus(node: Node, x: Node, y: Node) -> Node | None:
    """x - z for y = -z."""
    return same(node, "sub", x, *y.args) if y.op == "neg" else None


def _plus(node: Node, x: Node, y: Node) -> Node | None:
    """x + z for y = -z."""
    return same(node, "add", x, *y.args) if y.op == "neg" else None


def _turned(node: Node, x: Node) -> Node | None:
    return same(node, "sub", x.args[1], x.args[0]) if x.op == "sub" else None


def _cast_to_same(node: Node, x: Node) -> Node | None:
    return x if x.type == node.type else None


def _choice_turned(node: Node, c: Node, a: Node, b: Node) -> Node | None:
    return same(node, "where", c.args[0], b, a) if c.op == "not" else None


def _plain_scale(node: Node, g: Node, x: Node) -> Node | None:
    """A product, where the factor that could be infinite is known."""
    slope, cotangent = number(x), number(g)
    if slope == 1:
        return g
    if slope is not None and math.isfinite(slope):
        return make("mul", (g, x))
    return make("mul", (g, x)) if cotangent and math.isfinite(cotangent) else None


ALGEBRA: tuple[Rewrite, ...] = (
    row("add", "x + 0 -> x", lambda n, x, y: x if number(y) == 0 else None),
    row("add", "0 + x -> x", lambda n, x, y: y if number(x) == 0 else None),
    row("add", "x + -y -> x - y", _minus),
    row("add", "-x + y -> y - x", lambda n, x, y: _minus(n, y, x)),
    row("sub", "x - 0 -> x", lambda n, x, y: x if number(y) == 0 else None),
    row("sub", "0 - x -> -x", lambda n, x, y: make("neg", (y,)) if number(x) == 0 else None),
    row("sub", "x - -y -> x + y", _plus),
    row("mul", "x * 1 -> x", lambda n, x, y: x if number(y) == 1 else None),
    row("mul", "1 * x -> x", lambda n, x, y: y if number(x) == 1 else None),
    row("mul", "x * -1 -> -x", lambda n, x, y: make("neg", (x,)) if number(y) == -1 else None),
    row("mul", "-1 * x -> -x", lambda n, x, y: make("neg", (y,)) if number(x) == -1 else None),
    row("scale", "scale(g, finite c) -> g * c", _plain_scale),
    row("div", "x / 1 -> x", lambda n, x, y: x if number(y) == 1 else None),
    row("div", "x / 2^k -> x * 2^-k", _inverse),
    row("pow", "x ** 2 -> x * x; also 1, 0.5, -1", _power, exact=False),
    row("neg", "-(-x) -> x", lambda n, x: x.args[0] if x.op == "neg" else None),
    row("neg", "-(x - y) -> y - x", _turned),
    row("abs", "abs(-x) -> abs(x)", lambda n, x: make("abs", x.args) if x.op == "neg" else None),
    row("abs", "abs(abs(x)) -> abs(x)", lambda n, x: x if x.op == "abs" else None),
    row("cast", "cast(x, dtype of x) -> x", _cast_to_same),
    row("cast", "cast(cast(x, wider), t) -> cast(x, t)", _cast_of_cast),
    row("not", "not not x -> x", lambda n, x: x.args[0] if x.op == "not" else None),
    row("and", "x and true -> x", lambda n, x, y: x if number(y) == 1 else None),
    row("and", "true and x -> x", lambda n, x, y: y if number(x) == 1 else None),
    row("or", "x or false -> x", lambda n, x, y: x if number(y) == 0 else None),
    row("or", "false or x -> x", lambda n, x, y: y if number(x) == 0 else None),
    row("where", "where(true, a, b) -> a", lambda n, c, a, b: a if number(c) == 1 else None),
    row("where", "where(false, a, b) -> b", lambda n, c, a, b: b if number(c) == 0 else None),
    row("where", "where(c, a, a) -> a", _same_branches),
    row("where", "where(not c, a, b) -> where(c, b, a)", _choice_turned),
    row("maximum", "maximum(x, -inf) -> x", lambda n, x, y: x if number(y) == -INF else None),
    row("maximum", "maximum(-inf, x) -> x", lambda n, x, y: y if number(x) == -INF else None),
    row("minimum", "minimum(x, inf) -> x", lambda n, x, y: x if number(y) == INF else None),
    row("minimum", "minimum(inf, x) -> x", lambda n, x, y: y if number(x) == INF else None),
    row("minimum", "minimum(c, inf / sqrt(x)) -> c", _clip_by_infinity, exact=False),
    Rewrite("f(broadcast(x)) -> broadcast(f(x))", NONE, _under_broadcast, frozenset(("map",))),
)
