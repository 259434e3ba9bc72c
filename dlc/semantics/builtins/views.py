"""Views and what rearranges tensors: rename, split, merge, pad, windows, concat, stack."""

from __future__ import annotations

from dlc.diagnostics import Label, Span
from dlc.diagnostics.axes import (
    AxisTwice,
    GroupLength,
    OneAxisNeeded,
    SizeUnknown,
    SplitMismatch,
    TwoSizes,
)
from dlc.diagnostics.calls import NotAWindow
from dlc.diagnostics.placed import counted
from dlc.diagnostics.types import WrongKind
from dlc.graph import Axis, Node, Size, SizeCheck, TensorType, product
from dlc.semantics.builtins.reading import Read, read
from dlc.semantics.calls import Arguments
from dlc.semantics.elementwise import common_dtype, to_node
from dlc.semantics.indexing import require_axis
from dlc.semantics.lookup import lookup_axes
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame, Mistake, Silent
from dlc.semantics.sizes import as_size, meet, numeric, same_size
from dlc.semantics.values import POISON, Arrow, Tensor, Value, describe, is_number, show_axes


def rename(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`rename(x, T -> S)`."""
    given = read(frame, "rename", args, span, ["x"], arrows=len(args.arrows))
    x = given.tensor("x")
    if not args.arrows:
        raise Mistake(NotAWindow(place=span, what="rename", form="`rename(x, T -> S)`"))
    mapping: dict[Axis, Axis] = {}
    for arrow in args.arrows:
        old, new = len(arrow.source.items), len(arrow.target.items)
        if old != new:
            left, right = counted(new, "new axis", "new axes"), counted(old, "axis", "axes")
            raise Mistake(
                GroupLength(place=arrow.target_span, what="rename", left=left, right=right)
            )
        for k, axis in enumerate(arrow.source.items):
            require_axis(x, axis, arrow.source_span, "the tensor in rename")
            mapping[axis] = arrow.target.items[k]
            _check_written(frame, arrow, k, x.node, axis, arrow.target_span)
    distinct([mapping.get(a, a) for a in x.type.axes], "the result of rename", span)
    changed = tuple((a, b) for a, b in mapping.items() if a != b)
    return frame.tensor("rename", (x.node,), span, mapping=changed) if changed else x


def _check_written(frame: Frame, arrow: Arrow, k: int, node: Node, axis: Axis, span: Span) -> None:
    size = arrow.sizes[k]
    if arrow.written[k] and size is not None:
        same_size(frame, axis, (node, node.type.size(axis)), (node, size), span)


def distinct(axes: list[Axis], what: str, span: Span) -> None:
    """Raise Mistake if an axis stands twice."""
    for axis in axes:
        if axes.count(axis) > 1:
            raise Mistake(AxisTwice(place=span, axis=axis.name, what=what))


def split(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`split(x, C -> (H=4, E))`: one size may be left out."""
    given = read(frame, "split", args, span, ["x"], arrows=1)
    x, arrow = given.tensor("x"), given.arrow("`split(x, C -> (H=4, E))`")
    axis = _single(arrow, "split")
    require_axis(x, axis, arrow.source_span, "the tensor in split")
    sizes = list(arrow.sizes)
    for k, part in enumerate(arrow.target.items):
        if part == axis and not arrow.written[k]:
            sizes[k] = None
    parts = _solve(frame, arrow, x, axis, sizes)
    others = [a for a in x.type.axes if a != axis]
    distinct([*others, *arrow.target.items], "the result of split", span)
    dims = tuple(zip(arrow.target.items, parts, strict=True))
    return frame.tensor("split", (x.node,), span, axis=axis, parts=dims)


def _single(arrow: Arrow, what: str) -> Axis:
    if len(arrow.source.items) != 1:
        left = f"the left of `->` in {what}"
        count = len(arrow.source.items)
        raise Mistake(OneAxisNeeded(place=arrow.source_span, what=left, count=count))
    return arrow.source.items[0]


def _solve(
    frame: Frame, arrow: Arrow, x: Tensor, axis: Axis, sizes: list[Size | None]
) -> list[Size]:
    whole = x.type.size(axis)
    known = product([n for n in sizes if n is not None])
    open_ = [k for k, n in enumerate(sizes) if n is None]
    shown = show_axes(arrow.target.items)
    if len(open_) > 1:
        name = arrow.target.items[open_[1]].name
        hint = "one size may be left out; write the others: `(H=4, E)`"
        raise Mistake(SizeUnknown(place=arrow.target_span, axis=name, hint=hint))
    wrong = SplitMismatch(
        place=arrow.target_span, axis=axis.name, size=str(whole),
        hint="the product of the parts must be the size of the axis",
        parts=f"{shown} of sizes {' x '.join('?' if n is None else str(n) for n in sizes)}",
    )  # fmt: skip
    if not open_:
        verdict = whole.compare(known)
        if verdict == "different":
            raise Mistake(wrong)
        if verdict == "unknown":
            message = f"axis {axis.name} is split into {shown}"
            frame.build.check(
                SizeCheck(whole, "==", known, message, frame.spans(arrow.target_span))
            )
        return [n for n in sizes if n is not None]
    part = whole.divide(known)
    if part is None:
        if whole.constant is not None and known.constant is not None:
            raise Mistake(wrong)
        message = f"axis {axis.name} is split into {shown}"
        frame.build.check(
            SizeCheck(whole, "divisible", known, message, frame.spans(arrow.target_span))
        )
        part = whole // known
    return [part if n is None else n for n in sizes]


def merge(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`merge(x, (Y, X) -> P)`: the first named is outermost."""
    given = read(frame, "merge", args, span, ["x"], arrows=1)
    x, arrow = given.tensor("x"), given.arrow(form := "`merge(x, (Y, X) -> P)`")
    for axis in arrow.source.items:
        require_axis(x, axis, arrow.source_span, "the tensor in merge")
    if len(arrow.target.items) != 1:
        what, count = "the right of `->` in merge", len(arrow.target.items)
        raise Mistake(
            OneAxisNeeded(place=arrow.target_span, what=what, count=count, hint=f"write {form}")
        )
    if not arrow.source.items:
        raise Mistake(NotAWindow(place=arrow.source_span, what="merge", form=form))
    into = arrow.target.items[0]
    rest = [a for a in x.type.axes if a not in arrow.source.items]
    distinct([*rest, into], "the result of merge", span)
    out = frame.tensor("merge", (x.node,), span, axes=arrow.source.items, into=into)
    _check_written(frame, arrow, 0, out.node, into, arrow.target_span)
    return out


def flip(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`flip(x, T)`."""
    given = read(frame, "flip", args, span, ["x", "over"])
    x = given.tensor("x")
    for axis in given.axes("over").items:
        require_axis(x, axis, given.place("over"), "the tensor in flip")
        n = x.type.size(axis)
        x = frame.tensor("slice", (x.node,), span, axis=axis, start=n - 1, step=-1, size=n)
    return x


def fill_value(frame: Frame, given: Read, x: Tensor) -> float:
    """The `value=` put around a tensor, in its dtype."""
    value = numeric(frame, given.get("value", 0), given.place("value"))
    frame.machine.fix(value)
    value = float(value) if isinstance(value, float) else value
    if not isinstance(value, (int, float)):
        what = f"value of {given.callee}"
        raise Mistake(
            WrongKind(place=given.place("value"), what=what, wanted="a number", got=describe(value))
        )
    node = to_node(frame, value, x.type.dtype, given.place("value"))
    return node.attrs["value"] if node.op == "const" else float(value)


def pad(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`pad(x, T=(1, 0), value=0)`."""
    given = read(frame, "pad", args, span, ["x"], ["value"], free=True)
    x = given.tensor("x")
    value = fill_value(frame, given, x)
    for name, (amount, place) in given.values.items():
        if name in ("x", "value"):
            continue
        group = lookup_axes(machine, frame, name, place)
        for axis in group.items:
            require_axis(x, axis, place, "the tensor in pad")
            before, after = pair(frame, amount, place)
            attrs = {"axis": axis, "before": before, "after": after, "value": value}
            x = frame.tensor("pad", (x.node,), span, **attrs)
    return x


def pair(frame: Frame, amount: Value, span: Span) -> tuple[Size, Size]:
    """A pad as (before, after): a number is both."""
    parts = amount if isinstance(amount, (tuple, list)) else (amount, amount)
    if len(parts) != 2:
        left = counted(len(parts), "value", "values")
        hint = "write one number for both sides, or (before, after)"
        raise Mistake(GroupLength(place=span, what="a pad", left=left, right="2 sides", hint=hint))
    before, after = (as_size(frame, p, span, least=0) for p in parts)
    return before, after


def concat(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`concat([a, b], over=C)`; axes that one lacks are broadcast."""
    given = read(frame, "concat", args, span, ["xs", "over"])
    axis = given.axis("over")
    nodes = _listed(frame, given)
    for node in nodes:
        require_axis(Tensor(node), axis, given.place("xs"), "a tensor in concat")
    meet(frame, nodes, span, frozenset({axis}))
    dims = _union(nodes)
    wide = [
        _broadcast(frame, n, [(a, n.type.size(a) if a == axis else m) for a, m in dims], span)
        for n in nodes
    ]
    return frame.tensor("concat", wide, span, axis=axis) if len(wide) > 1 else Tensor(wide[0])


def stack(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`stack([a, b], axis=S)`: along a new, first axis."""
    given = read(frame, "stack", args, span, ["xs", "axis"])
    axis = given.axis("axis")
    nodes = _listed(frame, given)
    if any(n.type.has(axis) for n in nodes):
        raise Mistake(AxisTwice(place=given.place("axis"), axis=axis.name, what="the stack"))
    _check_count(frame, axis, len(nodes), given.place("axis"))
    meet(frame, nodes, span)
    dims = [(axis, Size.of(1)), *_union(nodes)]
    wide = [_broadcast(frame, n, dims, span) for n in nodes]
    return frame.tensor("concat", wide, span, axis=axis) if len(wide) > 1 else Tensor(wide[0])


def _check_count(frame: Frame, axis: Axis, count: int, span: Span) -> None:
    size = frame.given_sizes.get(axis)
    size = size if size is not None else frame.machine.declared_size(frame.file, axis)
    if size is not None and size.compare(count) == "different":
        place = frame.machine.axis_places.get(axis)
        notes = (Label(place, f"{axis.name} is {size} by its declaration"),) if place else ()
        raise Mistake(
            TwoSizes(place=span, axis=axis.name, left=str(size), right=str(count), notes=notes)
        )


def _listed(frame: Frame, given: Read) -> list[Node]:
    values, span = given.get("xs"), given.place("xs")
    if not isinstance(values, (list, tuple)) or not values:
        wanted, got = "a list of tensors", describe(values)
        if isinstance(values, list):
            got = "an empty list"
        what = given.callee
        raise Mistake(WrongKind(place=span, what=what, wanted=wanted, got=got))
    values = [numeric(frame, v, span) for v in values]
    if any(value is POISON for value in values):
        raise Silent
    for value in values:
        if not isinstance(value, (Tensor, bool)) and not is_number(value):
            what, got = given.callee, describe(value)
            raise Mistake(WrongKind(place=span, what=what, wanted="tensors", got=got))
    bools = all(isinstance(v, Tensor) and v.type.dtype == "bool" for v in values)
    dtype = common_dtype(tuple(values), span, arithmetic=not bools)
    return [to_node(frame, v, dtype, span) for v in values]


def _union(nodes: list[Node]) -> list[tuple[Axis, Size]]:
    dims: dict[Axis, Size] = {}
    for node in nodes:
        for axis, size in node.type.dims:
            dims.setdefault(axis, size)
    return list(dims.items())


def _broadcast(frame: Frame, node: Node, dims: list[tuple[Axis, Size]], span: Span) -> Node:
    if TensorType(node.type.dtype, tuple(dims)) == node.type:
        return node
    return frame.node("broadcast", (node,), span, dims=tuple(dims))
