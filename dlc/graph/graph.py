"""The graph IR: pure nodes that share operands, and a graph of named inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dlc.diagnostics import Span
from dlc.diagnostics.record import record
from dlc.graph.size import Size
from dlc.graph.types import Axis, TensorType

Attr = Any
"""Numbers, strings, bools, Size, Axis, DType, arrays, bodies (Graph), and tuples of these."""
Role = Literal["data", "param", "state", "slot", "hyper", "clock"]
"""Of an input: what a caller gives, what training owns (`slot`: an optimiser's state), a hyper,
or the clocks `seed`, `step`, `epoch`."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value. Compared by identity; `op` names a record of `dlc.ops`, or is `input`."""

    op: str
    args: tuple[Node, ...]
    type: TensorType
    attrs: Mapping[str, Attr] = field(default_factory=dict[str, Attr])
    spans: tuple[Span, ...] = ()
    path: str = ""
    """The instance whose body computes it (`LeNet.conv_0`), for profiles; empty outside."""

    def __repr__(self) -> str:
        return f"<{self.op}: {self.type}>"


@record
class SizeCheck:
    """What could not be decided while compiling, tested once at the entry of the program."""

    left: Size
    relation: Literal["==", ">=", "divisible"]
    right: Size
    message: str
    """In the source's terms: `axis T of image and axis T of mask`."""
    spans: tuple[Span, ...] = ()


@record
class RangeCheck:
    """An integer input that indexes an axis: every element must be in [0, size)."""

    input: str
    size: Size
    axis: Axis
    spans: tuple[Span, ...] = ()


UPDATE = "update:"
"""The prefix of outputs that are the next values of inputs."""


@record
class Graph:
    """A program without side effects: updates of parameters and states are outputs.

    `inputs` are nodes of op `input` with attrs `name` and `role`, in the order of the signature;
    unused ones stay. `outputs` are named; `update:PATH` is the next value of input `PATH`.
    """

    inputs: tuple[Node, ...]
    outputs: Mapping[str, Node]
    checks: tuple[SizeCheck | RangeCheck, ...] = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that an output needs, and every input, operands first."""
        return order([*self.inputs, *self.outputs.values()])

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names of all run-time sizes, sorted."""
        found: set[str] = set()
        for node in self.nodes:
            for size in node.type.sizes:
                found |= size.symbols
        return tuple(sorted(found))


def input_node(
    name: str, type: TensorType, role: Role = "data", spans: tuple[Span, ...] = (), **attrs: Attr
) -> Node:
    """An input of a graph."""
    return Node("input", (), type, {"name": name, "role": role, **attrs}, spans)


def order(roots: Iterable[Node]) -> tuple[Node, ...]:
    """All nodes under `roots`, each after its operands; first roots first. Never recurses."""
    seen: set[Node] = set()
    out: list[Node] = []
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                out.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack.extend((a, False) for a in reversed(node.args) if a not in seen)
    return tuple(dict.fromkeys(out))


def users(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """For each node, those that read it, in order; a node that reads it twice stands once."""
    table: dict[Node, list[Node]] = {}
    for node in nodes:
        table.setdefault(node, [])
        for arg in dict.fromkeys(node.args):
            table.setdefault(arg, []).append(node)
    return table


def rewrite(graph: Graph, rule: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
    """The graph rebuilt from its inputs on: `rule(node, new operands)` gives each new node.

    A rule that leaves a node as it is calls `rebuilt`. Inputs are never given to the rule.
    """
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        new[node] = node if node.op == "input" else rule(node, tuple(new[a] for a in node.args))
    return Graph(graph.inputs, {k: new[v] for k, v in graph.outputs.items()}, graph.checks)


def rebuilt(node: Node, args: tuple[Node, ...]) -> Node:
    """The node over new operands; the node itself if they are the old ones."""
    if all(a is b for a, b in zip(node.args, args, strict=True)):
        return node
    return Node(node.op, args, node.type, node.attrs, node.spans, node.path)
