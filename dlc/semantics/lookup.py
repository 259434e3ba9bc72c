"""What a name stands for: in the body, the file, the standard library, the language."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from dlc.diagnostics import Label, Span
from dlc.diagnostics.names import NotSetHere, UnknownName, WrongKindOfName
from dlc.diagnostics.placed import listed, similar
from dlc.graph import DTYPES
from dlc.semantics.machine import Machine
from dlc.semantics.scope import FileScope, Frame, Mistake, Silent
from dlc.semantics.values import POISON, Axes, DTypeName, Tensor, Unset, Value, describe
from dlc.syntax import tree

Use = Literal["value", "axis", "function", "model"]
"""What a name is looked up for."""
MOST = 12
"""How many axes a message lists."""
CLOCKS = ("step", "epoch")
WORDS = frozenset(("inf", "pi", "training", *CLOCKS, *DTYPES))
"""Names that mean one thing everywhere."""


def lookup(machine: Machine, frame: Frame, name: str, span: Span, use: Use = "value") -> Value:
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
    return outer(machine, frame, name, span, use)


def outer(machine: Machine, frame: Frame, name: str, span: Span, use: Use = "value") -> Value:
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
    names = [n for n, v in frame.names.items() if " " not in n and v is not POISON]
    axes = [n for n in names if isinstance(frame.names[n], Axes)]
    known = [*axes, *axes_in(frame.file)]
    if use != "axis":
        known = [*names, *frame.file.items, *machine.builtins, *machine.standard_names, *WORDS]
    raise Mistake(unknown(name, known, span, use))


def unknown(name: str, known: Iterable[str], span: Span, use: Use) -> UnknownName:
    """The case of a name that nothing declares, with the nearest known one or what declares it."""
    known = tuple(known)
    near = similar(name, known)
    how = _DECLARED_BY["axis or value" if use == "value" and name[0].isupper() else use]
    hint = how.format(name=name)
    if use == "axis" and known and not near:
        hint = f"known are {listed(known[:MOST])}. Or {hint}"
    if near:
        hint = f"did you mean {near}?" + (f" Or {hint}" if use == "axis" else "")
    return UnknownName(place=span, name=name, hint=hint)


_DECLARED_BY = {
    "value": "give it a value before: `{name} = ...`",
    "axis": "declare the axis: `axis {name} = 16`, or `axis {name}` for a run-time size",
    "axis or value": "declare it: `axis {name} = 16` for an axis, `{name} = 16` for a number",
    "function": "write it as a `def`, `layer` or `optimizer`, or import it",
    "model": "`wrt` names a model or a part of one: `wrt NET`, `wrt NET.head`",
}


def axes_in(file: FileScope) -> list[str]:
    """The names that a file declares or imports and that may be axes."""
    kinds = (tree.AxisEntry, tree.Import)
    return [name for name, item in file.items.items() if isinstance(item, kinds)]


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
    value = lookup(machine, frame, name, span, "axis")
    if value is POISON:
        raise Silent
    if not isinstance(value, Axes):
        case = WrongKindOfName(place=span, name=name, is_a=describe(value), wanted="an axis")
        raise Mistake(case)
    return value
