"""What a row of a table of rewrites is, and what rows are written with."""

from __future__ import annotations

import math
from collections.abc import Callable

from dlc.diagnostics.record import record
from dlc.graph import Attr, Node, TensorType
from dlc.ops.build import broadcast, make
from dlc.ops.op import Kind

Number = int | float | bool


@record
class Rewrite:
    """One equality. `rule` gets the node and its operands; None where it does not apply.

    Its result may lack axes of the node, or have them in another order.
    """

    text: str
    ops: frozenset[str]
    rule: Callable[..., Node | None]
    kinds: frozenset[Kind] = frozenset()
    """Also all ops of these kinds."""
    exact: bool = True
    """The same bits, up to the sign of zero and what a NaN carries."""


def row(ops: str, text: str, rule: Callable[..., Node | None], *, exact: bool = True) -> Rewrite:
    """The rewrite of some ops, their names with spaces between."""
    return Rewrite(text, frozenset(ops.split()), rule, exact=exact)


def number(node: Node) -> Number | None:
    """The one value of all elements where it is known while compiling, else None."""
    while node.op == "broadcast":
        node = node.args[0]
    value: Number | None = node.attrs["value"] if node.op == "const" else None
    return value


def broadcast_to(node: Node, type: TensorType) -> Node:
    """The node with the axes of `type` in its order."""
    return broadcast(node, type.dims)


def same(node: Node, op: str, *args: Node, **attrs: Attr) -> Node | None:
    """The op of these operands if its result has the type of `node` as it stands."""
    new = make(op, args, attrs)
    return new if new.type == node.type else None


def is_power_of_two(value: Number | None) -> bool:
    """Whether dividing by it is as exact as multiplying with its inverse."""
    if value is None or value == 0 or not math.isfinite(value):
        return False
    mantissa, exponent = math.frexp(value)
    return abs(mantissa) == 0.5 and abs(exponent) < 14
