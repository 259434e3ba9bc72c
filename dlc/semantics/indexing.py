"""Square brackets: lists, draws, slices, and gathers by axis name."""

from __future__ import annotations

import hashlib

from dlc.diagnostics import Span
from dlc.diagnostics.axes import AxisMissing, AxisTwice, OutsideAxis
from dlc.diagnostics.limits import TooManyTurns
from dlc.diagnostics.types import IndexDtype, ListIndex, NotKnownYet, WrongKind
from dlc.graph import INTEGERS, Axis, Node, RangeCheck, Size, SizeCheck
from dlc.semantics.axes import introduce, need_axes, need_axis, size_of
from dlc.semantics.elementwise import apply
from dlc.semantics.lookup import lookup_axes
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import as_int, limited, meet, numeric, plain, size_of_axis
from dlc.semantics.values import POISON, Draw, Tensor, Value, describe, show_axes, show_type
from dlc.syntax import tree

MAX_LIST = 100_000


def joined(left: list[Value], right: list[Value], span: Span) -> list[Value]:
    """Two lists one after the other."""
    if len(left) + len(right) > MAX_LIST:
        count = f"a list of {len(left) + len(right):,} elements"
        raise Mistake(TooManyTurns(place=span, count=count, limit=MAX_LIST))
    return left + right


def element(
    machine: Machine, value: list[Value] | tuple[Value, ...], node: tree.Index, frame: Frame
) -> Value:
    """`a[i]`, `a[1:]` of a list."""
    if len(node.subscripts) != 1 or node.subscripts[0].name is not None:
        what = "a list in square brackets"
        raise Mistake(WrongKind(place=node.span, what=what, wanted="one number", got="this"))
    at = node.subscripts[0].value
    if isinstance(at, tree.Slice):
        parts = [_bound(machine, p, frame) for p in (at.start, at.stop, at.step)]
        if parts[2] == 0:
            raise Mistake(_no_step(at.span))
        return value[slice(*parts)]
    index = machine.evaluate(at, frame)
    if index is POISON:
        return POISON
    index = as_int(frame, index, at.span, "the index of a list")
    if not -len(value) <= index < len(value):
        raise Mistake(ListIndex(place=at.span, index=index, length=len(value)))
    return value[index]


def _bound(machine: Machine, expr: tree.Expr | None, frame: Frame) -> int | None:
    if expr is None:
        return None
    value = machine.evaluate(expr, frame)
    return 0 if value is POISON else as_int(frame, value, expr.span, "a slice")


def draw(machine: Machine, value: Draw, node: tree.Index, frame: Frame) -> Value:
    """`normal[N, Z]`: elements are numbered in the written order of the axes."""
    dims: list[tuple[Axis, Size]] = []
    for subscript in node.subscripts:
        for axis, size in _draw_axes(machine, subscript, frame):
            if any(a == axis for a, _ in dims):
                raise Mistake(AxisTwice(place=subscript.span, axis=axis.name, what="a draw"))
            dims.append((axis, size))
    limited(frame, dims, node.span)
    return drawn(frame, value, tuple(dims), node.span)


def _draw_axes(
    machine: Machine, subscript: tree.Subscript, frame: Frame
) -> list[tuple[Axis, Size]]:
    if isinstance(subscript.value, tree.Slice):
        got = "a slice"
        raise Mistake(WrongKind(place=subscript.span, what="a draw", wanted="axes", got=got))
    if subscript.name is not None:
        size = size_of(machine, frame, subscript.value)
        group = introduce(machine, frame, subscript.name, size)
        return [(a, size) for a in group.items]
    span = subscript.value.span
    group = need_axes(machine.evaluate(subscript.value, frame), span, "a draw")
    return [(a, size_of_axis(frame, a, span)) for a in group.items]


def drawn(frame: Frame, value: Draw, dims: tuple[tuple[Axis, Size], ...], span: Span) -> Tensor:
    """The tensor of a draw, at the next place of its body."""
    place = _place(frame)
    first = _uniform(frame, dims, place, 0, span)
    if value.kind == "uniform":
        return frame.seen(first)
    if value.kind == "bernoulli":
        return apply(frame, "lt", (first, value.chance), span)  # type: ignore[no-any-return]
    second = _uniform(frame, dims, place, 1, span)
    radius = apply(frame, "mul", (-2.0, apply(frame, "log", (first,), span)), span)
    angle = apply(frame, "mul", (6.283185307179586, second), span)
    root, wave = apply(frame, "sqrt", (radius,), span), apply(frame, "cos", (angle,), span)
    return apply(frame, "mul", (root, wave), span)  # type: ignore[no-any-return]


def _uniform(
    frame: Frame, dims: tuple[tuple[Axis, Size], ...], place: int, word: int, span: Span
) -> Tensor:
    seed, step = frame.build.clock("seed"), frame.build.clock("step")
    outer = [a for a, n in dims if n.constant is None]
    inner = [a for a, n in dims if n.constant is not None]
    attrs = {"axes": dims, "place": place, "word": word, "dtype": "f32"}
    return Tensor(frame.node("uniform", (seed, step), span, **attrs, order=(*outer, *inner)))


def _place(frame: Frame) -> int:
    number = frame.draws[0]
    frame.draws[0] += 1
    text = f"{frame.place}\0{number}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def tensor(machine: Machine, value: Tensor, node: tree.Index, frame: Frame) -> Value:
    """`x[T=0]`, `x[T=1:]`, `x[K=label]`: slices and fixed places first, then one gather."""
    moving: dict[Axis, Node] = {}
    steps: list[tuple[Axis, tree.Subscript, Value]] = []
    poison = False
    for subscript in node.subscripts:
        axis = _axis(machine, value, subscript, frame)
        if any(a == axis for a, _, _ in steps):
            raise Mistake(AxisTwice(place=subscript.span, axis=axis.name, what="these brackets"))
        at = None
        if not isinstance(subscript.value, tree.Slice):
            at = machine.evaluate(subscript.value, frame)
            poison = poison or at is POISON
        steps.append((axis, subscript, at))
    if poison:
        return POISON
    for axis, subscript, at in steps:
        expr = subscript.value
        if isinstance(expr, tree.Slice):
            value = _slice(machine, value, axis, expr, frame, node.span)
            continue
        at = numeric(frame, at, expr.span)
        if isinstance(at, Tensor):
            moving[axis] = _index_node(frame, value, axis, at, expr.span)
        else:
            value = _fixed(frame, value, axis, at, expr, node.span)
    return _gather(frame, value, moving, node.span) if moving else value


def _axis(machine: Machine, value: Tensor, subscript: tree.Subscript, frame: Frame) -> Axis:
    if subscript.name is None:
        hint = "name the axis: `x[T=0]`, `x[T=1:]`"
        wanted, got = "the name of an axis", "a position"
        raise Mistake(
            WrongKind(place=subscript.span, what="`[...]`", wanted=wanted, got=got, hint=hint)
        )
    name = subscript.name
    axes = lookup_axes(machine, frame, name.text, name.span)
    axis = need_axis(axes, name.span, "one entry of `[...]`")
    require_axis(value, axis, name.span, "this")
    return axis


def require_axis(value: Tensor, axis: Axis, span: Span, what: str) -> None:
    """Raise Mistake unless the tensor has the axis."""
    if not value.type.has(axis):
        have = show_axes(value.type.axes)
        raise Mistake(AxisMissing(place=span, what=what, axis=axis.name, axes=have))


def at_least(frame: Frame, left: Size, right: Size, span: Span, message: str) -> bool:
    """Whether left >= right may hold; what is open becomes a check of the program."""
    if left.at_least(right):
        return True
    if (right - 1).at_least(left):
        return False
    frame.build.check(SizeCheck(left, ">=", right, message, frame.spans(span)))
    return True


def _from_end(expr: tree.Expr) -> bool:
    """Whether a number is written with a minus: it counts from the end."""
    return isinstance(expr, tree.Unary)


def _fixed(
    frame: Frame, value: Tensor, axis: Axis, at: Value, expr: tree.Expr, span: Span
) -> Tensor:
    size = value.type.size(axis)
    if isinstance(at, (bool, str)) or not isinstance(at, (int, float, Size)):
        raise Mistake(IndexDtype(place=expr.span, got=describe(at)))
    start = at if isinstance(at, Size) else Size.of(as_int(frame, at, expr.span, "an index"))
    known = start.constant
    if known is not None and known < 0 and _from_end(expr):
        start = size + known
    message = f"index {plain(start)} inside axis {axis.name}"
    inside = at_least(frame, start, Size(), expr.span, message)
    if not inside or not at_least(frame, size, start + 1, expr.span, message):
        raise Mistake(OutsideAxis(place=expr.span, index=str(at), axis=axis.name, size=str(size)))
    one = frame.node("slice", (value.node,), span, axis=axis, start=start, step=1, size=Size.of(1))
    return frame.tensor("split", (one,), span, axis=axis, parts=())


def _slice(
    machine: Machine, value: Tensor, axis: Axis, expr: tree.Slice, frame: Frame, span: Span
) -> Tensor:
    size = value.type.size(axis)
    step = 1
    if expr.step is not None:
        step = as_int(frame, machine.evaluate(expr.step, frame), expr.step.span, "the step")
    if step == 0:
        raise Mistake(_no_step(expr.span))
    if step > 0:
        start = _edge(machine, expr.start, Size(), size, axis, frame)
        stop = _edge(machine, expr.stop, size, size, axis, frame)
        count = (stop - start + (step - 1)) // step
        ordered = (stop, start)
    else:
        start = _edge(machine, expr.start, size - 1, size, axis, frame)
        stop = _edge(machine, expr.stop, Size.of(-1), size, axis, frame)
        count = (start - stop + (-step - 1)) // -step
        ordered = (start + 1, stop + 1)
    message = f"the slice of axis {axis.name} runs forwards"
    if not at_least(frame, *ordered, expr.span, message):
        text, hint = expr.span.text, "the start of a slice comes before its end"
        raise Mistake(
            OutsideAxis(place=expr.span, index=text, axis=axis.name, size=str(size), hint=hint)
        )
    if step == 1 and start == Size() and stop == size:
        return value
    attrs = {"axis": axis, "start": start, "step": step, "size": count}
    return frame.tensor("slice", (value.node,), span, **attrs)


def _edge(
    machine: Machine, expr: tree.Expr | None, default: Size, size: Size, axis: Axis, frame: Frame
) -> Size:
    if expr is None:
        return default
    value = numeric(frame, machine.evaluate(expr, frame), expr.span)
    if value is POISON:
        return default
    if isinstance(value, Tensor):
        hint = f"a cut at a moving place is a gather: `x[{axis.name} = start + index(W)]`"
        raise Mistake(NotKnownYet(place=expr.span, what="a slice", hint=hint))
    if isinstance(value, Size):
        edge = value
    else:
        edge = Size.of(as_int(frame, value, expr.span, "a slice"))
    known = edge.constant
    if known is not None and known < 0:
        edge = size + known
    message = f"the slice stays inside axis {axis.name}"
    fits = at_least(frame, edge, Size(), expr.span, message)
    if not fits or not at_least(frame, size, edge, expr.span, message):
        whole, hint = str(size), f"a slice stays between 0 and {size}"
        raise Mistake(
            OutsideAxis(place=expr.span, index=str(value), axis=axis.name, size=whole, hint=hint)
        )
    return edge


def _no_step(span: Span) -> WrongKind:
    what, wanted = "the step of a slice", "a number other than 0"
    return WrongKind(place=span, what=what, wanted=wanted, got="0")


def _index_node(frame: Frame, value: Tensor, axis: Axis, at: Tensor, span: Span) -> Node:
    if at.type.dtype not in INTEGERS:
        hint = "convert it: `cast(i, i32)`"
        raise Mistake(IndexDtype(place=span, got=show_type(at.type), hint=hint))
    entered = _input(at.node)
    if entered is not None:
        size = value.type.size(axis)
        outer = Axis(frame.shown(axis))
        frame.build.check(RangeCheck(entered, size, outer, frame.spans(span)))
    return at.node


def _input(node: Node) -> str | None:
    """The data input whose elements these are, if it is one."""
    while node.op in ("rename", "broadcast", "split", "merge", "slice", "cast"):
        if node.op == "cast" and node.args[0].type.dtype not in INTEGERS:
            return None
        node = node.args[0]
    if node.op == "input" and node.attrs["role"] == "data":
        return str(node.attrs["name"])
    return None


def _gather(frame: Frame, value: Tensor, moving: dict[Axis, Node], span: Span) -> Tensor:
    rest = list(moving.values())
    meet(frame, [value.node, *rest], span, frozenset(moving))
    meet(frame, rest, span)
    return frame.tensor("gather", (value.node, *rest), span, axes=tuple(moving))
