"""Runs one step of whatever a mutant still says, on small random data."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.diagnostics import Diagnostic, DlcError
from dlc.graph import Graph, RangeCheck
from dlc.ops import NUMPY_DTYPES
from dlc.reference.interpreter import all_symbols, interpret
from dlc.reference.verify import verify
from dlc.semantics import Program
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen
from tests.programs.native_runs import Arrays, assert_native_gives, run_generated

SIZE = 3
"""Of every run-time axis."""
MAX_NODES, MAX_ELEMENTS = 3000, 20_000_000
"""Larger graphs are checked but not run."""


def graphs(program: Program) -> Iterator[tuple[str, Graph]]:
    """All that a program can run, lowered and verified."""
    for name, model in program.models.items():
        yield name, _lowered(model.graph)
    for name, recipe in program.recipes.items():
        for step in recipe.steps:
            yield f"{name}.{step.name}", _lowered(step.graph)
            yield f"{name}.{step.name} evaluated", _lowered(step.evaluation)


def initial_values(program: Program) -> Iterator[Graph]:
    """The graphs of the initial values of all that a program trains, lowered and verified."""
    for recipe in [*program.recipes] or [None]:
        yield _lowered(program.init(recipe))


def _lowered(graph: Graph) -> Graph:
    lowered = lower(graph)
    verify(lowered)
    return lowered


def small(graph: Graph, max_nodes: int = MAX_NODES) -> bool:
    """Whether a graph can be run in no time."""
    nodes, sizes = graph.nodes, sizes_of(graph)
    if len(nodes) > max_nodes:
        return False
    return all(_elements(node.type.elements, sizes) <= MAX_ELEMENTS for node in nodes)


def _elements(size, sizes) -> float:
    try:
        return size.value(sizes)
    except (ArithmeticError, ValueError):
        return 0


def sizes_of(graph: Graph) -> dict[str, int]:
    """A number for each run-time size."""
    return dict.fromkeys(all_symbols(graph), SIZE)


def feeds(program: Program, graph: Graph) -> dict[str, np.ndarray]:
    """Arrays for all inputs of a graph: the same for the same names and types."""
    sizes = sizes_of(graph)
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


def draw(program: Program, graph: Graph) -> None:
    """Computes initial values."""
    with np.errstate(all="ignore"):
        interpret(graph, feeds(program, graph), sizes_of(graph))


def compare(program: Program, graph: Graph) -> None:
    """Runs a small graph interpreted and compiled: both give the same, or refuse it alike."""
    given, sizes = feeds(program, graph), sizes_of(graph)
    with np.errstate(all="ignore"):
        want = outcome(lambda: interpret(graph, given, sizes))
        if isinstance(want, tuple):
            generated = generate(graph, host())
            assert outcome(lambda: run_generated(generated, graph, given, 1, sizes)) == want
        else:
            assert_native_gives(graph, given, want, sizes, lambda: exact(graph, given, sizes))


def outcome(run: Callable[[], Arrays]) -> Arrays | tuple[Diagnostic, ...]:
    """The results of a run; what it is refused for, if a check at the entry does."""
    try:
        return run()
    except DlcError as error:
        return error.diagnostics


def exact(graph: Graph, given: Arrays, sizes: Mapping[str, int]) -> Arrays:
    """The outputs of a graph in float64."""
    wide = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in given.items()}
    return interpret(widen(graph), wide, sizes)
