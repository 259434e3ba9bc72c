"""A product of which only whole windows are read computes one window's elements side by side.

    p = max(split(dot(x, w), Y, (Y, TY)), over=TY)

becomes

    p = max(split(merge(dot(split(x, Y, (Y, TY)), w), (Y, TY)), Y, (Y, TY)), over=TY)

The loops over Y and TY are then those of the product, whose register tile holds all of TY: the
maximum is taken in registers, and the product needs no memory. So for sums and means too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import prod

from dlc.graph import Axis, Graph, Node, Size, rebuilt, rewrite
from dlc.ops import REGISTRY, build
from dlc.schedule.facts import Facts, volume
from dlc.schedule.index import count_inside
from dlc.schedule.reduction import is_view, reduces
from dlc.schedule.register_tile import PRODUCTS_A_CYCLE
from dlc.schedule.tile import Target

OTHERS = 3
"""Registers that a tile needs beside its sums."""
PASS = 1.2
"""Cycles a vector to store a result and to read it again."""
OTHER_TILE = 1.04
"""A tile of whole windows takes so much longer than the best one, about."""
POOLS = {"reduce_max", "reduce_min", "reduce_sum", "argmax", "argmin"}
_unique = itertools.count(1)
Windows = dict[Axis, int]
"""By axes of a product: the length of the windows along them."""


def with_windows(facts: Facts, target: Target) -> Graph:
    """The graph with products by whole windows."""
    found = {}
    for node in facts.real:
        if node.op == "dot" and not node.attrs.keys() & {"part", "apart", "copy"}:
            pools = pools_of(facts, node)
            if pools and pools.windows and _pays(node, pools.windows, target):
                found[node] = pools.windows
    if not found:
        return facts.graph

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node not in found:
            return rebuilt(node, args)
        with build.origin(node.spans, node.path):
            return _by_windows(node, args, found[node])

    return rewrite(facts.graph, rule)


def _pays(dot: Node, windows: Windows, target: Target) -> bool:
    """Whether it takes less: the tile is another, and meets zeros around x that others skip."""
    wide = [n for a, n in dot.type.dims if a not in windows and (n.constant or 0) >= target.lanes]
    if not wide or prod(windows.values()) + OTHERS > target.registers:
        return False
    steps = volume([dot.args[0].type.size(axis) for axis in dot.attrs["over"]])
    met = min(_met(arg) for arg in dot.args)
    return met > 0 and steps / PRODUCTS_A_CYCLE * (OTHER_TILE / met - 1) < PASS


def _met(operand: Node) -> float:
    """The share of an operand's elements that lie not in zeros around what windows are of."""
    share = 1.0
    while is_view(operand) and len(operand.args) == 1:
        x, attrs = operand.args[0].type, operand.attrs
        if operand.op == "window":
            results = [operand.type.size(attrs[name]).constant or 0 for name in ("tap", "axis")]
            size, before = x.size(attrs["axis"]).constant, Size.of(attrs["before"]).constant
            if all(results) and size is not None and before is not None:
                steps = attrs["dilation"], attrs["stride"]
                share *= count_inside(-before, steps, (results[0], results[1]), size)
                share /= prod(results)
        operand = operand.args[0]
    return share


def _by_windows(dot: Node, args: tuple[Node, ...], windows: Windows) -> Node:
    """The product with these axes in two, and as it was seen from outside."""
    cut = {axis: (axis, Axis(f"in_{axis.name}", -next(_unique))) for axis in windows}

    def parted(arg: Node) -> Node:
        for axis, (outer, inner) in cut.items():
            if arg.type.has(axis):
                count = arg.type.size(axis) // windows[axis]
                arg = build.split(arg, axis, [(outer, count), (inner, Size.of(windows[axis]))])
        return arg

    made = build.dot(parted(args[0]), parted(args[1]), dot.attrs["over"])
    attrs = {**dot.attrs, **made.attrs, "windows": tuple(inner for _, inner in cut.values())}
    made = Node(made.op, made.args, made.type, attrs, made.spans, made.path)
    for axis, parts in cut.items():
        made = build.merge(made, parts, axis)
    return build.broadcast(made, dot.type.dims)


@dataclass(frozen=True, slots=True)
class Pools:
    """All readers of a product, which reduce the same windows of it."""

    windows: Windows
    names: dict[Node, dict[Axis, Axis]]
    """By readers: what they call the product's axes."""


@dataclass(frozen=True, slots=True)
class _View:
    """What a node is of a product's element: its axes by those of the product, and windows."""

    names: dict[Axis, Axis]
    taps: dict[Axis, Axis]
    """By axes of the product: those of the node along a window."""


def pools_of(facts: Facts, dot: Node) -> Pools | None:
    """The readers of a product that reduce whole windows of it; None if some read otherwise."""
    if dot in facts.outputs or dot in facts.folded:
        return None
    seen = {dot: _View({a: a for a in dot.type.axes}, {})}
    found: dict[Node, Windows] = {}
    todo = [dot]
    while todo:
        node = todo.pop()
        view = seen[node]
        for user in facts.users[node]:
            if reduces(user):
                windows = _reduced(node, user, view)
                if windows is None:
                    return None
                found[user], seen[user] = windows, view
                continue
            after = None if facts.stored(user) else _through(user, view)
            if after is None or seen.get(user, after) != after:
                return None
            if user not in seen:
                seen[user] = after
                todo.append(user)
    windows = next(iter(found.values()), {})
    same = all(w == windows for w in found.values())
    return Pools(windows, {n: seen[n].names for n in found}) if found and same else None


def _reduced(node: Node, user: Node, view: _View) -> Windows | None:
    """The windows that a reduction takes whole."""
    if user.op not in POOLS or {*user.attrs["over"]} != {*view.taps.values()}:
        return None
    sizes = {axis: node.type.size(tap).constant or 0 for axis, tap in view.taps.items()}
    return {axis: n for axis, n in sizes.items() if n > 1}


def _through(user: Node, view: _View) -> _View | None:
    """What a reader of a node that is such a view is; None if it may be something else."""
    if user.op == "rename":
        now = dict(user.attrs["mapping"])
        names, taps = ({a: now.get(b, b) for a, b in t.items()} for t in (view.names, view.taps))
        return _View(names, taps)
    if user.op == "split":
        axis, parts = user.attrs["axis"], user.attrs["parts"]
        own = next((a for a, b in view.names.items() if b == axis), None)
        if own is None or own in view.taps or len(parts) != 2 or parts[1][1].constant is None:
            return None
        (outer, _), (inner, _) = parts
        return _View({**view.names, own: outer}, {**view.taps, own: inner})
    same = user.op == "broadcast" and len(user.type.dims) == len(user.args[0].type.dims)
    return view if same or REGISTRY[user.op].kind == "map" else None
