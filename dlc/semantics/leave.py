"""Leaving a body: results are checked against their types and renamed back."""

from __future__ import annotations

from collections.abc import Mapping

from dlc.diagnostics import Label, Span
from dlc.diagnostics.axes import AxisTwice, ModelSize, OwnAxisLeaves, ResultAxes
from dlc.diagnostics.calls import ResultCount
from dlc.diagnostics.record import record
from dlc.diagnostics.types import WrongDtype, WrongKind
from dlc.graph import FLOATS, INTEGERS, Axis, Node, Size
from dlc.semantics.axes import CLASSES, Declared, dtype_of, read_type
from dlc.semantics.elementwise import to_node
from dlc.semantics.machine import Machine
from dlc.semantics.origins import size_note
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import same_size, size_of_axis
from dlc.semantics.values import (
    POISON,
    Axes,
    Tensor,
    Value,
    describe,
    is_number,
    show_axes,
    show_type,
)
from dlc.syntax import tree


@record
class Leaving:
    """What a result needs to know of its call."""

    pair: Mapping[Axis, Axis]
    """For each axis from the brackets, the caller's."""
    strict: bool
    """Whether declared sizes hold (models)."""
    caller: Frame | None
    span: Span


@record
class Returned:
    """The values of a `return`, each with its place."""

    values: tuple[Value, ...]
    spans: tuple[Span, ...]


def leave(machine: Machine, decl: tree.Node, frame: Frame, leaving: Leaving) -> Value:
    """The result of a body as the caller sees it."""
    assert isinstance(decl, (tree.Def, tree.Layer, tree.Model))
    returned: Returned = frame.result
    types = _types(decl.result)
    values = returned.values
    if types is not None and len(values) == 1 and isinstance(values[0], tuple) and len(types) > 1:
        values = values[0]
        returned = Returned(values, returned.spans * len(values))
    if types is not None and len(types) != len(values):
        raise Mistake(
            ResultCount(
                place=returned.spans[0], callee=frame.name, wanted=len(types), got=len(values),
                notes=(Label(decl.result.span, "promised here"),) if decl.result else (),
            )
        )  # fmt: skip
    out: list[Value] = []
    for k, (value, span) in enumerate(zip(values, returned.spans, strict=True)):
        type = types[k] if types is not None else None
        try:
            out.append(_result(machine, frame, leaving, value, type, span))
        except Mistake as mistake:
            machine.report(mistake.case, frame)
            out.append(POISON)
    return out[0] if len(out) == 1 else tuple(out)


def _types(result: tree.ResultType | None) -> tuple[tree.TypeExpr, ...] | None:
    if result is None:
        return None
    if isinstance(result, tree.TypeExpr):
        return (result,)
    return tuple(r.type for r in result.results)


def _result(
    machine: Machine,
    frame: Frame,
    leaving: Leaving,
    value: Value,
    type: tree.TypeExpr | None,
    span: Span,
) -> Value:
    if value is POISON:
        return POISON
    if type is None:
        return _untyped(frame, leaving, value, span)
    declared = read_type(machine, frame, type)
    want = declared.with_rest(frame.rest or ())
    if isinstance(value, (bool, Axes)) or is_number(value):
        made = _number(frame, leaving, value, declared, want, span)
        if not isinstance(made, Tensor):
            return made
        value = made
    if not isinstance(value, Tensor):
        what = f"the result of {frame.name}"
        raise Mistake(WrongKind(place=span, what=what, wanted="a tensor", got=describe(value)))
    _check_axes(frame, leaving, value, want, type, span)
    node = _dtype(frame, value.node, declared, span)
    for axis in want:
        _check_size(machine, frame, leaving, declared, node, axis, span)
    return _back(frame, leaving, node, span)


def _number(
    frame: Frame,
    leaving: Leaving,
    value: Value,
    declared: Declared,
    want: tuple[Axis, ...],
    span: Span,
) -> Value:
    """A number stays one where a scalar is promised by a def; else it fills the type."""
    if isinstance(value, Axes):
        value = Tensor(to_node(frame, size_value(frame, value, span), "i32", span))
    dtype = dtype_of(frame, declared.name)
    if not want and frame.kind == "def":
        wrong = isinstance(value, bool) != (dtype == "bool")
        if wrong or (isinstance(value, float) and dtype in INTEGERS):
            what = f"the result of {frame.name}"
            raise Mistake(
                WrongDtype(place=span, what=what, wanted=declared.name, got=describe(value))
            )
        return value
    node = to_node(frame, value, dtype, span)
    dims = tuple((a, size_of_axis(frame, a, span)) for a in want)
    return Tensor(frame.node("broadcast", (node,), span, dims=dims) if dims else node)


def size_value(frame: Frame, value: Axes, span: Span) -> Value:
    """The size that a group stands for, as a number."""
    total = Size.of(1)
    for axis in value.items:
        total = total * size_of_axis(frame, axis, span)
    return total if total.constant is None else total.constant


def _untyped(frame: Frame, leaving: Leaving, value: Value, span: Span) -> Value:
    if not isinstance(value, Tensor):
        return value
    for axis in value.type.axes:
        _check_own(frame, leaving, axis, span)
    return _back(frame, leaving, value.node, span)


def _check_own(frame: Frame, leaving: Leaving, axis: Axis, span: Span) -> None:
    if frame.scope and axis.scope == frame.scope and axis not in leaving.pair:
        hint = "merge, reduce or rename it first"
        raise Mistake(OwnAxisLeaves(place=span, axis=axis.name, callee=frame.name, hint=hint))


def _check_made(frame: Frame, value: Tensor, span: Span) -> None:
    """A model's result has axes of the file, none that its body made."""
    for axis, size in value.type.dims:
        if frame.kind == "model" and axis.name not in frame.file.items:
            hint = f"declare it at the top of the file: `axis {axis.name}{_with_size(size)}`"
            raise Mistake(OwnAxisLeaves(place=span, axis=axis.name, callee=frame.name, hint=hint))


def _with_size(size: Size) -> str:
    return "" if size.constant is None else f" = {size}"


def _check_axes(
    frame: Frame,
    leaving: Leaving,
    value: Tensor,
    want: tuple[Axis, ...],
    type: tree.TypeExpr,
    span: Span,
) -> None:
    have = value.type.axes
    for axis in have:
        _check_own(frame, leaving, axis, span)
    if set(have) == set(want):
        _check_made(frame, value, span)
        return
    extra, missing = [a for a in have if a not in want], [a for a in want if a not in have]
    hint = None
    if len(extra) == 1 and len(missing) == 1:
        hint = f"rename it: `rename(..., {extra[0].name} -> {missing[0].name})`"
    raise Mistake(
        ResultAxes(
            place=span, callee=frame.name, wanted=show_axes(want), axes=show_axes(have), hint=hint,
            notes=(Label(type.span, "promised here"),),
        )
    )  # fmt: skip


def _dtype(frame: Frame, node: Node, declared: Declared, span: Span) -> Node:
    have, dtype = node.type.dtype, dtype_of(frame, declared.name)
    if have == dtype:
        return node
    members = FLOATS if declared.name == "float" else INTEGERS
    if declared.name in CLASSES and declared.name not in frame.dtypes and have in members:
        return node
    if dtype in FLOATS and have not in FLOATS:
        return frame.node("cast", (node,), span, dtype=dtype)
    what = f"the result of {frame.name}"
    raise Mistake(
        WrongDtype(
            place=span, what=what, wanted=declared.name, got=show_type(node.type),
            hint=f"write `cast(..., {dtype})`",
        )
    )  # fmt: skip


def _check_size(
    machine: Machine,
    frame: Frame,
    leaving: Leaving,
    declared: Declared,
    node: Node,
    axis: Axis,
    span: Span,
) -> None:
    wanted = declared.sizes.get(axis, (None,))[0]
    if wanted is None and leaving.strict:
        wanted = machine.declared_size(frame.file, axis)
        wanted = wanted if wanted is not None else frame.input_sizes.get(axis)
    if wanted is None:
        return
    size = node.type.size(axis)
    if wanted.compare(size) == "different":
        what = f"the result of {frame.name}"
        notes = size_note(node, axis, machine.axis_places)
        raise Mistake(
            ModelSize(
                place=span, what=what, axis=axis.name, declared=str(wanted), size=str(size),
                notes=notes,
            )
        )  # fmt: skip
    message = f"axis {axis.name} of the result of {frame.name}"
    same_size(frame, axis, (node, size), (node, wanted), span, what=message)


def _back(frame: Frame, leaving: Leaving, node: Node, span: Span) -> Tensor:
    """The axes from the brackets become the caller's again."""
    axes = [leaving.pair.get(a, a) for a in node.type.axes]
    for axis in axes:
        if axes.count(axis) > 1:
            hint = "rename the axis of the input first, or give the new axis another name"
            what = f"the result of {frame.name}"
            raise Mistake(AxisTwice(place=leaving.span, axis=axis.name, what=what, hint=hint))
    mapping = tuple((a, leaving.pair[a]) for a in node.type.axes if a in leaving.pair)
    site = leaving.caller
    if site is None:
        return Tensor(node)
    if mapping:
        return site.tensor("rename", (node,), leaving.span, mapping=mapping)
    return site.seen(Tensor(node))
