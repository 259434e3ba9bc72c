"""Schedules that are over before training is: from some run of a step on, nothing learns any more.

No schedule is known by name. The optimizer's part of a step is run alone, at the numbers of its
first and its last run: where it moves a parameter of 0 at first and leaves it at last, the factor
of all its updates has become 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dlc.diagnostics import Span
from dlc.diagnostics.record import record
from dlc.diagnostics.running import ScheduleOver
from dlc.graph import UPDATE, Graph, Node, input_node, rebuilt, rewrite
from dlc.ops import NUMPY_DTYPES
from dlc.reference.interpreter import interpret
from dlc.semantics.program import Program, Recipe, StepProgram

GRADIENT = "gradient "


def schedules_over(
    program: Program, recipe: Recipe, seed: int, epochs: int, batches: int
) -> Iterator[ScheduleOver]:
    """A warning for each optimizer that more than one run of its step finds at rest."""
    hypers = {name: hyper.value for name, hyper in program.hypers.items()}
    for step in recipe.steps:
        runs = epochs * batches // step.every
        for span, graph in _optimizers(program, step).items():
            pace = _Pace(graph, hypers, seed, step.every, batches)
            if runs > 2 and pace.rests(runs) and not pace.rests(1):
                first = pace.first_rest(runs)
                if first < runs:
                    yield ScheduleOver(step.name, first, runs, span)


@record
class _Pace:
    """What an optimizer makes of a parameter of 0, by the number of the run."""

    graph: Graph
    hypers: Mapping[str, Any]
    seed: int
    every: int
    batches: int

    def rests(self, run: int) -> bool:
        """Whether the parameter stays 0."""
        epoch = -(-run * self.every // self.batches)
        known = {**self.hypers, "seed": self.seed, "step": run, "epoch": epoch}
        with np.errstate(all="ignore"):
            (new,) = interpret(
                self.graph, {n.attrs["name"]: _fed(n, known) for n in self.graph.inputs}
            ).values()
        return not new.any()

    def first_rest(self, last: int) -> int:
        """The run from which on it stays, up to `last`, where it does."""
        moves, rests = 1, last
        while rests - moves > 1:
            middle = (moves + rests) // 2
            moves, rests = (moves, middle) if self.rests(middle) else (middle, rests)
        return rests


def _fed(node: Node, known: Mapping[str, Any]) -> Any:
    """A clock or hyper by its name, 0 for a parameter and its slots, 1 for a gradient."""
    name, role = node.attrs["name"], node.attrs["role"]
    value = known[name] if role in ("clock", "hyper") else role == "data"
    shape = [size.value({}) for size in node.type.sizes]
    return np.broadcast_to(np.array(value, NUMPY_DTYPES[node.type.dtype]), shape)


def _optimizers(program: Program, step: StepProgram) -> dict[Span, Graph]:
    """For each place of an optimizer how it updates the smallest of its parameters.

    Gradients are inputs; what depends on the data or on draws besides is left out.
    """
    updates: dict[Span, tuple[int, Node]] = {}
    for name, node in step.graph.outputs.items():
        info = program.params.get(name.removeprefix(UPDATE))
        if info is None or info.role != "param" or not node.spans:
            continue
        size = info.type.elements.constant or 0
        if node.spans[0] not in updates or size < updates[node.spans[0]][0]:
            updates[node.spans[0]] = (size, node)
    whole = Graph(step.graph.inputs, {str(k): node for k, (_, node) in enumerate(updates.values())})
    alone = rewrite(whole, _without_gradient).outputs.values()
    graphs = {span: _graph(node) for span, node in zip(updates, alone, strict=True)}
    return {span: graph for span, graph in graphs.items() if graph is not None}


def _without_gradient(node: Node, args: tuple[Node, ...]) -> Node:
    return (
        input_node(f"{GRADIENT}{id(node)}", node.type) if node.op == "grad" else rebuilt(node, args)
    )


def _graph(node: Node) -> Graph | None:
    needed = Graph((), {"new": node}).nodes
    inputs = tuple(n for n in needed if n.op == "input")
    foreign = any(_is_data(n) for n in inputs) or any(n.op == "uniform" for n in needed)
    return None if foreign else Graph(inputs, {"new": node})


def _is_data(node: Node) -> bool:
    return node.attrs["role"] == "data" and not node.attrs["name"].startswith(GRADIENT)
