"""Rewrites of sums of gradients: factors that are the same for all are multiplied with the sum.

    %2 = scale(%0, %1)   %0 [N, C], %1 [C]
    %3 = scale(%2, %4)   %4 [N, C]                      %2 = scale(%0, %4)
    %5 = reduce_sum(%3) {over=(N,)}              ->     %3 = reduce_sum(%2) {over=(N,)}
                                                        %5 = scale(%3, %1)

What remains is often a sum that is needed anyway: the gradients of a normalisation are two sums
over what it is given, each with factors of its channel.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isclose
from typing import cast

from dlc.graph import Axis, Node, Size
from dlc.graph.size import product
from dlc.ops import build
from dlc.ops.build import make
from dlc.transform.rewrites import Rewrite, row

EXACT_ENOUGH = frozenset(("f32", "f64"))
"""A sum of narrower values, which can overflow, keeps its factors."""
Multiply = Callable[[Node, Node], Node]
"""Multiplies a sum with a factor."""
Factors = list[Callable[[Node], Node]]
"""What is done with a sum."""


def _by_slope(total: Node, factor: Node) -> Node:
    """As `scale` does it with each cotangent."""
    return make("scale", (total, factor))


def _by_cotangent(total: Node, factor: Node) -> Node:
    """0 where either is 0, whatever the other: cotangents of 0 make no gradient."""
    return build.where(build.eq(total, 0), total, make("scale", (factor, total)))


def _factors_out(node: Node, x: Node) -> Node | None:
    """Of gradients alone: what a program multiplies and then sums may be too large without."""
    over = frozenset(cast("tuple[Axis, ...]", node.attrs["over"]))
    if x.type.dtype not in EXACT_ENOUGH:
        return None
    if x.op == "neg":
        return make("neg", (make("reduce_sum", x.args, node.attrs),))
    if x.op != "scale":
        return None
    rest, factors = _split(x, over, _by_slope)
    if rest is None or not factors:
        return None
    found = make("reduce_sum", (rest,), node.attrs)
    for factor in factors:
        found = factor(found)
    return found


def _split(x: Node, over: frozenset[Axis], by: Multiply) -> tuple[Node | None, Factors]:
    """What of a product varies along `over`, if anything does, and the factors that do not."""
    if not over & set(x.type.axes):
        return None, [lambda total: by(total, x)]
    if x.op == "neg":
        rest, factors = _split(x.args[0], over, by)
        return rest, [*factors, lambda total: make("neg", (total,))]
    if x.op not in ("mul", "scale"):
        return x, []
    first, second = x.args
    a, left = _split(first, over, _by_cotangent if x.op == "scale" else by)
    b, right = _split(second, over, by)
    if not left and not right:
        return x, []
    if a is None or b is None:
        return b if a is None else a, [*left, *right]
    return make(x.op, (a, b), x.attrs), [*left, *right]


def _twice(node: Node, x: Node) -> Node | None:
    if x.op != "add" or x.args[0] is not x.args[1] or x.type.dtype not in EXACT_ENOUGH:
        return None
    total = make("reduce_sum", x.args[:1], node.attrs)
    return make("add", (total, total))


def _around_mean(node: Node, x: Node) -> Node | None:
    """As the gradient of a variance by the mean has it."""
    if x.op != "sub" or x.type.dtype not in EXACT_ENOUGH or x.args[0].type.dims != x.type.dims:
        return None
    values, mean = x.args
    if mean.op not in ("div", "mul") or mean.args[0].op != "reduce_sum":
        return None
    total, number = mean.args
    over = set(node.attrs["over"])
    if total.args[0] is not values or set(total.attrs["over"]) != over:
        return None
    count = product([values.type.size(axis) for axis in over])
    return build.const(0, x.type.dtype) if _counts(number, count, mean.op) else None


def _counts(number: Node, count: Size, op: str) -> bool:
    """Whether to `div` or `mul` by a number is to divide by the count."""
    rounding = 2.0**-24 if number.type.dtype == "f32" else 2.0**-53
    while number.op == "cast":
        (number,) = number.args
    if number.op == "size":
        return op == "div" and bool(number.attrs["value"] == count)
    known = count.constant
    if number.op != "const" or not known or known * rounding > 1:
        return False
    value = float(number.attrs["value"])
    return value == known if op == "div" else isclose(value * known, 1, rel_tol=rounding)


SUMS: tuple[Rewrite, ...] = (
    row("reduce_sum", "sum(x - sum(x) / n) -> 0, of n values", _around_mean, exact=False),
    row("reduce_sum", "sum(scale(g * c, x)) -> sum(scale(g, x)) * c", _factors_out, exact=False),
    row("reduce_sum", "sum(x + x) -> sum(x) + sum(x)", _twice, exact=False),
)
