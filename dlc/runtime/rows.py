"""Large batches in parts: where every row of a result is computed from its own row alone.

A row's result depends neither on the batch it came in nor on the number of threads, so running a
batch in parts gives the same bits, in memory that does not grow with the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlc.diagnostics.record import record
from dlc.graph import ITEM_BYTES, Axis, Graph, Node, Size, TensorType
from dlc.ops import NUMPY_DTYPES, REGISTRY
from dlc.reference.feeds import bind_feeds
from dlc.runtime.executable import Array, Executable, Port, Watch
from dlc.runtime.results import Results

PART_BYTES = 1 << 26
"""About how much memory the intermediates of one part may take."""
SMALLEST_PART = 64


@record
class Rows:
    """How a batch is cut: along the first axis of these inputs and of every output."""

    inputs: tuple[str, ...]
    part: int
    """The rows of one part."""


class InParts:
    """An executable that runs large batches in parts; see the module."""

    def __init__(self, program: Executable, rows: Rows) -> None:
        self.program = program
        self.rows = rows
        self.inputs: tuple[Port, ...] = program.inputs
        self.outputs: tuple[Port, ...] = program.outputs
        self._results = Results()

    def __repr__(self) -> str:
        return f"InParts({self.program!r}, {self.rows.part} rows)"

    def bind(self, arrays: Mapping[str, Array], watch: Watch | None = None) -> None:
        """Gives params and states to the program."""
        self.program.bind(arrays, watch)

    def run(
        self,
        feeds: Mapping[str, Array],
        sizes: Mapping[str, int] | None = None,
        out: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """One run, whole or in parts; the same bits."""
        first = feeds.get(self.rows.inputs[0])
        if first is None or first.ndim == 0 or len(first) <= self.rows.part:
            return self.program.run(feeds, sizes, out)
        types = {p.name: p.type for p in self.inputs if p.name in feeds}
        bound = bind_feeds(types, (), (), feeds, sizes or {})
        results = {port.name: self._result(port, bound.sizes, out) for port in self.outputs}
        for start in range(0, len(first), self.rows.part):
            rows = slice(start, start + self.rows.part)
            part = {n: a[rows] if n in self.rows.inputs else a for n, a in bound.arrays.items()}
            self.program.run(part, None, {name: a[rows] for name, a in results.items()})
        return results

    def _result(
        self, port: Port, sizes: Mapping[str, int], out: Mapping[str, Array] | None
    ) -> Array:
        if out is not None and port.name in out:
            return out[port.name]
        shape = tuple(size.value(sizes) for size in port.type.sizes)
        return self._results.array(port.name, shape, np.dtype(NUMPY_DTYPES[port.type.dtype]))


def in_parts(program: Executable, graph: Graph) -> Executable:
    """The program of the graph, in parts where its batch may be cut."""
    rows = independent_rows(graph)
    return program if rows is None else InParts(program, rows)


def independent_rows(graph: Graph) -> Rows | None:
    """How a batch of the graph may be cut; None where its rows depend on each other."""
    inputs = [n for n in graph.inputs if n.attrs["role"] == "data" and _mentions(n.type)]
    outputs = list(graph.outputs.values())
    if not inputs or not inputs[0].type.dims or graph.checks:
        return None
    axis, size = inputs[0].type.dims[0]
    if size.constant is not None or len(size.symbols) != 1 or size != Size.symbol(*size.symbols):
        return None
    first = all(n.type.dims[:1] == ((axis, size),) for n in (*inputs, *outputs))
    if not first or not all(_keeps_rows(node, axis, size) for node in graph.nodes):
        return None
    row = sum(_bytes(n.type, size) for n in graph.nodes if n.type.has(axis) and _stored(n))
    names = tuple(str(n.attrs["name"]) for n in inputs)
    return Rows(names, max(SMALLEST_PART, PART_BYTES // max(row, 1)))


def _keeps_rows(node: Node, axis: Axis, size: Size) -> bool:
    """Whether the axis passes through the node untouched, if an operand has it."""
    for other, n in node.type.dims:
        if n.symbols and (other, n) != (axis, size):
            return False
    if node.op in ("input", "broadcast"):
        return True
    if not node.type.has(axis) and any(a.type.has(axis) for a in node.args):
        return False
    return not any(_touches(value, axis, size) for value in node.attrs.values())


def _touches(value: Any, axis: Axis, size: Size) -> bool:
    if isinstance(value, tuple):
        return any(_touches(item, axis, size) for item in value)
    if isinstance(value, Size):
        return bool(value.symbols)
    return bool(isinstance(value, Axis) and value == axis)


def _stored(node: Node) -> bool:
    return node.op == "input" or REGISTRY[node.op].kind != "view"


def _mentions(type: TensorType) -> bool:
    return any(n.symbols for n in type.sizes)


def _bytes(type: TensorType, size: Size) -> int:
    one: Mapping[str, int] = dict.fromkeys(size.symbols, 1)
    return math.prod(n.value(one) for n in type.sizes) * ITEM_BYTES[type.dtype]
