"""Axes and values from the brackets of a call: a body gets axes of its own for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dlc.diagnostics import Label, Span
from dlc.diagnostics.axes import (
    DefaultAxis,
    OneAxisNeeded,
)
from dlc.diagnostics.calls import WrongArgument
from dlc.graph import Axis, Node
from dlc.semantics.axes import AXIS_TYPES, Declared
from dlc.semantics.conversions import config_value
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import size_of_axis
from dlc.semantics.values import (
    POISON,
    Arrow,
    Axes,
    Config,
    Tensor,
    describe,
    show_axes,
)
from dlc.syntax import tree


@dataclass(slots=True, eq=False)
class Entry:
    """One call on its way in."""

    machine: Machine
    frame: Frame
    caller: Frame
    name: str
    span: Span
    pair: dict[Axis, Axis] = field(default_factory=dict)
    """For each axis from the brackets, the caller's."""
    groups: dict[str, Axes] = field(default_factory=dict)
    """For each parameter that takes axes, the caller's."""
    made: set[Axis] = field(default_factory=set)
    """The caller's axes on the right of arrows."""
    types: dict[str, Declared] = field(default_factory=dict)
    first: Tensor | None = None
    """The first input that is a tensor: where default axes are looked up."""
    strict: bool = False
    """Whether declared sizes hold (models)."""
    nodes: list[Node] = field(default_factory=list)
    """The inputs, in the axes of the body."""


def bracket_params(entry: Entry, params: Sequence[tree.Param], config: Config) -> None:
    """A layer's configuration: axes of its own, and values."""
    taken = bracket_axes(entry, params, config)
    for param in params:
        if isinstance(param, tree.Parameter) and param.name.text not in taken:
            bind_value(entry.machine, entry.frame, param, config)


def bind_value(machine: Machine, frame: Frame, param: tree.Parameter, config: Config) -> None:
    """A configuration value or its default, checked against its type."""
    name = param.name.text
    if name in config.values:
        value, span = config.values[name], config.spans.get(name, config.span)
    else:
        assert param.default is not None
        value, span = machine.evaluate(param.default, frame), param.default.span
    frame.names[name] = POISON
    frame.names[name] = config_value(frame, param, value, span)


def _is_axis(param: tree.Parameter, config: Config) -> bool:
    if param.type is not None:
        return param.type.name.text in AXIS_TYPES
    return param.default is None and isinstance(config.values.get(param.name.text), Axes)


def bracket_axes(entry: Entry, params: Sequence[tree.Param], config: Config) -> set[str]:
    """Give the body its own axes for those in the brackets; the names that were taken."""
    arrows = iter(config.arrows)
    taken: set[str] = set()
    for param in params:
        if isinstance(param, tree.AxisMap):
            arrow = next(arrows)
            _introduce(entry, param.source.text, arrow.source)
            _introduce(entry, param.target.text, arrow.target, arrow)
            entry.made |= {*arrow.target.items} - {*arrow.source.items}
        elif _is_axis(param, config):
            taken.add(param.name.text)
            _axis_param(entry, param, config)
    return taken


def _axis_param(entry: Entry, param: tree.Parameter, config: Config) -> None:
    name = param.name.text
    if name in config.values:
        value, span = config.values[name], config.spans.get(name, config.span)
        if not isinstance(value, Axes):
            got = describe(value)
            raise Mistake(
                WrongArgument(place=span, callee=entry.name, name=name, wanted="axes", got=got)
            )
    else:
        assert param.default is not None
        value, span = Axes(tuple(_default_axes(entry, param, param.default))), entry.span
    one = param.type is not None and param.type.name.text == "axis"
    if one and len(value.items) != 1:
        what = f"{name} of {entry.name}"
        raise Mistake(OneAxisNeeded(place=span, what=what, count=len(value.items)))
    _introduce(entry, name, value)


def _default_axes(entry: Entry, param: tree.Parameter, expr: tree.Expr) -> list[Axis]:
    """A default axis: an earlier parameter, or found by name in the first input."""
    if isinstance(expr, tree.Tuple):
        return [a for item in expr.items for a in _default_axes(entry, param, item)]
    name = expr.text if isinstance(expr, tree.Name) else expr.span.text
    if name in entry.groups:
        return list(entry.groups[name].items)
    axes = entry.first.type.axes if entry.first is not None else ()
    found = [a for a in axes if a.name == name]
    if len(found) == 1:
        return found
    wanted = param.name.text
    taken = [a for group in entry.groups.values() for a in group.items]
    free = [a.name for a in axes if a not in taken] or ["T"]
    group = isinstance(param.default, tree.Tuple)
    example = f"({', '.join(free[-2:])})" if group else free[-1]
    hint = f"say which is meant: `{wanted}={example}`"
    raise Mistake(
        DefaultAxis(
            place=entry.span, callee=entry.name, parameter=wanted, axis=name,
            axes=show_axes(axes), hint=hint,
            notes=(Label(expr.span, "the default"),) if not entry.frame.file.standard else (),
        )
    )  # fmt: skip


def _introduce(entry: Entry, name: str, group: Axes, arrow: Arrow | None = None) -> None:
    frame, own = entry.frame, []
    names = [a.name for a in group.items]
    for k, outer in enumerate(group.items):
        tail = outer.name.rpartition("_")[2] if outer.scope else outer.name
        label = name if len(names) == 1 else f"{name}_{tail}"
        if names.count(outer.name) > 1:
            label += str(k)
        axis = Axis(label, frame.scope)
        own.append(axis)
        entry.pair[axis] = outer
        _own_size(entry, axis, outer, arrow, k)
    frame.names[name] = Axes(tuple(own))
    frame.pair = entry.pair
    entry.groups[name] = group


def _own_size(entry: Entry, axis: Axis, outer: Axis, arrow: Arrow | None, k: int) -> None:
    size = arrow.sizes[k] if arrow is not None else None
    places = entry.machine.axis_places
    if size is not None and arrow is not None:
        if arrow.written[k] or outer not in places:
            places.setdefault(axis, arrow.target_span)
        else:
            places.setdefault(axis, places[outer])
    if size is None:
        size = entry.caller.known_size(outer)
    if size is None and not outer.scope:
        try:
            size = size_of_axis(entry.caller, outer, entry.span)
        except Mistake:
            return
    if size is not None:
        entry.frame.given_sizes[axis] = size
