"""From a graph to what runs it: the one place that chooses between interpreter and native code."""

from __future__ import annotations

from collections.abc import Mapping

from dlc.codegen.machine import LEVELS, Machine, host
from dlc.codegen.program import Generated, generate
from dlc.graph import Graph
from dlc.runtime.compiled import NativeExecutable
from dlc.runtime.executable import Executable
from dlc.runtime.interpreted import Interpreted
from dlc.runtime.pool import available_processors
from dlc.runtime.stored import object_file, plan_file
from dlc.transform.pipeline import lower


def build_executable(
    graph: Graph, *, interpret: bool = False, threads: int | None = None
) -> Executable:
    """The program of a graph. `interpret` runs it in NumPy; `threads` None is the default number.

    The bits of its results depend on neither the number of threads nor the time of the build.
    """
    if interpret:
        return Interpreted(lower(graph))
    generated = generated_of(graph, host())
    return NativeExecutable(generated.plan, _objects(generated), threads)


def generated_of(graph: Graph, machine: Machine) -> Generated:
    """The plan and the kernels' texts of a graph as elaborated."""
    return generate(lower(graph), machine)


def native_files(graphs: Mapping[str, Graph]) -> dict[str, bytes]:
    """Native programs of models for this machine's level, as files of an artifact."""
    machine = LEVELS[host().name]
    files: dict[str, bytes] = {}
    for name, graph in graphs.items():
        generated = generated_of(graph, machine)
        files[plan_file(machine.name, name)] = generated.plan.to_json().encode()
        for key, code in _objects(generated).items():
            files[object_file(machine.name, key)] = code
    return files


def _objects(generated: Generated) -> dict[str, bytes]:
    return generated.compile(workers=available_processors())
