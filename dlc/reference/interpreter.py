"""The NumPy interpreter: runs any graph, node by node. The definition of correct."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlc.graph import Graph, Node, RangeCheck, Size, TensorType
from dlc.ops import NUMPY_DTYPES, REGISTRY
from dlc.ops.arrays import shape_of
from dlc.reference.feeds import bind_feeds

Array = np.ndarray[Any, Any]


def interpret(
    graph: Graph,
    feeds: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    *,
    decisions: Mapping[Node, Array] | None = None,
) -> dict[str, Array]:
    """The outputs of a graph without `grad` nodes for these inputs.

    `sizes` gives run-time sizes that no input has. `decisions` forces the results of nodes (the
    winners that another program chose at near ties). Raises DlcError where feeds do not fit.
    """
    ports = {str(n.attrs["name"]): n.type for n in graph.inputs}
    bound = bind_feeds(ports, all_symbols(graph), graph.checks, feeds, sizes or {})
    values: dict[Node, Array] = dict(decisions or {})
    nodes = graph.nodes
    left = Counter(arg for node in nodes for arg in node.args)
    left.update(graph.outputs.values())
    for node in nodes:
        if node.op == "input":
            values[node] = bound.arrays[node.attrs["name"]]
        elif node not in values:
            values[node] = evaluate(node, [values[a] for a in node.args], bound.sizes)
        for arg in node.args:
            left[arg] -= 1
            if not left[arg]:
                del values[arg]
    return {name: np.array(values[n], order="C") for name, n in graph.outputs.items()}


def evaluate(node: Node, arrays: list[Array], sizes: Mapping[str, int]) -> Array:
    """The result of one node from the results of its operands."""
    op = REGISTRY[node.op]
    numbers = {name: Size.of(n) for name, n in sizes.items()}
    types = [resolved(a.type, numbers) for a in node.args]
    attrs = {key: resolved(value, numbers) for key, value in node.attrs.items()}
    wanted = resolved(node.type, numbers)
    found = op.type(types, attrs)
    assert found == wanted, f"{node}: {node.op} of {types} gives {found}, not {wanted}"
    out = op.meaning(arrays, types, wanted, attrs)
    fits = out.shape == shape_of(wanted) and out.dtype == np.dtype(NUMPY_DTYPES[wanted.dtype])
    assert fits, f"{node.op} gave {out.dtype}{out.shape} for {wanted}"
    return out


def resolved(value: Any, sizes: Mapping[str, Size]) -> Any:
    """An attribute or a type with every run-time size replaced by its number."""
    if isinstance(value, Size):
        return value if value.constant is not None else value.substitute(sizes)
    if isinstance(value, TensorType):
        return TensorType(value.dtype, tuple((a, resolved(n, sizes)) for a, n in value.dims))
    if isinstance(value, tuple):
        return tuple(resolved(v, sizes) for v in value)
    return value


def all_symbols(graph: Graph) -> tuple[str, ...]:
    """The run-time sizes in types, attributes and checks, sorted."""
    found: set[str] = set(graph.symbols)
    for node in graph.nodes:
        for value in node.attrs.values():
            found |= _symbols(value)
    for check in graph.checks:
        held = (check.size,) if isinstance(check, RangeCheck) else (check.left, check.right)
        found |= _symbols(held)
    return tuple(sorted(found))


def _symbols(value: Any) -> set[str]:
    if isinstance(value, Size):
        return set(value.symbols)
    if isinstance(value, tuple):
        return set().union(*map(_symbols, value))
    return set()
