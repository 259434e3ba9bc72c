"""From a graph to what runs it: the one place that chooses between interpreter and native code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dlc import cache
from dlc.codegen.machine import LEVELS, Machine, host
from dlc.codegen.objects import KIND, cached_objects
from dlc.codegen.workers import early_workers
from dlc.diagnostics import fail
from dlc.diagnostics.artifact import PackageMissing
from dlc.graph import Graph
from dlc.memory import no_collection
from dlc.ops.late import Late
from dlc.reference.text import print_graph
from dlc.runtime.compiled import NativeExecutable
from dlc.runtime.executable import Executable
from dlc.runtime.interpreted import Interpreted
from dlc.runtime.pool import available_processors
from dlc.runtime.stored import object_file, plan_file
from dlc.schedule.plan import Plan
from dlc.transform.pipeline import lower

if TYPE_CHECKING:
    from dlc.codegen import program
    from dlc.codegen.program import Generated
else:
    program = Late("dlc.codegen.program")

PLANS = "plans"
"""The kind of plans in the cache."""
NODES_A_WORKER = 100
"""A graph of so many nodes has work for one more process that compiles."""


def build_executable(
    graph: Graph,
    *,
    interpret: bool = False,
    threads: int | None = None,
    compiling: Callable[[int], None] | None = None,
) -> Executable:
    """The program of a graph. `interpret` runs it in NumPy; `threads` None is the default number.

    `compiling` is told of how many kernels native code is missing, before it is made. The bits of
    the results depend on neither the number of threads nor the time of the build. Raises DlcError
    (E0907) where Numba is needed and missing.
    """
    if interpret:
        return Interpreted(lower(graph))
    with _numba_needed():
        plan, objects = _native(graph, host(), compiling)
    return NativeExecutable(plan, objects, threads)


@contextmanager
def _numba_needed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "numba":
            raise
        instead = "or run without native code: interpret=True, --interpret"
        raise fail(PackageMissing("numba", "compiling", instead)) from error


def _native(
    graph: Graph, machine: Machine, compiling: Callable[[int], None] | None
) -> tuple[Plan, Mapping[str, bytes]]:
    """The plan of a graph and its objects: as they were made before, where both are cached."""
    key = _plan_key(graph, machine)
    data = cache.get(PLANS, key)
    if data is not None:
        plan = Plan.from_json(data.decode())
        objects = cached_objects(plan.kernels)
        if objects is not None:
            return plan, objects
    helpers = min(available_processors() - 1, len(graph.nodes) // NODES_A_WORKER)
    with early_workers(machine, helpers), no_collection():
        generated = generated_of(graph, machine)
        missing = sum(cache.get(KIND, key) is None for key in generated.plan.kernels)
        if missing and compiling is not None:
            compiling(missing)
        objects = _objects(generated)
    cache.put(PLANS, key, generated.plan.to_json().encode())
    return generated.plan, objects


def _plan_key(graph: Graph, machine: Machine) -> str:
    """A hash of the graph with its places, of the machine and of what makes plans of graphs."""
    text = print_graph(graph, spans=True)
    target = f"{machine.name} {machine.lanes} {machine.registers} {machine.cpu} {machine.features}"
    return hashlib.sha256(f"{_revision()}\n{target}\n{text}".encode()).hexdigest()


@lru_cache(maxsize=1)
def _revision() -> str:
    """A hash of the sources of the middle of the compiler: another form of it makes other plans."""
    whole = hashlib.sha256()
    root = Path(__file__).parents[1]
    for package in ("graph", "ops", "transform", "schedule", "codegen"):
        for path in sorted((root / package).rglob("*.py")):
            whole.update(path.read_bytes())
    return whole.hexdigest()


def generated_of(graph: Graph, machine: Machine) -> Generated:
    """The plan and the kernels' texts of a graph as elaborated."""
    return program.generate(lower(graph), machine)


def native_files(graphs: Mapping[str, Graph]) -> dict[str, bytes]:
    """Native programs of models for this machine's level, as files of an artifact.

    Raises DlcError (E0907) where Numba is needed and missing.
    """
    machine = LEVELS[host().name]
    files: dict[str, bytes] = {}
    with _numba_needed():
        for name, graph in graphs.items():
            generated = generated_of(graph, machine)
            files[plan_file(machine.name, name)] = generated.plan.to_json().encode()
            for key, code in _objects(generated).items():
                files[object_file(machine.name, key)] = code
    return files


def _objects(generated: Generated) -> dict[str, bytes]:
    return generated.compile(workers=available_processors())
