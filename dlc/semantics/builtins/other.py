"""Functions on compile-time values, tables, indices, draws, gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dlc.diagnostics import Span
from dlc.diagnostics.axes import GroupLength
from dlc.diagnostics.calls import TableShape
from dlc.diagnostics.limits import NotSupportedYet, TooManyTurns
from dlc.diagnostics.names import WrongKindOfName
from dlc.diagnostics.placed import counted
from dlc.diagnostics.types import IndexDtype, NoGradient, ScalarNeeded, WrongKind
from dlc.graph import DTYPES, FLOATS, INTEGERS, Node, Size, order, product
from dlc.ops.late import Late
from dlc.semantics.axes import need_axis
from dlc.semantics.builtins.reading import read
from dlc.semantics.builtins.views import distinct
from dlc.semantics.calls import Arguments
from dlc.semantics.elementwise import to_node
from dlc.semantics.indexing import MAX_LIST, require_axis
from dlc.semantics.lookup import lookup_axes
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import as_int, meet, plain, size_of_axis
from dlc.semantics.values import (
    Axes,
    Draw,
    DTypeName,
    Inference,
    Instance,
    Tensor,
    Value,
    describe,
    is_number,
    show_axes,
    show_type,
)
from dlc.syntax import tree

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")


MAX_TABLE = 1_000_000


def index(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`index(T)` counts along an axis; `index(x, T)` along that of a tensor."""
    if args.positional and isinstance(args.positional[0][0], Tensor):
        given = read(frame, "index", args, span, ["x", "over"])
        axis = given.axis("over")
        require_axis(given.tensor("x"), axis, given.place("over"), "the tensor in index")
        size = given.tensor("x").type.size(axis)
    else:
        given = read(frame, "index", args, span, ["over"])
        axis = given.axis("over")
        size = size_of_axis(frame, axis, given.place("over"))
    return frame.tensor("index", (), span, axis=axis, size=size)


def size_(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`size(x, Y)`: the size of an axis of a tensor; the product for a group."""
    given = read(frame, "size", args, span, ["x"], ["over"])
    x = given.tensor("x")
    over = given.axes("over").items if given.has("over") else x.type.axes
    for axis in over:
        require_axis(x, axis, given.place("over"), "the tensor in size")
    return plain(product([x.type.size(a) for a in over]))


def cast(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`cast(x, bf16)`."""
    given = read(frame, "cast", args, span, ["x", "dtype"])
    dtype = given.get("dtype")
    if not isinstance(dtype, DTypeName):
        wanted = f"one of {' '.join(DTYPES)}"
        raise Mistake(
            WrongKind(place=given.place("dtype"), what="cast", wanted=wanted, got=describe(dtype))
        )
    x = given.tensor("x")
    if x.type.dtype == dtype.dtype:
        return x
    return frame.tensor("cast", (x.node,), span, dtype=dtype.dtype)


def stop_gradient(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`stop_gradient(x)`."""
    given = read(frame, "stop_gradient", args, span, ["x"])
    if is_number(given.get("x")):
        return given.get("x")
    return frame.tensor("stop_gradient", (given.tensor("x").node,), span)


def grad(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`grad(y, wrt=x)`: the gradient of a scalar."""
    given = read(frame, "grad", args, span, ["y", "wrt"])
    y, x = given.tensor("y"), given.get("wrt")
    if y.type.dims:
        place = given.place("y")
        raise Mistake(ScalarNeeded(place=place, what="grad", axes=show_axes(y.type.axes)))
    if not isinstance(x, Tensor) or x.type.dtype not in FLOATS or y.type.dtype not in FLOATS:
        got = describe(x) if not isinstance(x, Tensor) else show_type(x.type)
        why = f"`wrt` is {got}, and gradients exist for float tensors"
        raise Mistake(NoGradient(place=given.place("wrt"), why=why))
    if not reaches(x.node, y.node):
        why = "the scalar was not computed from it"
        raise Mistake(NoGradient(place=given.place("wrt"), why=why))
    return frame.tensor("grad", (y.node, x.node), span)


def reaches(x: Node, y: Node) -> bool:
    """Whether y was computed from x."""
    return x in set(order([y]))


def scatter(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`scatter(x, K=i, over=T)`: sums of x at integer places."""
    given = read(frame, "scatter", args, span, ["x"], ["over"], free=True)
    x = given.tensor("x")
    over = given.axes("over").items if given.has("over") else ()
    axes, sizes, indices = [], [], []
    for name, (value, place) in given.values.items():
        if name in ("x", "over"):
            continue
        axis = need_axis(lookup_axes(machine, frame, name, place), place, "scatter")
        if isinstance(value, (int, Axes)):
            value = Tensor(to_node(frame, value, "i32", place))
        if not isinstance(value, Tensor) or value.type.dtype not in INTEGERS:
            raise Mistake(IndexDtype(place=place, got=describe(value)))
        axes.append(axis)
        sizes.append(size_of_axis(frame, axis, place))
        indices.append(value.node)
    if not axes:
        wanted, got = "an axis and its places: `scatter(x, K=i, over=T)`", "none"
        raise Mistake(WrongKind(place=span, what="scatter", wanted=wanted, got=got))
    held = dict.fromkeys(a for n in (x.node, *indices) for a in n.type.axes)
    for axis in over:
        if axis not in held:
            require_axis(x, axis, given.place("over"), "the tensor in scatter")
    distinct([*axes, *(a for a in held if a not in over)], "the result of scatter", span)
    meet(frame, [x.node, *indices], span)
    attrs = {"axes": tuple(axes), "sizes": tuple(sizes), "over": over}
    return frame.tensor("scatter", (x.node, *indices), span, **attrs)


def constant(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`constant([[10, 13], [33, 23]], (A, B))`: a table written down."""
    given = read(frame, "constant", args, span, ["table", "axes"])
    place = given.place("table")
    axes = given.axes("axes").items
    array = _array(machine, given.get("table"), place)
    if array.ndim != len(axes):
        left = counted(array.ndim, "level", "levels") + " of brackets"
        right = counted(len(axes), "axis", "axes")
        raise Mistake(GroupLength(place=place, what="constant", left=left, right=right))
    for axis, n in zip(axes, array.shape, strict=True):
        known = frame.given_sizes.get(axis) or machine.declared_size(frame.file, axis)
        if known is not None and known.compare(n) == "different":
            why = f"axis {axis.name} has size {known}, the table {n}"
            raise Mistake(TableShape(place=place, why=why))
    dtype = {"b": "bool", "i": "i32"}.get(array.dtype.kind, "f32")
    stored: np.ndarray[Any, Any] = array.astype(
        {"bool": np.bool_, "i32": np.int32}.get(dtype, np.float32)
    )
    return frame.tensor("table", (), span, value=stored, dtype=dtype, axes=axes)


def _array(machine: Machine, value: Value, span: Span) -> np.ndarray[Any, Any]:
    def depth(part: Value) -> tuple[int, ...]:
        if not isinstance(part, (list, tuple)):
            if isinstance(part, (int, float)):
                machine.fix(part)
                return ()
            raise Mistake(TableShape(place=span, why=f"{describe(part)} is no number"))
        if id(part) not in known:
            shapes = {depth(p) for p in part}
            if len(shapes) != 1:
                raise Mistake(TableShape(place=span, why="its rows differ in length"))
            known[id(part)] = (len(part), *shapes.pop())
        return known[id(part)]

    known: dict[int, tuple[int, ...]] = {}
    shape = depth(value)
    if shape == ():
        raise Mistake(TableShape(place=span, why="it has no rows"))
    if math.prod(shape) > MAX_TABLE:
        count = f"{math.prod(shape):,} numbers"
        why = f"it has {count}; the limit is {MAX_TABLE:,}"
        raise Mistake(TableShape(place=span, why=why))
    array = np.array(value)
    if array.dtype.kind == "i" and np.abs(array).max() >= 2**31:
        raise Mistake(TableShape(place=span, why="a number does not fit i32"))
    return array


def range_(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`range(n)`, `range(a, b)`, `range(a, b, step)` as in Python."""
    given = read(frame, "range", args, span, ["start"], ["stop", "step"])
    parts = [
        as_int(frame, given.get(n), given.place(n), "range")
        for n in ("start", "stop", "step")
        if given.has(n)
    ]
    if len(parts) == 3 and parts[2] == 0:
        wanted, got = "a step other than 0", "0"
        raise Mistake(WrongKind(place=span, what="range", wanted=wanted, got=got))
    numbers = range(*parts)
    if (
        abs(parts[-1] if len(parts) == 1 else parts[1] - parts[0]) > 2**62
        or len(numbers) > MAX_LIST
    ):
        count = f"{max(abs(p) for p in parts):,} turns"
        raise Mistake(TooManyTurns(place=span, count=count, limit=MAX_LIST))
    return list(numbers)


def len_(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`len(a)` of a list."""
    given = read(frame, "len", args, span, ["list"])
    value = given.get("list")
    if not isinstance(value, (list, tuple)):
        raise Mistake(
            WrongKind(place=given.place("list"), what="len", wanted="a list", got=describe(value))
        )
    return len(value)


def bernoulli(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`bernoulli(0.5)[N]`: true with this chance."""
    given = read(frame, "bernoulli", args, span, ["p"])
    chance = given.get("p")
    if isinstance(chance, (Axes, Size)) or not (is_number(chance) or isinstance(chance, Tensor)):
        raise Mistake(
            WrongKind(
                place=given.place("p"), what="bernoulli", wanted="a chance", got=describe(chance)
            )
        )
    if is_number(chance) and not isinstance(chance, Size) and not 0 <= chance <= 1:
        wanted, got = "a chance between 0 and 1", f"{chance:g}"
        place = given.place("p")
        raise Mistake(WrongKind(place=place, what="bernoulli", wanted=wanted, got=got))
    return Draw("bernoulli", chance)


def inference(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`inference(NET)(x)`: a model with `training` false."""
    given = read(frame, "inference", args, span, ["model"])
    model = given.get("model")
    if not isinstance(model, Instance) or not isinstance(model.decl, tree.Model):
        place = given.place("model")
        raise Mistake(
            WrongKindOfName(place=place, name=place.text, is_a=describe(model), wanted="a model")
        )
    return Inference(model)


def later(name: str) -> Any:
    """A function that comes with a later version."""

    def run(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
        raise Mistake(NotSupportedYet(place=span, what=f"`{name}`"))

    return run
