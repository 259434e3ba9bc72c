"""A batch of a declared number of rows is scheduled like one of any number.

Where nothing is left to the run, the axis that all inputs begin with is given a run-time size, and
the plan its number: kernels then go through it slab by slab, whatever number was declared. A
sequence, whose elements meet each other, keeps its number.
"""

from __future__ import annotations

from collections.abc import Mapping

from dlc.graph import Attr, Axis, Graph, Node, Size, TensorType
from dlc.ops.op import REGISTRY, TypeRuleError

FEWEST = 2
"""Of a batch of one there is no loop."""


def opened(graph: Graph) -> tuple[Graph, Mapping[str, Size]]:
    """The graph with a run-time size for its batch, and its value; the graph itself without."""
    batch = None if graph.symbols else _batch(graph)
    if batch is None:
        return graph, {}
    try:
        return _Opening(*batch).graph(graph), {batch[0].name: batch[1]}
    except TypeRuleError:  # something needs the number
        return graph, {}


def _batch(graph: Graph) -> tuple[Axis, Size] | None:
    """The first axis of all inputs, where one has more."""
    data = [n.type for n in graph.inputs if n.attrs["role"] == "data" and n.type.dims]
    found = {type.dims[0] for type in data}
    if len(found) != 1 or all(len(type.dims) == 1 for type in data):
        return None
    (batch,) = found
    return batch if (batch[1].constant or 0) >= FEWEST else None


class _Opening:
    """Makes the nodes again, over inputs with a run-time size."""

    def __init__(self, axis: Axis, size: Size) -> None:
        self._axes, self._size = {axis}, size
        self._symbol = Size.symbol(axis.name)

    def graph(self, graph: Graph) -> Graph:
        """Raises TypeRuleError where the number of the size is needed."""
        new: dict[Node, Node] = {}
        for node in graph.nodes:
            new[node] = self._made(node, tuple(new[a] for a in node.args))
        outputs = {name: new[node] for name, node in graph.outputs.items()}
        return Graph(tuple(new[n] for n in graph.inputs), outputs, graph.checks)

    def _made(self, node: Node, args: tuple[Node, ...]) -> Node:
        if node.op == "input":
            return self._input(node)
        for old, axis in node.attrs.get("mapping", ()):
            if old in self._axes:
                self._axes.add(axis)
        attrs = {name: self._attr(value) for name, value in node.attrs.items()}
        if node.op == "index" and attrs["axis"] in self._axes and attrs["size"] == self._size:
            attrs["size"] = self._symbol
        type = REGISTRY[node.op].type([a.type for a in args], attrs)
        if self._closed(type) != node.type or sum(n.constant is None for n in type.sizes) > 1:
            raise TypeRuleError(f"{node} became {type}")
        return Node(node.op, args, type, attrs, node.spans, node.path)

    def _input(self, node: Node) -> Node:
        if node.attrs["role"] != "data":
            return node
        type = TensorType(node.type.dtype, self._attr(node.type.dims))
        return Node("input", (), type, node.attrs, node.spans, node.path)

    def _attr(self, value: Attr) -> Attr:
        """An attribute, with the run-time size in pairs of axis and size."""
        if not isinstance(value, tuple):
            return value
        if len(value) == 2 and value[0] in self._axes and value[1] == self._size:
            return value[0], self._symbol
        return tuple(self._attr(part) for part in value)

    def _closed(self, type: TensorType) -> TensorType:
        known = dict.fromkeys(self._symbol.symbols, self._size)
        return TensorType.of(type.dtype, [(a, n.substitute(known)) for a, n in type.dims])
