"""The evaluation of a step in stages: each model is run by its own inference program.

    step:  logits = Net(image / 255)              stage:  image / 255  -> x of Net
           metric right = mean(                           Net: x -> out, known as `Net/0/out`
               argmax(logits, over=K) == label)   last:   mean(argmax(`Net/0/out`) == label)

So what a metric sees of a model are the very bits that the model gives to whoever calls it. A call
stays in the graphs around it where that cannot be: the model draws random numbers, whose inference
program counts no steps, or has run-time sizes that none of its inputs has; or a metric holds a
gradient, which goes through the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlc.diagnostics.record import record
from dlc.graph import Axis, Graph, Node, TensorType, input_node, order, rebuilt
from dlc.ops import build
from dlc.reference.interpreter import all_symbols
from dlc.semantics.program import ModelCall, ModelProgram, Port


@record
class Stage:
    """One call of a model."""

    model: str
    given: Mapping[str, str]
    """Inputs of the model that are data or results of earlier stages: by what name."""
    computed: Graph | None
    """Gives the other inputs, as outputs of their names."""
    results: Mapping[str, str]
    """For each output of the model, what it is called from here on."""


@record
class Staged:
    """Stages in order, then the graph that has the outputs; it has the results as inputs."""

    stages: tuple[Stage, ...]
    last: Graph


def staged(graph: Graph, calls: Sequence[ModelCall], models: Mapping[str, ModelProgram]) -> Staged:
    """The graph with those of the calls in stages that its outputs need."""
    if any(node.op == "grad" for node in graph.nodes):
        return Staged((), graph)
    stages: list[Stage] = []
    rest = _Rest(graph)
    for call in _needed(graph, [c for c in calls if _separable(c, models.get(c.model))]):
        model = models[call.model]
        wanted = {
            port.name: _ordered(rest.of(call.inputs[port.name]), port.type.axes)
            for port in model.inputs
        }
        given = {name: node.attrs["name"] for name, node in wanted.items() if _is_data(node)}
        computed = {name: node for name, node in wanted.items() if name not in given}
        before = rest.graph(computed) if computed else None
        results = {}
        for port, node in zip(model.outputs, call.outputs, strict=True):
            results[port.name] = f"{call.model}/{len(stages)}/{port.name}"
            rest.replace(node, results[port.name], port.type.axes)
        stages.append(Stage(call.model, given, before, results))
    return Staged(tuple(stages), rest.graph({n: rest.of(v) for n, v in graph.outputs.items()}))


class _Rest:
    """What is left of a graph when calls are taken out of it one by one."""

    def __init__(self, graph: Graph) -> None:
        self._inputs, self._checks = list(graph.inputs), graph.checks
        self._new: dict[Node, Node] = {}

    def of(self, node: Node) -> Node:
        """The node over what stands for the results of the calls so far."""
        for each in order([node]):
            if each not in self._new:
                self._new[each] = rebuilt(each, tuple(self._new[a] for a in each.args))
        return self._new[node]

    def replace(self, node: Node, name: str, axes: tuple[Axis, ...]) -> None:
        """From here on an input called `name`, its axes in this order, stands for the node."""
        dims = tuple((axis, node.type.size(axis)) for axis in axes)
        self._inputs.append(input_node(name, TensorType(node.type.dtype, dims), spans=node.spans))
        self._new[node] = build.broadcast(self._inputs[-1], node.type.dims)

    def graph(self, outputs: Mapping[str, Node]) -> Graph:
        """A graph of nodes that `of` gave."""
        return Graph(tuple(self._inputs), outputs, self._checks)


def _needed(graph: Graph, calls: Sequence[ModelCall]) -> list[ModelCall]:
    """The calls that the outputs of the graph depend on, in order."""
    made = {node: call for call in calls for node in call.outputs}
    seen: set[Node] = set()
    found: set[int] = set()
    stack = list(graph.outputs.values())
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        call = made.get(node)
        if call is not None:
            found.add(id(call))
        stack.extend(node.args if call is None else call.inputs.values())
    return [call for call in calls if id(call) in found]


def _separable(call: ModelCall, model: ModelProgram | None) -> bool:
    """Whether the model's inference program computes what the call does."""
    if model is None or any(n.attrs["role"] == "clock" for n in model.graph.inputs):
        return False
    if call.inputs.keys() != {port.name for port in model.inputs}:
        return False
    known = {s for port in model.inputs for s in port.type.elements.symbols}
    taken = all(_fits(call.inputs[port.name], port) for port in model.inputs)
    made = len(call.outputs) == len(model.outputs) and all(
        _fits(node, port) and node.op != "input"
        for node, port in zip(call.outputs, model.outputs, strict=True)
    )
    return taken and made and known.issuperset(all_symbols(model.graph))


def _fits(node: Node, port: Port) -> bool:
    """Whether they have the same element type and axes, in whatever order."""
    same = node.type.dtype == port.type.dtype
    return same and set(node.type.axes) == set(port.type.axes)


def _ordered(node: Node, axes: tuple[Axis, ...]) -> Node:
    return build.broadcast(node, ((axis, node.type.size(axis)) for axis in axes))


def _is_data(node: Node) -> bool:
    return node.op == "input" and node.attrs["role"] == "data"
