"""Rewrites of sums over an axis along which all elements but one are 0, and that one is known.

    %2 [N, K] = where(index == %0, %1, 0)    %0, %1 [N]         %2 = gather(%3, %0) {axes=(K,)}
    %4 [N, H] = dot(%2, %3) {over=(K,)}      %3 [K, H]      ->    %4 = mul(%1, %2)

A one-hot product reads one row where it would multiply all; its gradient adds to one row. An index
outside of the axis has no element.
"""

from __future__ import annotations

from typing import cast

from dlc.diagnostics.record import record
from dlc.graph import FLOATS, Axis, Node, Size
from dlc.ops import build
from dlc.ops.build import make
from dlc.transform.rewrites import Rewrite, broadcast_to, number, row

WIDE = frozenset(("f32", "f64"))
"""Products of narrower values are summed in f32; a scatter would round each sum."""
FEWEST = 16
"""An axis of so few elements is multiplied as it is."""


@record
class _Hot:
    """A tensor that is `value` where its index along `axis` is `place`, and 0 elsewhere."""

    axis: Axis
    size: Size
    place: Node
    value: Node

    def masked(self, x: Node) -> Node:
        """x where the place lies in the axis, else 0."""
        inside = build.and_(build.ge(self.place, 0), build.lt(self.place, build.size(self.size)))
        return build.where(inside, x, build.const(0, x.type.dtype))


def _hot(x: Node) -> _Hot | None:
    names: dict[Axis, Axis] = {}
    if x.op == "rename":
        names, x = dict(x.attrs["mapping"]), x.args[0]
    if x.op == "where" and x.args[0].op == "eq" and number(x.args[2]) == 0:
        test, value = x.args[0], x.args[1]
    elif x.op == "cast" and x.args[0].op == "eq" and x.type.dtype in FLOATS:
        test, value = x.args[0], build.const(1, x.type.dtype)
    else:
        return None
    for index, place in (test.args, test.args[::-1]):
        axis: Axis | None = index.attrs["axis"] if index.op == "index" else None
        if axis is not None and not place.type.has(axis) and not value.type.has(axis):
            size, outer = Size.of(index.attrs["size"]), names.get(axis, axis)
            return _Hot(outer, size, _named(place, names), _named(value, names))
    return None


def _named(x: Node, names: dict[Axis, Axis]) -> Node:
    return build.rename(x, {a: b for a, b in names.items() if x.type.has(a)})


def _sum(node: Node, x: Node) -> Node | None:
    hot = _hot(x)
    over = _over(node)
    if hot is None or hot.axis not in over:
        return None
    found, left = hot.masked(hot.value), tuple(a for a in over if a != hot.axis)
    if not left:
        return found
    return make("reduce_sum", (broadcast_to(found, x.type.without((hot.axis,))),), {"over": left})


def _product(node: Node, a: Node, b: Node) -> Node | None:
    return _product_of(node, a, b) or _product_of(node, b, a)


def _product_of(node: Node, x: Node, other: Node) -> Node | None:
    hot = _hot(x)
    if hot is None or (hot.size.constant or FEWEST) < FEWEST or other.type.dtype not in WIDE:
        return None
    over, rest = _over(node), set(x.type.axes) - {hot.axis}
    if over == (hot.axis,) and not rest & set(other.type.axes):
        return hot.masked(build.mul(hot.value, build.gather(other, (hot.place,), over)))
    if rest == set(over) and not other.type.has(hot.axis) and set(hot.place.type.axes) == rest:
        added = hot.masked(build.mul(hot.value, other))
        return build.scatter(added, (hot.place,), (hot.axis,), (hot.size,), over)
    return None


def _over(node: Node) -> tuple[Axis, ...]:
    return cast("tuple[Axis, ...]", node.attrs["over"])


ONE_HOT: tuple[Rewrite, ...] = (
    row("reduce_sum", "sum(where(index == k, x, 0)) -> where(0 <= k < n, x, 0)", _sum),
    row(
        "dot",
        "dot(where(index == k, x, 0), w) -> x * w[k], and its gradient",
        _product,
        exact=False,
    ),
)
