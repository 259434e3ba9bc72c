"""Axes in brackets, arrows, declarations and types."""

from __future__ import annotations

from collections.abc import Iterable

from dlc.diagnostics import Label, Span
from dlc.diagnostics.axes import AxisTwice, GroupLength, NoRest, OneAxisNeeded
from dlc.diagnostics.limits import NotSupportedYet
from dlc.diagnostics.names import DeclaredTwice, ReservedName
from dlc.diagnostics.placed import counted
from dlc.diagnostics.record import record
from dlc.diagnostics.types import UnknownDtype, WrongKind
from dlc.graph import DTYPES, Axis, DType, Size
from dlc.semantics.lookup import WORDS, lookup_axes
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame, Mistake, Silent
from dlc.semantics.sizes import as_size, size_of_axis
from dlc.semantics.values import POISON, Arrow, Axes, Value, describe, is_number
from dlc.syntax import tree

CLASSES = ("float", "int")
AXIS_TYPES = ("axis", "axes")


@record
class Declared:
    """A type as it was written: axes in order, None for `..`."""

    name: str
    axes: tuple[Axis | None, ...]
    sizes: dict[Axis, tuple[Size, Span]]
    span: Span

    @property
    def named(self) -> tuple[Axis, ...]:
        """The axes that the type names."""
        return tuple(a for a in self.axes if a is not None)

    @property
    def rest(self) -> bool:
        """Whether `..` is among its axes."""
        return None in self.axes

    def with_rest(self, rest: Iterable[Axis]) -> tuple[Axis, ...]:
        """Its axes in order, `rest` in place of `..`."""
        out: list[Axis] = []
        for axis in self.axes:
            out += rest if axis is None else [axis]
        return tuple(out)


def read_type(machine: Machine, frame: Frame, type: tree.TypeExpr) -> Declared:
    """The meaning of a type in a body."""
    name = type.name.text
    if name not in DTYPES and name not in CLASSES:
        hint = "dtypes are f32 f64 f16 bf16 i32 i64 u8 bool, and float, int for any of them"
        raise Mistake(UnknownDtype(place=type.name.span, name=name, hint=hint))
    axes: list[Axis | None] = []
    sizes: dict[Axis, tuple[Size, Span]] = {}
    for entry in type.axes or ():
        if isinstance(entry, tree.RestAxes):
            axes.append(None)
            continue
        group = lookup_axes(machine, frame, entry.name.text, entry.name.span)
        if entry.size is not None:
            size = size_of(machine, frame, entry.size)
            sizes.update(dict.fromkeys(group.items, (size, entry.size.span)))
        for axis in group.items:
            if axis in axes:
                raise Mistake(AxisTwice(place=entry.span, axis=axis.name, what="this type"))
            axes.append(axis)
    return Declared(name, tuple(axes), sizes, type.span)


def dtype_of(frame: Frame, name: str) -> DType:
    """The dtype that a type's name stands for in this call."""
    if name in CLASSES:
        return frame.dtypes.get(name, "f32" if name == "float" else "i32")
    return name  # type: ignore[return-value]


def size_of(machine: Machine, frame: Frame, expr: tree.Expr) -> Size:
    """The size that an expression gives. Raises Silent after a mistake in it."""
    value = machine.evaluate(expr, frame)
    if value is POISON:
        raise Silent
    return as_size(frame, value, expr.span)


def declare(machine: Machine, frame: Frame, entry: tree.AxisEntry) -> None:
    """`axis H = 4`, `axis Tap for over = kernel` in a body."""
    name = entry.name.text
    if name in WORDS:
        raise Mistake(ReservedName(place=entry.name.span, name=name))
    frame.names[name] = POISON
    over: Axes | None = None
    if entry.over is not None:
        over = axes_of(machine, frame, entry.over)
        labels = _labels(over.items)
        items = tuple(
            frame.own_axis(name if len(over.items) == 1 else f"{name}_{label}") for label in labels
        )
    else:
        items = (frame.own_axis(name),)
    for axis, size in zip(items, _sizes(machine, frame, entry, items, over), strict=True):
        if size is not None:
            frame.given_sizes[axis] = size
            place = entry.size.span if entry.size is not None else entry.span
            if axis.scope:
                machine.axis_places.setdefault(axis, place)
    frame.names[name] = Axes(items)


def _labels(axes: tuple[Axis, ...]) -> list[str]:
    names = [a.name.rpartition("_")[2] if a.scope else a.name for a in axes]
    return [n if names.count(n) == 1 else f"{n}{k}" for k, n in enumerate(names)]


def _sizes(
    machine: Machine,
    frame: Frame,
    entry: tree.AxisEntry,
    items: tuple[Axis, ...],
    over: Axes | None,
) -> list[Size | None]:
    if entry.size is None:
        if over is None:
            return [None]
        return [size_of_axis(frame, a, entry.span) for a in over.items]
    value = machine.evaluate(entry.size, frame)
    if value is POISON:
        raise Silent
    values = each(value, len(items), entry.size.span, f"the sizes of {entry.name.text}")
    return [as_size(frame, v, entry.size.span) for v in values]


def each(value: Value, count: int, span: Span, what: str) -> list[Value]:
    """One value for each axis of a group: the list that was given, or one value for all."""
    if not isinstance(value, (tuple, list)):
        return [value] * count
    if len(value) != count:
        left, right = counted(len(value), "value", "values"), counted(count, "axis", "axes")
        raise Mistake(GroupLength(place=span, what=what, left=left, right=right))
    return list(value)


def axes_of(machine: Machine, frame: Frame, expr: tree.Expr, what: str = "this") -> Axes:
    """The axes that an expression names. Raises Silent after a mistake in it."""
    if isinstance(expr, tree.Name):
        return lookup_axes(machine, frame, expr.text, expr.span)
    return need_axes(machine.evaluate(expr, frame), expr.span, what)


def need_axes(value: Value, span: Span, what: str = "this") -> Axes:
    """The value as axes. Raises Mistake if it is something else."""
    if value is POISON:
        raise Silent
    if not isinstance(value, Axes):
        raise Mistake(WrongKind(place=span, what=what, wanted="axes", got=describe(value)))
    return value


def need_axis(value: Value, span: Span, what: str) -> Axis:
    """The value as exactly one axis."""
    axes = need_axes(value, span, what)
    if len(axes.items) != 1:
        raise Mistake(OneAxisNeeded(place=span, what=what, count=len(axes.items)))
    return axes.items[0]


def rest_of(machine: Machine, node: tree.Rest, frame: Frame) -> Axes:
    """`..` as a value."""
    if frame.rest is None:
        where = {"model": "a model", "step": "a step"}.get(frame.kind, "this place")
        raise Mistake(NoRest(place=node.span, where=where))
    return Axes(frame.rest)


def arrow(machine: Machine, node: tree.Arrow, frame: Frame) -> Value:
    """`A -> B`: the axes on both sides, and the sizes that the right side gives."""
    source = axes_of(machine, frame, node.source, "the left of `->`")
    axes, sizes, written = target(machine, frame, node.target, source)
    repeated = [a for a in axes if axes.count(a) > 1]
    if repeated:
        raise Mistake(
            AxisTwice(place=node.target.span, axis=repeated[0].name, what="these brackets")
        )
    return Arrow(
        source, Axes(tuple(axes)), tuple(sizes), tuple(written), node.source.span, node.target.span
    )


Target = tuple[list[Axis], list[Size | None], list[bool]]


def target(machine: Machine, frame: Frame, expr: tree.Expr, source: Axes) -> Target:
    """The right side of an arrow: axes, their sizes where known, whether written right here."""
    match expr:
        case tree.Sized(name=name, size=size):
            return _sized(machine, frame, name, size)
        case tree.Tuple(items=items):
            return _tuple(machine, frame, items, source)
        case tree.Name(text=text) if not _known(frame, text):
            lookup_axes(machine, frame, text, expr.span)
        case _:
            pass
    value = machine.evaluate(expr, frame)
    if value is POISON:
        raise Silent
    if isinstance(value, Axes):
        sizes = [frame.known_size(a) for a in value.items]
        return list(value.items), sizes, [False] * len(sizes)
    if is_number(value) and len(source.items) == 1:
        return list(source.items), [as_size(frame, value, expr.span)], [True]
    if is_number(value):
        hint = "name the new axis: `-> H=128`"
        raise Mistake(
            OneAxisNeeded(place=expr.span, what="a size alone", count=len(source.items), hint=hint)
        )
    raise Mistake(
        WrongKind(place=expr.span, what="the right of `->`", wanted="axes", got=describe(value))
    )


def _known(frame: Frame, name: str) -> bool:
    return name in frame.names or name in frame.file.items


def _tuple(machine: Machine, frame: Frame, items: tuple[tree.Expr, ...], source: Axes) -> Target:
    total: Target = ([], [], [])
    for k, item in enumerate(items):
        alone = len(items) == len(source.items) and k < len(source.items)
        part = target(machine, frame, item, Axes((source.items[k],)) if alone else source)
        total[0].extend(part[0])
        total[1].extend(part[1])
        total[2].extend(part[2])
    return total


def _sized(machine: Machine, frame: Frame, name: tree.Identifier, expr: tree.Expr) -> Target:
    try:
        size = size_of(machine, frame, expr)
    except (Mistake, Silent):
        if name.text not in frame.file.items:
            frame.names.setdefault(name.text, POISON)
        raise
    group = introduce(machine, frame, name, size)
    return list(group.items), [size] * len(group.items), [True] * len(group.items)


def introduce(machine: Machine, frame: Frame, name: tree.Identifier, size: Size) -> Axes:
    """`H=128` in brackets: the axis of that name, made here if the body does not know it."""
    text = name.text
    value = frame.names.get(text)
    if isinstance(value, Axes):
        return value
    if value is None and text in frame.file.items:
        return lookup_axes(machine, frame, text, name.span)
    if text in WORDS:
        raise Mistake(ReservedName(place=name.span, name=text))
    axes = Axes((frame.own_axis(text),))
    if value is None or value is POISON:
        frame.names[text] = axes
        frame.given_sizes[axes.items[0]] = size
    return axes


def unique(names: Iterable[tree.Identifier]) -> None:
    """Raise Mistake if a signature names something twice."""
    seen: dict[str, Span] = {}
    for name in names:
        if name.text in seen:
            note = Label(seen[name.text], "first here")
            raise Mistake(DeclaredTwice(place=name.span, name=name.text, notes=(note,)))
        seen[name.text] = name.span


def later(what: str, span: Span) -> Mistake:
    """What comes with a later version."""
    return Mistake(NotSupportedYet(place=span, what=what))
