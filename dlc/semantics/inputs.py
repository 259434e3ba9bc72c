"""Inputs of a body: the caller's axes become its own, sizes and dtypes are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlc.diagnostics import Span
from dlc.diagnostics.axes import (
    AxesTooMany,
    HidesInRest,
    InputLacksAxis,
    ModelSize,
)
from dlc.diagnostics.types import TwoDtypes
from dlc.graph import FLOATS, INTEGERS, Axis, Node, Size
from dlc.semantics.axes import Declared, read_type
from dlc.semantics.brackets import Entry
from dlc.semantics.conversions import broadcast_to, config_value, converted
from dlc.semantics.machine import Machine
from dlc.semantics.origins import size_note
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import numeric, same_size
from dlc.semantics.values import (
    POISON,
    Ratio,
    Tensor,
    Value,
    show_axes,
)
from dlc.syntax import tree

Given = tuple[Value, Span]


def bind_inputs(entry: Entry, params: Sequence[tree.Parameter], given: Mapping[str, Given]) -> None:
    """Bind the inputs of a body: tensors first, then defaults that need their sizes."""
    frame = entry.frame
    rest: list[Axis] = []
    tensors: list[tuple[tree.Parameter, Tensor, Span]] = []
    pending: list[tree.Parameter] = []
    for param in params:
        name = param.name.text
        value, span = _given(param, given, entry)
        if value is entry:
            pending.append(param)
            continue
        if isinstance(value, (int, float, Size, Ratio)) and _has_axes(param):
            pending.append(param)
            frame.names[name] = value
            continue
        if not isinstance(value, Tensor) or param.type is None or param.type.name.text == "str":
            frame.names[name] = config_value(frame, param, value, span)
            continue
        tensor = _tensor_input(entry, param, value, span, rest)
        tensors.append((param, tensor, span))
    frame.rest = None if entry.strict else tuple(rest)
    for param, tensor, span in tensors:
        frame.names[param.name.text] = _typed(entry, param, tensor, span)
    for param in pending:
        _pending(entry, param, given)


def _has_axes(param: tree.Parameter) -> bool:
    """Whether the type names axes, so that a number must be broadcast."""
    axes = param.type.axes if param.type is not None else None
    return any(isinstance(a, tree.TypeAxis) for a in axes or ())


def _given(param: tree.Parameter, given: Mapping[str, Given], entry: Entry) -> Given:
    name = param.name.text
    if name in given:
        return given[name]
    default = param.default
    if isinstance(default, tree.Name) and default.text in given:
        return given[default.text]
    return entry, entry.span


def _tensor_input(
    entry: Entry, param: tree.Parameter, value: Tensor, span: Span, rest: list[Axis]
) -> Tensor:
    """Rename the caller's axes to the body's own, check that the axes fit."""
    assert param.type is not None
    frame, shown = entry.frame, param.name.text
    declared = read_type(entry.machine, frame, param.type)
    entry.types[shown] = declared
    inverse = {entry.pair[a]: a for a in declared.named if a in entry.pair}
    mapping = tuple((o, n) for o, n in inverse.items() if value.type.has(o))
    for axis in declared.named:
        outer = entry.pair.get(axis, axis)
        if not value.type.has(outer):
            raise Mistake(_lacking(entry, param, outer, value, span))
    extra = [a for a in value.type.axes if a not in inverse and a not in declared.named]
    hidden = [a for a in extra if a in entry.pair.values()]
    if hidden and declared.rest:
        raise Mistake(
            HidesInRest(
                place=span,
                callee=entry.name,
                parameter=shown,
                axis=hidden[0].name,
                made=hidden[0] in entry.made,
            )
        )
    if extra and not declared.rest:
        axes = f"axis {extra[0].name}" if len(extra) == 1 else f"axes {show_axes(tuple(extra))}"
        raise Mistake(AxesTooMany(place=span, callee=entry.name, parameter=shown, axes=axes))
    rest += [a for a in extra if a not in rest]
    if mapping:
        value = Tensor(_renamed(frame, value.node, mapping, span))
    entry.nodes.append(value.node)
    for axis in value.type.axes:
        _input_size(entry, shown, declared, axis, value.node, span)
    _note_dtype(entry, declared, value, span)
    return value


def _renamed(frame: Frame, node: Node, mapping: tuple[tuple[Axis, Axis], ...], span: Span) -> Node:
    site = frame.caller if frame.caller is not None else frame
    return site.node("rename", (node,), span, mapping=mapping)


def _lacking(
    entry: Entry, param: tree.Parameter, outer: Axis, value: Tensor, span: Span
) -> InputLacksAxis:
    axes = show_axes(value.type.axes)
    return InputLacksAxis(
        place=span, callee=entry.name, parameter=param.name.text, axis=outer.name, axes=axes
    )


def _input_size(
    entry: Entry, shown: str, declared: Declared, axis: Axis, node: Node, span: Span
) -> None:
    """Inputs that name one axis agree on its size; a model's axes have their declared size."""
    frame, size = entry.frame, node.type.size(axis)
    if axis not in declared.named:
        frame.input_sizes.setdefault(axis, size)
        return
    wanted = declared.sizes.get(axis, (None,))[0]
    if wanted is None and entry.strict:
        wanted = entry.machine.declared_size(frame.file, axis)
    if wanted is not None and not wanted.symbols:
        _check_declared(entry, shown, axis, node, wanted, span)
    known = frame.input_sizes.setdefault(axis, size)
    if known != size and axis not in declared.sizes:
        other = next(n for n in entry.nodes if n.type.has(axis) and n.type.size(axis) == known)
        what = f"axis {axis.name} of the inputs of {entry.name}"
        same_size(frame, axis, (other, known), (node, size), span, what=what)


def _check_declared(
    entry: Entry, shown: str, axis: Axis, node: Node, wanted: Size, span: Span
) -> None:
    """A declared size that is a number holds for every input."""
    frame, size = entry.frame, node.type.size(axis)
    if wanted.compare(size) == "different":
        what = f"{shown} of {entry.name}"
        notes = size_note(node, axis, entry.machine.axis_places)
        outer = entry.pair.get(axis, axis).name
        raise Mistake(
            ModelSize(
                place=span, what=what, axis=outer, declared=str(wanted), size=str(size), notes=notes
            )
        )
    what = f"axis {axis.name} of {shown}"
    same_size(frame, axis, (node, size), (node, wanted), span, what=what)


def declared_axis_size(machine: Machine, frame: Frame, axis: Axis) -> Size:
    """The size of an axis in a signature: declared, or a run-time size of its name."""
    size = machine.declared_size(frame.file, axis)
    return size if size is not None else Size.symbol(axis.name)


def _note_dtype(entry: Entry, declared: Declared, value: Tensor, span: Span) -> None:
    dtype, frame = value.type.dtype, entry.frame
    fits = {"float": FLOATS, "int": INTEGERS}.get(declared.name, frozenset())
    if dtype not in fits:
        return
    known = frame.dtypes.setdefault(declared.name, dtype)
    if known != dtype:
        hint = f"{declared.name} is one dtype in a call: write `cast(..., {known})`"
        raise Mistake(TwoDtypes(place=span, left=known, right=dtype, hint=hint))


def _typed(entry: Entry, param: tree.Parameter, value: Tensor, span: Span) -> Tensor:
    declared = entry.types[param.name.text]
    what = f"{param.name.text} of {entry.name}"
    node = converted(entry.frame, value.node, declared.name, what, span)
    return Tensor(node, value.decay)


def _pending(entry: Entry, param: tree.Parameter, given: Mapping[str, Given]) -> None:
    """A default, or a number for a type with axes: broadcast once the sizes are known."""
    frame, name = entry.frame, param.name.text
    if name in given:
        value, span = given[name]
    else:
        assert param.default is not None
        value, span = entry.machine.evaluate(param.default, frame), param.default.span
    if param.type is None or value is POISON:
        frame.names[name] = value
        return
    value = numeric(frame, value, span)
    declared = read_type(entry.machine, frame, param.type)
    if not declared.named and not isinstance(value, Tensor):
        frame.names[name] = config_value(frame, param, value, span)
        return
    frame.names[name] = broadcast_to(frame, value, declared, f"{name} of {entry.name}", span)
