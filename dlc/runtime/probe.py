"""Intermediate values and gradients by name: a model's graph with another output."""

from __future__ import annotations

from dlc.diagnostics import fail
from dlc.diagnostics.embedding import GradientMissing, ValueUnknown
from dlc.graph import FLOATS, Graph, Node, input_node, users
from dlc.ops import build

COTANGENT = "cotangent"
"""The input of a gradient's graph that holds what the output is weighed with."""


def value_graph(graph: Graph, name: str) -> Graph:
    """The graph whose one output is the value called `name`. Raises DlcError (E0798)."""
    return Graph(graph.inputs, {name: find(graph, name)}, graph.checks)


def gradient_graph(graph: Graph, wrt: str, of: str) -> Graph:
    """The graph of d sum(`of` * cotangent) / d `wrt`; it has one more input, the cotangent.

    Raises DlcError (E0798, E0799).
    """
    x, y = find(graph, wrt), find(graph, of)
    for name, node in ((wrt, x), (of, y)):
        if node.type.dtype not in FLOATS:
            raise fail(GradientMissing(name, f"it is {node.type}"))
    if x not in Graph((), {of: y}).nodes:
        raise fail(GradientMissing(wrt, f"{of} is not computed from it"))
    weight = input_node(COTANGENT, y.type)
    loss = build.mul(y, weight)
    if y.type.axes:
        loss = build.reduce_sum(loss, over=y.type.axes)
    inputs = (*graph.inputs, weight)
    return Graph(inputs, {wrt: build.make("grad", (loss, x), {})}, graph.checks)


def find(graph: Graph, name: str) -> Node:
    """The node called `name`: an output, an input, a parameter, or the result of an instance.

    Raises DlcError (E0798), which tells the names there are.
    """
    named = {node.attrs["name"]: node for node in graph.inputs} | dict(graph.outputs)
    found = named.get(name) or _result_of(graph, name)
    if found is None:
        paths = (node.path for node in graph.nodes if node.path)
        raise fail(ValueUnknown("value", name, tuple(dict.fromkeys([*named, *paths]))))
    return found


def _result_of(graph: Graph, path: str) -> Node | None:
    """The last node that the instance computes and another reads."""
    table = users(graph.nodes)
    outputs = set(graph.outputs.values())
    own = [node for node in graph.nodes if _within(node, path)]
    shown = [
        node
        for node in own
        if node in outputs or any(not _within(user, path) for user in table[node])
    ]
    found = shown or own
    return found[-1] if found else None


def _within(node: Node, path: str) -> bool:
    return node.path == path or node.path.startswith(f"{path}.")
