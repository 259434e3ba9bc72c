"""Constant folding: what depends on constants alone is computed here, by the ops' own meaning.

    %0: f32 = const {value=2.0, dtype="f32"}
    %1: i32 = size {value=<10>}                     %0: f32 = const {value=20.0, dtype="f32"}
    %2: f32 = cast(%1) {dtype="f32"}        ->
    %3: f32 = mul(%0, %2)

Only scalars are folded: a folded tensor would have to be stored.
"""

from __future__ import annotations

import numpy as np

from dlc.graph import Graph, Node, rebuilt, rewrite
from dlc.ops.arrays import stored
from dlc.ops.build import make
from dlc.ops.op import REGISTRY


def fold(graph: Graph) -> Graph:
    """The graph with scalar expressions of constants replaced by constants, bit for bit."""
    return rewrite(graph, lambda node, args: _folded(rebuilt(node, args)))


def _folded(node: Node) -> Node:
    if node.op == "size":
        value = node.attrs["value"].constant
        return node if value is None else _const(node, int(value))
    constant = node.args and all(a.op == "const" for a in node.args)
    if not constant or REGISTRY[node.op].kind != "map" or node.type.dims:
        return node
    values = [stored(a.attrs["value"], a.type.dtype) for a in node.args]
    types = [a.type for a in node.args]
    with np.errstate(all="ignore"):
        result = REGISTRY[node.op].meaning(values, types, node.type, node.attrs)
    return _const(node, np.asarray(result).item())


def _const(node: Node, value: float) -> Node:
    attrs = {"value": value, "dtype": node.type.dtype}
    return make("const", (), attrs, node.spans, node.path)
