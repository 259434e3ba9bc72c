"""Rewrites of sums: factors that are the same for all that is summed are multiplied with the sum.

    %2 = scale(%0, %1)   %0 [N, C], %1 [C]
    %3 = scale(%2, %4)   %4 [N, C]                      %2 = scale(%0, %4)
    %5 = reduce_sum(%3) {over=(N,)}              ->     %3 = reduce_sum(%2) {over=(N,)}
                                                        %5 = scale(%3, %1)

What remains is often a sum that is needed anyway: the gradients of a normalisation are two sums
over what it is given, each with factors of its channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from dlc.graph import Axis, Node
from dlc.ops.build import make
from dlc.transform.rewrites import Rewrite, row

EXACT_ENOUGH = frozenset(("f32", "f64"))
"""A sum of narrower values, which can overflow, keeps its factors."""
Factor = Callable[[Node], Node]
"""Multiplies a sum."""


def _factors_out(node: Node, x: Node) -> Node | None:
    over = frozenset(cast("tuple[Axis, ...]", node.attrs["over"]))
    if x.type.dtype not in EXACT_ENOUGH:
        return None
    rest, factors = _split(x, over)
    if rest is None or not factors:
        return None
    found = make("reduce_sum", (rest,), node.attrs)
    for factor in factors:
        found = factor(found)
    return found


def _split(x: Node, over: frozenset[Axis]) -> tuple[Node | None, list[Factor]]:
    """What of a product varies along `over`, if anything does, and the factors that do not."""
    if not over & set(x.type.axes):
        return None, [lambda total: make("mul", (total, x))]
    match x.op:
        case "neg":
            rest, factors = _split(x.args[0], over)
            return rest, [*factors, lambda total: make("neg", (total,))]
        case "div" if not over & set(x.args[1].type.axes):
            rest, factors = _split(x.args[0], over)
            return rest, [*factors, lambda total: make("div", (total, x.args[1]))]
        case "mul" | "scale":
            return _split_product(x, over)
    return x, []


def _split_product(x: Node, over: frozenset[Axis]) -> tuple[Node | None, list[Factor]]:
    """Of `scale` a factor that stays is still one of a cotangent: 0 where that is 0."""
    first, second = x.args
    (a, left), (b, right) = _split(first, over), _split(second, over)
    if not left and not right:
        return x, []
    if x.op == "scale" and b is None:
        right = [lambda total: make("scale", (total, second))]
    if a is None and x.op == "scale":
        left = [lambda total: make("scale", (first, total))]
    if a is None or b is None:
        return b if a is None else a, [*left, *right]
    return make(x.op, (a, b), x.attrs), [*left, *right]


def _twice(node: Node, x: Node) -> Node | None:
    if x.op != "add" or x.args[0] is not x.args[1] or x.type.dtype not in EXACT_ENOUGH:
        return None
    total = make("reduce_sum", x.args[:1], node.attrs)
    return make("add", (total, total))


SUMS: tuple[Rewrite, ...] = (
    row("reduce_sum", "sum(x * c) -> sum(x) * c, also -x, x / c", _factors_out, exact=False),
    row("reduce_sum", "sum(x + x) -> sum(x) + sum(x)", _twice, exact=False),
)
