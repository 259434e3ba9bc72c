"""Checking a file: everything that can be said of a program without data or generated code."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dlc.diagnostics import Diagnostic, DlcError, Source
from dlc.diagnostics.limits import TooDeep
from dlc.diagnostics.record import replaced
from dlc.semantics.builtins import BUILTINS
from dlc.semantics.expressions import HANDLERS
from dlc.semantics.files import file_frame, file_value, find_standard, load, standard_index
from dlc.semantics.hypers import declare_hypers
from dlc.semantics.machine import Machine
from dlc.semantics.memory import check_parameters, check_tensors
from dlc.semantics.models import model_program
from dlc.semantics.name_check import check_names
from dlc.semantics.program import ModelProgram, Program, Recipe
from dlc.semantics.recipes import Reading, read_recipe
from dlc.semantics.scope import FileScope, Stop
from dlc.semantics.statements import run_body
from dlc.semantics.values import Instance
from dlc.syntax import read_source, tree


def check_file(
    path: str | os.PathLike[str] | Source, *, sets: Mapping[str, object] | None = None
) -> Program:
    """Check a file and elaborate its models and recipes.

    `sets` gives values to hypers. Raises DlcError with all mistakes, in the order of the text.
    """
    source = path if isinstance(path, Source) else read_source(path)
    machine = new_machine()
    file = load(machine, source)
    try:
        program = _check(machine, file, sets or {})
    except Stop as stop:
        machine.report(stop.case, file_frame(machine, file))
        program = None
    except RecursionError:
        frame = file_frame(machine, file)
        machine.report(TooDeep(place=machine.at or file.root.span), frame)
        program = None
    if machine.found or program is None:
        raise DlcError(sorted(machine.found.values(), key=_place))
    return program


def new_machine() -> Machine:
    """A machine with the parts of this package in place."""
    machine: Machine = Machine(
        HANDLERS, _run_body, BUILTINS, _find_standard, file_value, tuple(standard_index())
    )
    machine.find_standard = lambda name: find_standard(machine, name)
    machine.run_body = lambda body, frame: run_body(machine, body, frame)
    return machine


def _find_standard(name: str) -> FileScope | None:
    raise AssertionError(name)


def _run_body(body: object, frame: object) -> None:
    raise AssertionError(body)


def _place(case: Diagnostic) -> tuple[str, int]:
    return (case.span.source.path, case.span.start) if case.span else ("", 0)


def _check(machine: Machine, file: FileScope, sets: Mapping[str, object]) -> Program | None:
    declare_hypers(machine, file, sets)
    users = [f for f in machine.files.values() if not f.standard]
    for scope in users:
        for name, item in scope.items.items():
            if not isinstance(item, tree.Train):
                file_value(machine, scope, name)
    models = _models(machine, file)
    recipes: dict[str, tuple[Recipe, Reading]] = {}
    for item in file.root.items:
        if isinstance(item, tree.Train):
            made = read_recipe(machine, file, item)
            if made is not None:
                recipes[item.name.text] = made
    check_names(machine, users, file)
    check_parameters(machine, file, [reading.slots.values() for _, reading in recipes.values()])
    if not machine.found:
        check_tensors(machine, file, models.values(), [recipe for recipe, _ in recipes.values()])
    if machine.found:
        return None
    return _program(machine, file, users, models, recipes)


def _models(machine: Machine, file: FileScope) -> dict[str, ModelProgram]:
    programs: dict[str, ModelProgram] = {}
    for name in file.items:
        value = file.values.get(name)
        if isinstance(value, Instance):
            made = model_program(machine, value)
            if made is not None:
                programs[value.path] = made
    return programs


def _program(
    machine: Machine,
    file: FileScope,
    users: list[FileScope],
    models: dict[str, ModelProgram],
    recipes: dict[str, tuple[Recipe, Reading]],
) -> Program:
    hypers = {
        name: replaced(h, fixed=h.type != "float" or name in machine.fixed)
        for name, h in machine.hypers.items()
    }
    warnings = tuple(sorted(machine.warned.values(), key=_place))
    slots = {name: reading.slots for name, (_, reading) in recipes.items()}
    return Program(
        file.source, models, {n: r for n, (r, _) in recipes.items()}, dict(machine.infos), hypers,
        tuple(f.source for f in users), warnings, machine.initial, slots,
        machine.initial_build.ordered_inputs(),
    )  # fmt: skip
