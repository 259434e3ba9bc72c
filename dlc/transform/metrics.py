"""Metrics over many batches: what runs on through them, and what is evaluated once at the end.

    %2: f32 = reduce_sum(%1) {over=(N,)}      step:    %5: f64 = cast(%2) {dtype="f64"}
    %3: i32 = size {value=<N>}                         output "accumulate:loss:0" %5
    %4: f32 = cast(%3) {dtype="f32"}                   (size as accumulate:loss:1)
    %5: f32 = div(%2, %4)                     ->
    output "metric:loss" %5                   finish:  %4: f64 = div(%0, %1)
                                                       output "loss" %4

Seen from a metric, the nodes without a batch axis are the expression around. It ends at reductions
over a batch axis (sum, dot and scatter add up, max and min take the extreme of the batches) and at
sizes that count a batch's elements, which add up. What depends on no such node (a parameter's norm,
a hyper, an element picked from the batch, a gradient) is taken from the last batch. Accumulators
mostly are scalars; a metric that reduces the batch away first and other axes later has tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from dlc.graph import FLOATS, INTEGERS, Attr, DType, Graph, Node, input_node, order
from dlc.ops.build import make

Combine = Literal["sum", "max", "min", "last"]
Place = Literal["sum", "max", "min", "last", "constant", "around"]
"""Of a node without a batch axis: how it accumulates, or that it stands in the expression."""
METRIC = "metric:"
COMBINE: Mapping[str, Combine] = {
    "reduce_sum": "sum", "dot": "sum", "scatter": "sum", "reduce_max": "max", "reduce_min": "min",
}  # fmt: skip
OPAQUE = frozenset(("input", "grad", "uniform"))


class SplitMetrics(NamedTuple):
    """A step whose metrics leave it as accumulators, and the graph that finishes them.

    `finish` has an input of type f64 for each accumulator, of its name, and an f64 output for each
    metric; `combine` says how an accumulator's values of two batches become one.
    """

    graph: Graph
    finish: Graph
    combine: dict[str, Combine]


def split_metrics(graph: Graph, batch_symbols: frozenset[str]) -> SplitMetrics:
    """The step with outputs `accumulate:NAME:i` in place of each `metric:NAME`.

    `batch_symbols` are the run-time sizes that differ between a batch and the epoch. Runs on a
    graph as elaborated, before a rewrite can touch the sums and sizes that a mean is made of.
    """
    outputs: dict[str, Node] = {}
    inputs: list[Node] = []
    finish: dict[str, Node] = {}
    combine: dict[str, Combine] = {}
    for output, node in graph.outputs.items():
        if not output.startswith(METRIC):
            outputs[output] = node
            continue
        name = output.removeprefix(METRIC)
        places = _places(node, batch_symbols)
        new: dict[Node, Node] = {}
        for number, (leaf, how) in enumerate(_leaves(node, places)):
            label = f"accumulate:{name}:{number}"
            value = make("cast", (leaf,), {"dtype": "f64"}, leaf.spans, leaf.path)
            outputs[label], combine[label] = value, how
            inputs.append(input_node(label, value.type, spans=leaf.spans))
            new[leaf] = _restored(inputs[-1], leaf.type.dtype)
        finish[name] = _expression(node, places, new)
    step = Graph(graph.inputs, outputs, graph.checks)
    return SplitMetrics(step, Graph(tuple(inputs), finish), combine)


def _places(root: Node, symbols: frozenset[str]) -> dict[Node, Place]:
    """The place of each node under `root` that has no batch axis."""
    places: dict[Node, Place] = {}
    for node in order([root]):
        if not any(size.symbols & symbols for size in node.type.sizes):
            places[node] = _place(node, places, symbols)
    return places


def _place(node: Node, places: Mapping[Node, Place], symbols: frozenset[str]) -> Place:
    if node.op in OPAQUE:
        return "last"
    if node.op == "size":
        return _place_of_size(node, symbols)
    if any(a not in places for a in node.args):
        return COMBINE.get(node.op, "last")
    below = {places[a] for a in node.args}
    if below & {"sum", "max", "min", "around"}:
        return "around"
    return "last" if "last" in below else "constant"


def _place_of_size(node: Node, symbols: frozenset[str]) -> Place:
    """A number of elements adds up where each of its terms is one of the batch's."""
    size = node.attrs["value"]
    if not size.symbols & symbols:
        return "last" if size.symbols else "constant"
    terms = [monomial for monomial, _ in size.terms]
    return "sum" if all(set(term) & symbols for term in terms) else "last"


def _leaves(root: Node, places: Mapping[Node, Place]) -> list[tuple[Node, Combine]]:
    """The nodes at which the expression around ends, operands first."""
    inside = {root}
    found: list[tuple[Node, Combine]] = []
    for node in reversed(order([root])):
        if node not in inside:
            continue
        match places[node]:
            case "sum" | "max" | "min" | "last" as how:
                found.append((node, how))
            case "around":
                inside.update(node.args)
            case "constant":
                pass
    return found[::-1]


def _expression(root: Node, places: Mapping[Node, Place], leaves: Mapping[Node, Node]) -> Node:
    """The expression around over the new leaves, in f64 and i64."""
    new = dict(leaves)
    for node in order([root]):
        if node not in new and all(a in new for a in node.args) and _stands(node, places):
            new[node] = _rebuilt(node, tuple(new[a] for a in node.args))
    return make("cast", (new[root],), {"dtype": "f64"}, root.spans, root.path)


def _stands(node: Node, places: Mapping[Node, Place]) -> bool:
    return places.get(node) in ("around", "constant")


def _rebuilt(node: Node, args: tuple[Node, ...]) -> Node:
    if node.op == "stop_gradient":
        return args[0]
    new = make(node.op, args, _wide_attrs(node.attrs), node.spans, node.path)
    wide = _wide(new.type.dtype)
    return new if new.type.dtype == wide else make("cast", (new,), {"dtype": wide})


def _restored(accumulator: Node, dtype: DType) -> Node:
    """The accumulated number as the expression takes it."""
    if dtype == "bool":
        zero = make("const", (), {"value": 0.0, "dtype": "f64"})
        return make("ne", (accumulator, zero))
    return make("cast", (accumulator,), {"dtype": "i64"}) if dtype in INTEGERS else accumulator


def _wide(dtype: DType) -> DType:
    if dtype in FLOATS:
        return "f64"
    return "i64" if dtype in INTEGERS else dtype


def _wide_attrs(attrs: Mapping[str, Attr]) -> Mapping[str, Attr]:
    if "dtype" not in attrs:
        return attrs
    dtype, value = _wide(attrs["dtype"]), attrs.get("value")
    if isinstance(value, np.ndarray):
        value = value.astype({"f64": np.float64, "i64": np.int64}.get(dtype, value.dtype))
    return {k: {"dtype": dtype, "value": value}.get(k, v) for k, v in attrs.items()}
