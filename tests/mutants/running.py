"""Runs one step of whatever a mutant still says, on small random data."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from dlc.diagnostics import DlcError
from dlc.graph import Graph, RangeCheck
from dlc.ops import NUMPY_DTYPES
from dlc.reference.interpreter import interpret
from dlc.reference.verify import verify
from dlc.semantics import Program
from dlc.transform.pipeline import lower

SIZE = 3
"""Of every run-time axis."""
MAX_NODES, MAX_ELEMENTS = 1500, 100_000
"""Larger graphs are checked but not run."""


def graphs(program: Program) -> Iterator[tuple[str, Graph]]:
    """All that a program can run, lowered and verified."""
    for name, model in program.models.items():
        yield name, _lowered(model.graph)
    for name, recipe in program.recipes.items():
        for step in recipe.steps:
            yield f"{name}.{step.name}", _lowered(step.graph)
            yield f"{name}.{step.name} evaluated", _lowered(step.evaluation)


def _lowered(graph: Graph) -> Graph:
    lowered = lower(graph)
    verify(lowered)
    return lowered


def small(graph: Graph) -> bool:
    """Whether a graph can be run in no time."""
    nodes, sizes = graph.nodes, dict.fromkeys(graph.symbols, SIZE)
    if len(nodes) > MAX_NODES:
        return False
    return all(_elements(node.type.elements, sizes) <= MAX_ELEMENTS for node in nodes)


def _elements(size, sizes) -> float:
    try:
        return size.value(sizes)
    except (ArithmeticError, ValueError):
        return 0


def feeds(program: Program, graph: Graph) -> dict[str, np.ndarray]:
    """Arrays for all inputs of a graph: the same for the same names and types."""
    sizes = dict.fromkeys(graph.symbols, SIZE)
    bounds = {c.input: c.size.value(sizes) for c in graph.checks if isinstance(c, RangeCheck)}
    hypers = {name: hyper.value for name, hyper in program.hypers.items()}
    found = {}
    for node in graph.inputs:
        name, role, dtype = node.attrs["name"], node.attrs["role"], node.type.dtype
        shape = [size.value(sizes) for size in node.type.sizes]
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if role == "clock":
            value = np.full(shape, 3 if name == "step" else 1)
        elif role == "hyper":
            value = np.full(shape, hypers[name])
        elif dtype == "bool":
            value = rng.random(shape) < 0.5
        elif dtype in ("i32", "i64", "u8"):
            value = rng.integers(0, max(1, min(bounds.get(name, 5), 5)), shape)
        else:
            value = rng.uniform(0.1, 1.0, shape)
        found[name] = np.asarray(value).astype(NUMPY_DTYPES[dtype])
    return found


def interpreted(program: Program, graph: Graph) -> dict[str, np.ndarray] | None:
    """The outputs of a small graph; None where a check at its entry refuses the sizes."""
    sizes = dict.fromkeys(graph.symbols, SIZE)
    with np.errstate(all="ignore"):
        try:
            return interpret(graph, feeds(program, graph), sizes)
        except DlcError:
            return None
