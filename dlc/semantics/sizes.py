"""Sizes from values, and the questions whether two sizes agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dlc.diagnostics import Label, Span
from dlc.diagnostics.axes import NotASize, SizeUnknown, TwoSizes
from dlc.diagnostics.limits import TooLarge
from dlc.diagnostics.types import NotKnownYet, WrongKind
from dlc.graph import Axis, Node, Size, SizeCheck, product
from dlc.semantics.origins import size_note, spoken
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.values import POISON, Axes, Ratio, Tensor, Value, describe

MAX_AXIS = 2**31 - 1
MAX_ELEMENTS = 2**40


def size_of_axis(frame: Frame, axis: Axis, span: Span) -> Size:
    """The size that a name stands for in this body."""
    size = frame.known_size(axis)
    if size is not None:
        return size
    if axis.scope == 0 and axis.name in frame.file.items:
        return Size.symbol(axis.name)
    caller = frame.caller
    if axis.scope == 0 and caller is not None:
        return size_of_axis(caller, axis, span)
    if axis.scope == 0 and frame.rest and axis in frame.rest:
        return Size.symbol(axis.name)
    shown = frame.shown(axis)
    hint = f"give it a size (`axis {shown} = 128`), or ask a tensor: `size(x, {shown})`"
    raise Mistake(SizeUnknown(place=span, axis=shown, hint=hint))


def size_of_axes(frame: Frame, axes: Axes, span: Span) -> Size:
    """The product of the sizes of a group."""
    return product([size_of_axis(frame, a, span) for a in axes.items])


def plain(size: Size) -> int | Size:
    """A number where the size is constant."""
    known = size.constant
    return size if known is None else known


def numeric(frame: Frame, value: Value, span: Span) -> Value:
    """The value in arithmetic: an axis or a group stands for its size."""
    return plain(size_of_axes(frame, value, span)) if isinstance(value, Axes) else value


def as_size(frame: Frame, value: Value, span: Span, *, least: int = 1) -> Size:
    """The value as a size of at least `least`."""
    value = numeric(frame, value, span)
    match value:
        case bool():
            pass
        case Size():
            return value
        case Ratio(above=above, below=below):
            message = f"{above} must be divisible by {below}"
            frame.build.check(SizeCheck(above, "divisible", below, message, frame.spans(span)))
            return above // below
        case int() | float():
            return Size.of(_whole(frame, value, span, least))
        case Tensor():
            hint = "a size is an axis, a number, a hyper or an expression of these"
            raise Mistake(NotKnownYet(place=span, what="a size", hint=hint))
        case _:
            pass
    raise Mistake(WrongKind(place=span, what="a size", wanted="a number", got=describe(value)))


def _whole(frame: Frame, value: float, span: Span, least: int) -> int:
    frame.machine.fix(value)
    if not math.isfinite(value) or value != int(value):
        hint = "`/` in a size must divide; `//` rounds down"
        raise Mistake(NotASize(place=span, value=f"{float(value):g}", hint=hint))
    if value < least:
        raise Mistake(NotASize(place=span, value=str(int(value))))
    if value > MAX_AXIS:
        limit = f"{MAX_AXIS:,}"
        raise Mistake(TooLarge(place=span, what=f"an axis of {int(value):,}", limit=limit))
    return int(value)


def as_int(frame: Frame, value: Value, span: Span, what: str) -> int:
    """The value as a whole number known while compiling; may be negative."""
    value = numeric(frame, value, span)
    if isinstance(value, (Tensor, Size, Ratio)):
        raise Mistake(NotKnownYet(place=span, what=what))
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise Mistake(
            WrongKind(place=span, what=what, wanted="a whole number", got=describe(value))
        )
    frame.machine.fix(value)
    return int(value)


def same_size(
    frame: Frame,
    axis: Axis,
    left: tuple[Node, Size],
    right: tuple[Node, Size],
    span: Span,
    *,
    what: str = "",
    hint: str | None = None,
) -> None:
    """Two tensors meet on an axis: an error, nothing, or a check at the entry of the program."""
    verdict = left[1].compare(right[1])
    if verdict == "equal":
        return
    declared = frame.machine.axis_places
    notes = (*size_note(left[0], axis, declared), *size_note(right[0], axis, declared))
    if verdict == "different":
        shown = frame.shown(axis)
        hint = hint or f"make the sizes equal, or rename one: `rename(x, {shown} -> ...)`"
        remark = f"{left[1]} meets {right[1]}"
        raise Mistake(
            TwoSizes(
                place=span, remark=remark, notes=_distinct(notes), axis=shown,
                left=str(left[1]), right=str(right[1]), hint=hint,
            )
        )  # fmt: skip
    name = frame.shown(axis)
    sides = f"axis {name} of {spoken(left[0])} and axis {name} of {spoken(right[0])}"
    message = what or sides
    frame.build.check(SizeCheck(left[1], "==", right[1], message, frame.spans(span)))


def _distinct(labels: Iterable[Label]) -> tuple[Label, ...]:
    return tuple({(n.span.source.path, n.span.start, n.text): n for n in labels}.values())


def meet(
    frame: Frame, nodes: Sequence[Node], span: Span, skip: frozenset[Axis] = frozenset()
) -> None:
    """Tensors meet: every axis that two of them share has one size."""
    shapes = [node.type.dims for node in nodes if node.type.dims]
    if all(shape == shapes[0] for shape in shapes):
        return
    first: dict[Axis, tuple[Node, Size]] = {}
    for node in nodes:
        for axis, size in node.type.dims:
            if axis in skip:
                continue
            known = first.setdefault(axis, (node, size))
            if known[1] is not size and known[1] != size:
                same_size(frame, axis, known, (node, size), span)


def limited(frame: Frame, dims: Iterable[tuple[Axis, Size]], span: Span) -> None:
    """Refuse a tensor that no machine can index."""
    total = 1
    for _, size in dims:
        total *= max(size.constant or 1, 1)
    if total > MAX_ELEMENTS:
        limit = f"{MAX_ELEMENTS:,}"
        raise Mistake(TooLarge(place=span, what=f"a tensor of {total:,} elements", limit=limit))


def is_poison(*values: Value) -> bool:
    """Whether a mistake was reported on the way to one of the values."""
    return POISON in values
