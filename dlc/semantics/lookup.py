"""What a name stands for: in the body, the file, the standard library, the language."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dlc.diagnostics import Label, Span
from dlc.diagnostics.names import NotSetHere, UnknownName, WrongKindOfName
from dlc.diagnostics.placed import similar
from dlc.graph import DTYPES
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame, Mistake, Silent
from dlc.semantics.values import POISON, Axes, DTypeName, Tensor, Unset, Value, describe

CLOCKS = ("step", "epoch")
WORDS = frozenset(("inf", "pi", "training", *CLOCKS, *DTYPES))
"""Names that mean one thing everywhere."""


def lookup(machine: Machine, frame: Frame, name: str, span: Span) -> Value:
    """The value of a name in a body. Raises Mistake if nothing declares it."""
    found = frame.names.get(name, machine)
    if isinstance(found, Unset):
        note = Label(found.span, "set here")
        hint = f"give {name} a value in every branch, or before"
        raise Mistake(NotSetHere(place=span, name=name, notes=(note,), hint=hint))
    if found is not machine:
        return found
    if name in WORDS:
        return _word(frame, name)
    return outer(machine, frame, name, span)


def outer(machine: Machine, frame: Frame, name: str, span: Span) -> Value:
    """The value of a name outside the body."""
    if name in frame.file.items:
        frame.file.used.add(name)
        return machine.file_value(machine, frame.file, name)
    if frame.kind == "optimizer" and name == "grad_norm":
        return frame.names["grad norm"]()
    if name in machine.builtins:
        return machine.builtins[name]
    standard = machine.find_standard(name)
    if standard is not None and standard is not frame.file:
        return machine.file_value(machine, standard, name)
    raise Mistake(unknown(machine, frame, name, span))


def unknown(machine: Machine, frame: Frame, name: str, span: Span) -> UnknownName:
    """The case of a name that nothing declares, with the nearest known one."""
    near = similar(name, known_names(machine, frame))
    hint = f"did you mean {near}?" if near else None
    return UnknownName(place=span, name=name, hint=hint)


def known_names(machine: Machine, frame: Frame) -> Iterable[str]:
    """All names that may stand in a body."""
    names = [n for n, v in frame.names.items() if " " not in n and v is not POISON]
    return [*names, *frame.file.items, *machine.builtins, *machine.standard_names, *WORDS]


def _word(frame: Frame, name: str) -> Value:
    match name:
        case "inf":
            return math.inf
        case "pi":
            return math.pi
        case "training":
            return frame.build.training
        case "step":
            return Tensor(frame.build.clock("step"))
        case "epoch":
            return Tensor(frame.build.clock("epoch"))
        case _:
            return DTypeName(name)  # type: ignore[arg-type]


def lookup_axes(machine: Machine, frame: Frame, name: str, span: Span) -> Axes:
    """The axis or group of a name. Raises Mistake if it is something else."""
    try:
        value = lookup(machine, frame, name, span)
    except Mistake as mistake:
        case = mistake.case
        if isinstance(case, UnknownName):
            more = f"declare the axis: `axis {name}`"
            near = f"{case.hint} Or " if case.hint else ""
            raise Mistake(UnknownName(place=span, name=name, hint=near + more)) from None
        raise
    if value is POISON:
        raise Silent
    if not isinstance(value, Axes):
        case = WrongKindOfName(place=span, name=name, is_a=describe(value), wanted="an axis")
        raise Mistake(case)
    return value
