"""What a program costs, by layer: counted on its graph, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dlc.diagnostics.record import record
from dlc.graph import ITEM_BYTES, Graph, Node, TensorType
from dlc.ops import REGISTRY
from dlc.schedule.work import flops_of


@record
class LayerCost:
    """The cost of what one instance computes itself, its own instances not included."""

    path: str
    """The instance; empty for what no instance computes: losses, optimisers."""
    parameters: int
    flops: int
    bytes: int
    """Of the values that it computes, views not counted."""


def cost_by_layer(graph: Graph, sizes: Mapping[str, int]) -> tuple[LayerCost, ...]:
    """The cost of each instance in order of computation, for these run-time sizes.

    Counts a lowered graph (no `grad` nodes). Raises KeyError for a missing size.
    """
    rows: dict[str, list[int]] = {}
    for node in graph.nodes:
        if node.op == "input":
            if node.attrs["role"] == "param":
                rows.setdefault(_owner(node), [0, 0, 0])[0] += _elements(node.type, sizes)
            continue
        row = rows.setdefault(node.path, [0, 0, 0])
        row[1] += flops_of(node).value(sizes)
        if REGISTRY[node.op].kind != "view":
            row[2] += bytes_of(node.type, sizes)
    first = {node.path: place for place, node in reversed([*enumerate(graph.nodes)])}
    order = sorted(rows, key=lambda path: (path == "", first.get(path, -1)))
    return tuple(LayerCost(path, *rows[path]) for path in order)


def flops_in(graph: Graph, sizes: Mapping[str, int]) -> int:
    """The floating-point operations of a lowered graph, for these run-time sizes."""
    return sum(flops_of(node).value(sizes) for node in graph.nodes if node.op != "input")


def bytes_of(type: TensorType, sizes: Mapping[str, int]) -> int:
    """The bytes of a tensor."""
    return _elements(type, sizes) * ITEM_BYTES[type.dtype]


def _elements(type: TensorType, sizes: Mapping[str, int]) -> int:
    return math.prod(size.value(sizes) for size in type.sizes)


def _owner(node: Node) -> str:
    path: str = node.attrs["name"]
    return path.rpartition(".")[0]
