"""What grows with its argument waits until a maximum over windows is taken.

    max(window(relu(x + b)), over=Tap)      becomes      relu(max(window(x), over=Tap) + b)

The bits are the same, and so is the gradient, but for elements that only rounding makes equal. The
functions, and the gradients through them, are then computed for one element a window.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dlc.graph import Axis, Graph, Node, Size, rebuilt, users
from dlc.ops.build import add, le, make, rename, where
from dlc.transform.rewrites import broadcast_to, number

Rebuild = Callable[[Node], Node]


def pool_first(graph: Graph) -> Graph:
    """The graph with maxima over windows below the monotone functions that only they read."""
    readers = users(graph.nodes)
    outputs = set(graph.outputs.values())
    new: dict[Node, Node] = {}

    def alone(node: Node, *others: Node) -> bool:
        return node not in outputs and set(readers[node]) <= set(others)

    for node in graph.nodes:
        moved = _moved(node, new, alone) if node.op == "reduce_max" else None
        if moved is None:
            moved = node
            if node.op != "input":
                moved = rebuilt(node, tuple(new[a] for a in node.args))
        new[node] = moved
    return Graph(graph.inputs, {k: new[v] for k, v in graph.outputs.items()}, graph.checks)


def _moved(node: Node, new: dict[Node, Node], alone: Callable[..., bool]) -> Node | None:
    views: list[Node] = []
    functions: list[Rebuild] = []
    names = {a: a for a in node.args[0].type.axes}
    """How the axes of `below` are called in the result."""
    below = node.args[0]
    readers: tuple[Node, ...] = (node,)
    while alone(below, *readers):
        if below.op == "window" and not functions and _unpadded(below):
            views.append(below)
            below, readers = below.args[0], (below,)
        elif below.op == "rename":
            views.append(below)
            mapping = dict(below.attrs["mapping"])
            names = {a: names[mapping.get(a, a)] for a in below.args[0].type.axes}
            below, readers = below.args[0], (below,)
        else:
            pooled = {v.attrs["axis"] for v in views if v.op == "window"}
            found = _function(below, names, pooled, new, alone)
            if found is None:
                break
            below, rebuild, readers = found
            functions.append(rebuild)
    taps = {v.attrs["tap"] for v in views if v.op == "window"}
    if not functions or not taps or set(node.attrs["over"]) != taps:
        return None
    result = new[below]
    for view in reversed(views):
        result = make(view.op, (result,), view.attrs)
    result = make("reduce_max", (result,), node.attrs)
    for function in reversed(functions):
        result = function(result)
    return broadcast_to(result, node.type)


def _function(
    node: Node,
    names: dict[Axis, Axis],
    pooled: set[Axis],
    new: dict[Node, Node],
    alone: Callable[..., bool],
) -> tuple[Node, Rebuild, tuple[Node, ...]] | None:
    """(its argument, how it is built anew, its nodes that read the argument) if it is monotone."""
    if node.op == "where":
        condition, zero, x = node.args
        relu = condition.op == "le" and condition.args[0] is x and alone(condition, node)
        if relu and number(condition.args[1]) == 0 and number(zero) == 0:
            return x, lambda y: where(le(y, 0), 0, y), (condition, node)
    if node.op == "add":
        for x, b in (node.args, node.args[::-1]):
            called = {a: names[a] for a in b.type.axes}
            if set(x.type.axes) == set(node.type.axes) and not pooled & set(called.values()):
                beside = rename(new[b], called)
                return x, partial(add, beside), (node,)
    return None


def _unpadded(window: Node) -> bool:
    return all(Size.of(window.attrs[side]) == Size() for side in ("before", "after"))
