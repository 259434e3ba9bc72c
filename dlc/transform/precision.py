"""Precision: the same computation in float64, against which narrower ones are measured.

    %0: f32[N=N] = input {name="x", role="data"}      %0: f64[N=N] = input {name="x", role="data"}
    %1: f32 = const {value=0.5, dtype="f32"}    ->    %1: f64 = const {value=0.5, dtype="f64"}
    %2: f32[N=N] = mul(%0, %1)                        %2: f64[N=N] = mul(%0, %1)

Integers, bools and the drawn bits stay as they are; a cast to a narrow float rounds no more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlc.graph import FLOATS, Attr, DType, Graph, Node, TensorType


def widen(graph: Graph) -> Graph:
    """The graph with f64 for every float type, inputs included."""
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        args = tuple(new[a] for a in node.args)
        type = TensorType(_wide(node.type.dtype), node.type.dims)
        new[node] = Node(node.op, args, type, _wide_attrs(node.attrs), node.spans, node.path)
    outputs = {name: new[node] for name, node in graph.outputs.items()}
    return Graph(tuple(new[n] for n in graph.inputs), outputs, graph.checks)


def _wide(dtype: DType) -> DType:
    return "f64" if dtype in FLOATS else dtype


def _wide_attrs(attrs: Mapping[str, Attr]) -> Mapping[str, Attr]:
    if attrs.get("dtype") not in FLOATS:
        return attrs
    value = attrs.get("value")
    wide = value.astype(np.float64) if isinstance(value, np.ndarray) else value
    return {k: {"dtype": "f64", "value": wide}.get(k, v) for k, v in attrs.items()}
