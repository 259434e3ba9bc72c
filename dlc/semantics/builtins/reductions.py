"""Reductions, products, sorting: functions that name the axes they work over."""

from __future__ import annotations

import math
from collections.abc import Callable

from dlc.diagnostics import Span
from dlc.diagnostics.types import BoolNeeded, NoSuchOperation
from dlc.graph import FLOATS, Axis, Node, Size, product
from dlc.semantics.builtins.reading import read
from dlc.semantics.calls import Arguments
from dlc.semantics.elementwise import apply, common_dtype, on_nodes, to_node, where
from dlc.semantics.indexing import require_axis
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import meet, plain
from dlc.semantics.values import Axes, Tensor, Value, describe, show_type

Reduce = Callable[[Frame, Tensor, tuple[Axis, ...], Span], Tensor]


def reduction(name: str, rule: Reduce) -> Callable[[Machine, Frame, Arguments, Span], Value]:
    """A function `name(x, over=...)`; without axes it works over all."""

    def run(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
        given = read(frame, name, args, span, ["x"], ["over"])
        x = given.tensor("x")
        over = given.axes("over") if given.has("over") else Axes(x.type.axes)
        for axis in over.items:
            require_axis(x, axis, given.place("over"), f"the tensor in {name}")
        return rule(frame, x, over.items, span)

    return run


def reduced(frame: Frame, op: str, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """One of the reducing ops; nothing where no axis is named."""
    return frame.tensor(op, (x.node,), span, over=over) if over else x


def as_dtype(frame: Frame, x: Tensor, dtype: str, span: Span) -> Tensor:
    """The tensor in a dtype."""
    return Tensor(to_node(frame, x, dtype, span))  # type: ignore[arg-type]


def count(x: Tensor, over: tuple[Axis, ...]) -> Size:
    """How many elements are reduced into one."""
    return product([x.type.size(a) for a in over])


def sum_(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """The sum; of bools and bytes as i32."""
    if x.type.dtype in ("bool", "u8"):
        x = as_dtype(frame, x, "i32", span)
    return reduced(frame, "reduce_sum", x, over, span)


def mean(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """The mean; of bools and integers as f32."""
    if x.type.dtype not in FLOATS:
        x = as_dtype(frame, x, "f32", span)
    total = reduced(frame, "reduce_sum", x, over, span)
    many = plain(count(x, over))
    return total if many == 1 else _tensor(apply(frame, "div", (total, many), span))


def var(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """The variance, divided by n, from the distances to the mean."""
    if x.type.dtype not in FLOATS:
        x = as_dtype(frame, x, "f32", span)
    center = mean(frame, x, over, span)
    away = on_nodes(frame, "sub", [x.node, center.node], span)
    return mean(frame, on_nodes(frame, "mul", [away.node, away.node], span), over, span)


def largest(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """The largest element."""
    return reduced(frame, "reduce_max", _numbers("max", x, span), over, span)


def smallest(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """The smallest element."""
    return reduced(frame, "reduce_min", _numbers("min", x, span), over, span)


def any_(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """Whether one holds."""
    return reduced(frame, "reduce_max", _bools("any", x, span), over, span)


def all_(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """Whether all hold."""
    return reduced(frame, "reduce_min", _bools("all", x, span), over, span)


def argmax(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """Where the first largest is."""
    return frame.tensor("argmax", (_numbers("argmax", x, span).node,), span, over=over)


def argmin(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """Where the first smallest is."""
    return frame.tensor("argmin", (_numbers("argmin", x, span).node,), span, over=over)


def logsumexp(frame: Frame, x: Tensor, over: tuple[Axis, ...], span: Span) -> Tensor:
    """log(sum(exp(x))), safe for large values and for rows of -inf."""
    if x.type.dtype not in FLOATS:
        x = as_dtype(frame, x, "f32", span)
    top = reduced(frame, "reduce_max", x, over, span)
    top = frame.tensor("stop_gradient", (top.node,), span)
    none = _tensor(apply(frame, "eq", (top, -math.inf), span))
    safe = _tensor(where(frame, (none, 0.0, top), span))
    parts = _tensor(apply(frame, "exp", (apply(frame, "sub", (x, safe), span),), span))
    total = reduced(frame, "reduce_sum", parts, over, span)
    zero = _tensor(apply(frame, "eq", (total, 0.0), span))
    logs = apply(frame, "log", (where(frame, (zero, 1.0, total), span),), span)
    value = apply(frame, "add", (logs, safe), span)
    return _tensor(where(frame, (zero, -math.inf, value), span))


def _tensor(value: Value) -> Tensor:
    assert isinstance(value, Tensor)
    return value


def _numbers(name: str, x: Tensor, span: Span) -> Tensor:
    if x.type.dtype == "bool":
        hint = "use any or all"
        raise Mistake(NoSuchOperation(place=span, op=name, left=describe(x), right="", hint=hint))
    return x


def _bools(name: str, x: Tensor, span: Span) -> Tensor:
    if x.type.dtype != "bool":
        hint = "compare first: `x > 0`"
        raise Mistake(BoolNeeded(place=span, what=name, got=show_type(x.type), hint=hint))
    return x


def dot(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`dot(a, b, over=In)`: multiply and sum over axes that both have."""
    given = read(frame, "dot", args, span, ["a", "b"], ["over"])
    a, b = given.tensor("a"), given.tensor("b")
    over = given.axes("over").items if given.has("over") else ()
    for axis in over:
        require_axis(a, axis, given.place("a"), "the left tensor of dot")
        require_axis(b, axis, given.place("b"), "the right tensor of dot")
    dtype = common_dtype((a, b), span)
    nodes: list[Node] = [to_node(frame, x, dtype, span) for x in (a, b)]
    meet(frame, nodes, span)
    if not over and not a.type.dims:
        return frame.tensor("mul", nodes, span)
    return frame.tensor("dot", nodes, span, over=over)


def argsort(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`argsort(x, over=T)`: the stable order that sorts an axis."""
    given = read(frame, "argsort", args, span, ["x", "over"])
    x, axis = given.tensor("x"), given.axis("over")
    require_axis(x, axis, given.place("over"), "the tensor in argsort")
    return frame.tensor("argsort", (_numbers("argsort", x, span).node,), span, over=(axis,))


REDUCTIONS: dict[str, Reduce] = {
    "sum": sum_, "mean": mean, "max": largest, "min": smallest, "argmax": argmax,
    "argmin": argmin, "any": any_, "all": all_, "var": var, "logsumexp": logsumexp,
}  # fmt: skip
