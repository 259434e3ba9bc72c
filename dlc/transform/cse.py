"""Common subexpressions: nodes that compute the same thing from the same operands become one.

    %1: f32[N=N] = mul(%0, %0)              %1: f32[N=N] = mul(%0, %0)
    %2: f32[N=N] = mul(%0, %0)        ->    %2: f32[N=N] = add(%1, %1)
    %3: f32[N=N] = add(%1, %2)

Two draws are one only if place, word and operands agree; draws at different places never merge.
The node that stays carries the spans of all that it stands for.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable

import numpy as np

from dlc.diagnostics import Span
from dlc.graph import FLOATS, Attr, Graph, Node, rewrite

COMMUTATIVE = frozenset(("add", "mul", "eq", "ne", "and", "or"))
"""Ops whose bits do not depend on the order of the operands."""


def merge_common(graph: Graph) -> Graph:
    """The graph in which no two nodes have the same op, operands, attributes and type."""
    first, spans = _representatives(graph)

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        known = built.get(first[node])
        if known is not None:
            return known
        places = tuple(spans[node]) if node.args else node.spans
        same = places == node.spans and all(a is b for a, b in zip(node.args, args, strict=True))
        new = node if same else Node(node.op, args, node.type, node.attrs, places, node.path)
        built[node] = new
        return new

    built: dict[Node, Node] = {}
    return rewrite(graph, rule)


def _representatives(graph: Graph) -> tuple[dict[Node, Node], dict[Node, dict[Span, None]]]:
    """For each node the first that is equal to it, and for each such first node all spans."""
    first: dict[Node, Node] = {}
    spans: dict[Node, dict[Span, None]] = {}
    known: dict[Hashable, Node] = {}
    for node in graph.nodes:
        args = [id(first[a]) for a in node.args]
        if node.op in COMMUTATIVE:
            args.sort()
        key = (node.op, tuple(args), node.type, attribute_key(_attrs(node)))
        chosen = node if node.op == "input" else known.setdefault(key, node)
        first[node] = chosen
        spans.setdefault(chosen, {}).update(dict.fromkeys(node.spans))
    return first, spans


def _attrs(node: Node) -> dict[str, Attr]:
    """The attributes; 1 and 1.0 are one float constant."""
    if node.op == "const" and node.type.dtype in FLOATS:
        return {"value": float(node.attrs["value"])}
    return dict(node.attrs)


def attribute_key(value: Attr) -> Hashable:
    """A key that is equal for equal attributes only: floats by their bits, arrays by contents."""
    match value:
        case float():
            return struct.pack("<d", value)
        case dict():
            return tuple((k, attribute_key(value[k])) for k in sorted(value))
        case tuple():
            return tuple(attribute_key(v) for v in value)
        case np.ndarray():
            return (value.dtype.str, value.shape, value.tobytes())
        case Graph():
            return id(value)
    return (type(value), value)
