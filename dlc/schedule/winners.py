"""A sum over the spread gradient of a maximum over windows is a sum over the winners alone.

    s = merge(where(position == argmax, g, 0), (Y, TY), (X, TX))      # one of TY * TX is not 0
    w = dot(s, x, over=(N, Y, X))

becomes

    w = dot(g, gather(x, Y * TY + argmax // TX, X * TX + argmax % TX), over=(N, Y, X))

which takes TY * TX times fewer multiply-adds and reads nothing that was spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from dlc.graph import Axis, Graph, Node, Size, rebuilt, rewrite
from dlc.ops import build

LANES = 16
"""The fewest elements of an axis of x that is neither summed nor in g: vectors lie along it."""
WINDOWS = 16
"""The fewest windows of an image: sums over fewer cost more to store than to add."""


@dataclass(frozen=True, slots=True)
class _Spread:
    """The gradient g of a maximum, each element at the place of its winner along two axes."""

    g: Node
    winner: Node
    outer: tuple[Axis, Axis]
    """The numbers of the windows, as g calls them."""
    whole: tuple[Axis, Axis]
    """The axes that the windows cut, as the spread tensor calls them."""
    sizes: tuple[int, int]
    """Of the windows."""
    names: dict[Axis, Axis]
    """How the spread tensor calls the other axes of g."""


def with_winners(graph: Graph) -> Graph:
    """The graph with such sums over winners."""
    found = {}
    for node in graph.nodes:
        if node.op == "dot" and node.type.dtype == "f32":
            for s, x in (node.args, node.args[::-1]):
                spread = _spread(s)
                if spread is not None and _serves(node, spread, s, x):
                    found[node] = (spread, x)
    if not found:
        return graph
    new: dict[Node, Node] = {}

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        made = rebuilt(node, args)
        if node in found:
            spread, x = found[node]
            with build.origin(node.spans, node.path):
                made = _summed(node, spread, new.get(x, x), new)
        new[node] = made
        return made

    return rewrite(graph, rule)


def _serves(node: Node, spread: _Spread, s: Node, x: Node) -> bool:
    """Whether both cut axes are summed, and vectors of x lie along an axis of its own."""
    over = set(node.attrs["over"])
    free = [n for a, n in x.type.dims if not s.type.has(a)]
    wide = any(n.constant is not None and n.constant >= LANES for n in free)
    shared = {a for a in s.type.axes if x.type.has(a)}
    count = prod(spread.g.type.size(a).constant or 0 for a in spread.outer)
    return {*spread.whole} <= over and shared == over and wide and count >= WINDOWS


def _spread(node: Node) -> _Spread | None:
    """What is under views of a spread tensor; None if it is none."""
    renames, merges = [], []
    while node.op in ("rename", "merge", "broadcast"):
        if node.op == "merge":
            merges.append(node)
        elif node.op == "broadcast" and len(node.type.dims) != len(node.args[0].type.dims):
            return None
        renames.append(node)
        node = node.args[0]
    if len(merges) != 2 or node.op != "where" or any(len(m.attrs["axes"]) != 2 for m in merges):
        return None
    condition, g, zero = node.args
    if zero.op != "const" or zero.attrs["value"] != 0 or condition.op != "eq":
        return None
    numbers, winner = condition.args
    if winner.op != "argmax":
        numbers, winner = winner, numbers
    names, parts = _named(node, renames)
    if winner.op != "argmax" or len(parts) != 2:
        return None
    (first, second) = parts
    taps = _numbered(numbers)
    if taps == (second[1], first[1]):
        first, second = second, first
    sizes = tuple(node.type.size(tap).constant for _, tap, _ in (first, second))
    own = {first[1], second[1]}
    if taps != (first[1], second[1]) or None in sizes or own & {*g.type.axes, *winner.type.axes}:
        return None
    if not all(g.type.has(a) for a in winner.type.axes):
        return None
    outer, whole = (first[0], second[0]), (first[2], second[2])
    kept = {a: now for a, now in names.items() if a not in (*outer, *own)}
    return _Spread(g, winner, outer, whole, (sizes[0] or 0, sizes[1] or 0), kept)


def _named(base: Node, views: list[Node]) -> tuple[dict[Axis, Axis], list[tuple[Axis, Axis, Axis]]]:
    """The last names of the axes of what views are of, and what is merged: two, and into what."""
    names = {a: a for a in base.type.axes}
    parts: list[tuple[Axis, Axis, Axis]] = []
    for view in reversed(views):
        if view.op == "rename":
            mapping = dict(view.attrs["mapping"])
            names = {a: mapping.get(now, now) for a, now in names.items()}
            parts = [(o, t, mapping.get(into, into)) for o, t, into in parts]
        elif view.op == "merge":
            before = {now: a for a, now in names.items()}
            slow, fast = view.attrs["axes"]
            if slow not in before or fast not in before:
                return names, []
            parts.append((before[slow], before[fast], view.attrs["into"]))
            names = {a: now for a, now in names.items() if now not in (slow, fast)}
    return names, parts


def _numbered(node: Node) -> tuple[Axis, Axis] | None:
    """The axes of `index(Y) * size(X) + index(X)`, outermost first."""
    if node.op != "add":
        return None
    for product, inner in (node.args, node.args[::-1]):
        if product.op != "mul" or inner.op != "index":
            continue
        for outer, factor in (product.args, product.args[::-1]):
            size = Size.of(inner.attrs["size"]).constant
            if outer.op == "index" and factor.op == "const" and factor.attrs["value"] == size:
                return outer.attrs["axis"], inner.attrs["axis"]
    return None


def _summed(node: Node, spread: _Spread, x: Node, new: dict[Node, Node]) -> Node:
    """The sum over winners. The numbers of windows keep the names of the axes that they cut."""
    names = {**spread.names, **dict(zip(spread.outer, spread.whole, strict=True))}
    g, winner = (
        build.rename(new.get(n, n), {a: now for a, now in names.items() if n.type.has(a)})
        for n in (spread.g, spread.winner)
    )
    high, wide = spread.sizes
    steps = (
        build.make("floordiv", (winner, build.const(wide, "i32"))),
        build.make("mod", (winner, build.const(wide, "i32"))),
    )
    places = []
    for axis, size, step in zip(spread.whole, (high, wide), steps, strict=True):
        begin = build.mul(build.index(axis, g.type.size(axis)), build.const(size, "i32"))
        places.append(build.add(begin, step))
    at = build.gather(x, places, spread.whole)
    at = Node("gather", at.args, at.type, {**at.attrs, "within": True}, node.spans, node.path)
    made = build.dot(g, at, node.attrs["over"])
    made = Node(made.op, made.args, made.type, made.attrs, node.spans, node.path)
    return build.broadcast(made, node.type.dims)
