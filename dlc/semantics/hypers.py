"""Hypers: their declarations, and values given from outside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from dlc.diagnostics import Label, fail
from dlc.diagnostics.names import DeclaredTwice
from dlc.diagnostics.placed import listed, similar
from dlc.diagnostics.training import BadHyper, HyperSetting
from dlc.semantics.files import file_frame
from dlc.semantics.machine import Machine
from dlc.semantics.program import Hyper, Scalar
from dlc.semantics.scope import FileScope, Frame, Mistake
from dlc.semantics.values import POISON
from dlc.syntax import tree

Space = tuple[Literal["choice", "log", "linear"], tuple[Scalar, ...]]
TYPE_WORDS: dict[str, Literal["float", "int", "bool", "str"]] = {
    "float": "float", "int": "int", "bool": "bool", "str": "str",
}  # fmt: skip

WORDS = {"true": True, "false": False}


def declare_hypers(machine: Machine, file: FileScope, sets: Mapping[str, object]) -> None:
    """All hypers of a file and its imports, with their values."""
    for scope in [s for s in machine.files.values() if not s.standard]:
        frame = file_frame(machine, scope)
        for item in scope.root.items:
            if isinstance(item, tree.HyperDecl):
                try:
                    _declare(machine, frame, item, sets)
                except Mistake as mistake:
                    machine.report(mistake.case, frame)
    for name in sets:
        if name not in machine.hypers and not machine.found:
            near = similar(name, machine.hypers)
            hint = f"did you mean {near}?" if near else f"its hypers: {listed(machine.hypers)}"
            why = f"{file.source.path} has no hyper of this name"
            raise fail(
                HyperSetting(place=file.root.span, name=name, why=why, hint=hint, declared=False)
            )


def _declare(
    machine: Machine, frame: Frame, item: tree.HyperDecl, sets: Mapping[str, object]
) -> None:
    name, kind = item.name.text, item.type.text
    if name in machine.hypers:
        notes = (Label(machine.hypers[name].span, "the other one"),)
        raise Mistake(DeclaredTwice(place=item.name.span, name=name, notes=notes))
    if kind not in TYPE_WORDS:
        why = f"{kind} is not a type of a hyper: float, int, bool or str"
        raise Mistake(BadHyper(place=item.type.span, name=name, why=why))
    default = machine.evaluate(item.default, frame)
    if default is POISON:
        return
    machine.fix(default)
    value = typed(default, kind)
    if value is None:
        why = f"the default is no {kind}"
        raise Mistake(BadHyper(place=item.default.span, name=name, why=why))
    space = _space(machine, frame, item, kind)
    if space is not None and not inside(value, space):
        why = "the default is not in its space"
        raise Mistake(BadHyper(place=item.default.span, name=name, why=why))
    chosen = _chosen(item, sets[name], kind, space) if name in sets else value
    machine.hypers[name] = Hyper(
        name, TYPE_WORDS[kind], value, space, chosen, False, item.name.span
    )


def typed(value: Any, kind: str) -> Scalar | None:
    """The value in the type of a hyper, or None if it is none."""
    if kind == "bool" or isinstance(value, bool):
        return value if kind == "bool" and isinstance(value, bool) else None
    if kind == "float":
        ok = isinstance(value, (int, float)) and math.isfinite(value)
        return float(value) if ok else None
    if kind == "int":
        whole = isinstance(value, (int, float)) and value == int(value)
        return int(value) if whole else None
    return value if isinstance(value, str) else None


def inside(value: Scalar, space: Space) -> bool:
    """Whether a value lies in a space."""
    kind, values = space
    if kind == "choice":
        return value in values
    return values[0] <= value <= values[1]  # type: ignore[operator]


def _space(machine: Machine, frame: Frame, item: tree.HyperDecl, kind: str) -> Space | None:
    expr = item.space
    if expr is None:
        return None
    bad = BadHyper(
        place=expr.span, name=item.name.text,
        why="the space is a list of values, log(lo, hi) or linear(lo, hi)",
    )  # fmt: skip
    if isinstance(expr, tree.Call) and isinstance(expr.function, tree.Name):
        word = expr.function.text
        given = [typed(machine.evaluate(a.value, frame), kind) for a in expr.arguments]
        values = tuple(v for v in given if isinstance(v, (int, float)))
        if len(given) != 2 or len(values) != 2 or not values[0] < values[1]:
            raise Mistake(bad)
        if word == "linear":
            return "linear", values
        if word == "log" and values[0] > 0:
            return "log", values
        raise Mistake(bad)
    listed_ = machine.evaluate(expr, frame)
    if not isinstance(listed_, list) or not listed_:
        raise Mistake(bad)
    chosen = tuple(v for v in (typed(one, kind) for one in listed_) if v is not None)
    if len(chosen) != len(listed_):
        raise Mistake(bad)
    return "choice", chosen


def _chosen(item: tree.HyperDecl, value: object, kind: str, space: Space | None) -> Scalar:
    """A value from outside; text is read as a value of the type."""
    name, place = item.name.text, item.span
    given: object = value
    if isinstance(value, str) and kind != "str":
        given = _read(value, kind)
    chosen = typed(given, kind)
    if chosen is None:
        raise Mistake(HyperSetting(place=place, name=name, why=f"{value!r} is no {kind}"))
    if space is not None and not inside(chosen, space):
        shown = listed(space[1]) if space[0] == "choice" else f"{space[1][0]} to {space[1][1]}"
        why = f"{chosen} is outside its space: {shown}"
        raise Mistake(HyperSetting(place=place, name=name, why=why))
    return chosen


def _read(text: str, kind: str) -> object:
    if kind == "bool":
        return WORDS.get(text.lower())
    try:
        return int(text.replace("_", "")) if kind == "int" else float(text)
    except ValueError:
        return None
