"""Native programs as files of an artifact: a plan for each model and the objects it names."""

from __future__ import annotations

from collections.abc import Mapping

from dlc.codegen.machine import LEVELS, host
from dlc.diagnostics import fail
from dlc.diagnostics.artifact import ArtifactDamaged
from dlc.runtime.compiled import NativeExecutable
from dlc.runtime.native import LoadError
from dlc.schedule.plan import Plan


def plan_file(level: str, model: str) -> str:
    """Where the plan of a model for a level of processors lies."""
    return f"{level}/{model}.json"


def object_file(level: str, key: str) -> str:
    """Where the object of a kernel lies."""
    return f"{level}/{key}.o"


def stored_program(
    files: Mapping[str, bytes], model: str, *, threads: int | None = None
) -> NativeExecutable | None:
    """The model's program for the best level that this machine runs; None if there is none.

    Raises DlcError (E0901) for files that do not fit together.
    """
    level = next((name for name in _runnable() if plan_file(name, model) in files), None)
    if level is None:
        return None
    try:
        plan = Plan.from_json(files[plan_file(level, model)].decode())
        objects = {key: files[object_file(level, key)] for key in plan.kernels}
        return NativeExecutable(plan, objects, threads)
    except (KeyError, ValueError, LoadError) as error:
        raise fail(ArtifactDamaged(model, f"its native program: {error}")) from error


def _runnable() -> list[str]:
    """The levels that this machine runs, best first."""
    name, family = host().name, host().name.partition("-")[0]
    levels: list[str] = [level for level in LEVELS if level.partition("-")[0] == family]
    return levels[levels.index(name) :: -1]
