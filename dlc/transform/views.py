"""Rewrites of views, reductions and products."""

from __future__ import annotations

from collections.abc import Iterable

from dlc.graph import Axis, DType, Node, Size, product
from dlc.ops.build import cast, make, merge, pad, rename, size, slice, split, where
from dlc.ops.op import REGISTRY
from dlc.transform.rewrites import Rewrite, row

NARROW = frozenset(("f16", "bf16"))
EXTREMES = frozenset(("reduce_max", "reduce_min"))


def _rename_of_rename(node: Node, x: Node) -> Node | None:
    if x.op != "rename":
        return None
    first, then = dict(x.attrs["mapping"]), dict(node.attrs["mapping"])
    names = ((a, first.get(a, a)) for a in x.args[0].type.axes)
    return rename(x.args[0], {a: then.get(b, b) for a, b in names})


def _rename_of_nothing(node: Node, x: Node) -> Node | None:
    return x if all(a == b for a, b in node.attrs["mapping"]) else None


def _rename_of_broadcast(node: Node, x: Node) -> Node | None:
    if x.op != "broadcast":
        return None
    inner, names = x.args[0], dict(node.attrs["mapping"])
    return rename(inner, {a: names.get(a, a) for a in inner.type.axes})


def _window_that_tiles(node: Node, x: Node) -> Node | None:
    n = node.attrs
    taps = Size.of(n["size"])
    spread = taps.constant != 1 and Size.of(n["dilation"]).constant != 1
    if spread or Size.of(n["stride"]) != taps or not _unpadded(n["before"], n["after"]):
        return None
    tiles = x.type.size(n["axis"]).divide(taps)
    if tiles is None:
        return None
    parts = ((n["axis"], tiles), (n["tap"], taps))
    return make("split", (x,), {"axis": n["axis"], "parts": parts})


def _window_of_one(node: Node, x: Node) -> Node | None:
    """Windows of one element take every stride-th one."""
    n = node.attrs
    axis = n["axis"]
    if Size.of(n["size"]).constant != 1 or not _unpadded(n["before"], n["after"]):
        return None
    many = node.type.size(axis)
    taken = slice(x, axis, step=n["stride"], size=many)
    return split(taken, axis, ((axis, many), (n["tap"], 1)))


def _view_along_new_axes(node: Node, x: Node, *indices: Node) -> Node | None:
    """Along an axis that a broadcast made, all elements are the same."""
    if x.op != "broadcast":
        return None
    if node.op == "window" and not _unpadded(node.attrs["before"], node.attrs["after"]):
        return None
    inner = x.args[0]
    axes = node.attrs["axes"] if "axes" in node.attrs else (node.attrs["axis"],)
    return None if any(inner.type.has(a) for a in axes) else inner


def _split_of_split(node: Node, x: Node) -> Node | None:
    """A part of size 1 that is dropped is not made, also where other splits stand between."""
    axis, parts = node.attrs["axis"], node.attrs["parts"]
    if parts or x.op != "split" or not x.attrs["parts"]:
        return None
    if axis not in dict(x.attrs["parts"]):
        return split(split(x.args[0], axis, ()), x.attrs["axis"], x.attrs["parts"])
    rest = tuple((a, n) for a, n in x.attrs["parts"] if a != axis)
    return make("split", x.args, {"axis": x.attrs["axis"], "parts": rest})


def _without(x: Node, axes: Iterable[Axis]) -> Node:
    """`x` without axes of size 1."""
    for axis in axes:
        x = split(x, axis, ())
    return x


def _ones(node: Node, x: Node) -> tuple[list[Axis], tuple[Axis, ...]]:
    """The axes of size 1 among those that are reduced, and the others."""
    over = node.attrs["over"]
    ones = [a for a in over if x.type.size(a).constant == 1]
    return ones, tuple(a for a in over if a not in ones)


def _reduce_over_one(node: Node, x: Node) -> Node | None:
    ones, rest = _ones(node, x)
    return make(node.op, (_without(x, ones),), {"over": rest}) if ones else None


def _dot_over_one(node: Node, x: Node, y: Node) -> Node | None:
    ones, rest = _ones(node, x)
    return make("dot", (_without(x, ones), _without(y, ones)), {"over": rest}) if ones else None


def _unwindow_that_tiles(node: Node, x: Node) -> Node | None:
    n = node.attrs
    axis, tap = n["axis"], n["tap"]
    taps = x.type.size(tap)
    spread = taps.constant != 1 and Size.of(n["dilation"]).constant != 1
    if spread or Size.of(n["stride"]) != taps or not _unpadded(n["before"], n["after"]):
        return None
    if node.type.size(axis) != x.type.size(axis) * taps:
        return None
    return make("merge", (x,), {"axes": (axis, tap), "into": axis})


def _unwindow_of_one(node: Node, x: Node) -> Node | None:
    """Where windows have one element, a result is one of them or 0."""
    axis, tap, step = node.attrs["axis"], node.attrs["tap"], node.attrs["stride"]
    start, many = Size.of(node.attrs["before"]).constant, x.type.size(axis).constant
    wanted = node.type.size(axis).constant
    if x.type.size(tap).constant != 1 or start is None or many is None or wanted is None:
        return None
    length = min(many * step - start, wanted)
    if length <= 0:
        return None
    spread = merge(pad(x, tap, after=step - 1), (axis, tap), axis)
    return pad(slice(spread, axis, start=start, size=length), axis, after=wanted - length)


def _unpadded(before: int | Size, after: int | Size) -> bool:
    return Size.of(before) == Size() and Size.of(after) == Size()


def _slice_of_all(node: Node, x: Node) -> Node | None:
    whole = Size.of(node.attrs["start"]) == Size() and node.attrs["step"] == 1
    return x if whole and node.type == x.type else None


def _slice_of_slice(node: Node, x: Node) -> Node | None:
    a, b = x.attrs, node.attrs
    if x.op != "slice" or a["axis"] != b["axis"]:
        return None
    start = Size.of(a["start"]) + Size.of(b["start"]) * a["step"]
    attrs = {**b, "start": start, "step": a["step"] * b["step"]}
    return make("slice", x.args, attrs)


def _split_of_merge(node: Node, x: Node) -> Node | None:
    parts = node.attrs["parts"]
    if len(parts) == 1:
        return rename(x, {node.attrs["axis"]: parts[0][0]})
    if x.op != "merge" or x.attrs["into"] != node.attrs["axis"]:
        return None
    inner, axes = x.args[0], x.attrs["axes"]
    if tuple(inner.type.size(a) for a in axes) != tuple(Size.of(n) for _, n in parts):
        return None
    return rename(inner, {a: b for a, (b, _) in zip(axes, parts, strict=True)})


def _merge_of_split(node: Node, x: Node) -> Node | None:
    axes, into = node.attrs["axes"], node.attrs["into"]
    if len(axes) == 1:
        return rename(x, {axes[0]: into})
    if x.op != "split" or tuple(a for a, _ in x.attrs["parts"]) != axes:
        return None
    return rename(x.args[0], {x.attrs["axis"]: into})


def _reduce_of_broadcast(node: Node, x: Node) -> Node | None:
    """Only the axes that the operand has are reduced; a sum over others counts them."""
    if x.op != "broadcast":
        return None
    inner, over = x.args[0], node.attrs["over"]
    kept = tuple(a for a in over if inner.type.has(a))
    gone = [x.type.size(a) for a in over if not inner.type.has(a)]
    if gone and node.op not in EXTREMES | {"reduce_sum"}:
        return None
    if gone and node.op in EXTREMES and not all(n.at_least(1) for n in gone):
        return None
    if gone and node.type.dtype in NARROW:
        return None
    less = make(node.op, (inner,), {**node.attrs, "over": kept})
    if not gone or node.op in EXTREMES:
        return less
    return make("mul", (less, cast(size(product(gone)), node.type.dtype)))


def _reduce_of_none(node: Node, x: Node) -> Node | None:
    if node.attrs["over"]:
        return None
    return x


def _extreme_of_extreme(node: Node, x: Node) -> Node | None:
    if x.op != node.op:
        return None
    return make(node.op, x.args, {**node.attrs, "over": (*x.attrs["over"], *node.attrs["over"])})


def _dot_of_broadcast(node: Node, *args: Node) -> Node | None:
    """An operand need not be broadcast along axes that the product takes from the other one."""
    for i, arg in enumerate(args):
        if arg.op == "broadcast" and all(arg.args[0].type.has(a) for a in node.attrs["over"]):
            trial = [*args[:i], arg.args[0], *args[i + 1 :]]
            if REGISTRY["dot"].type([a.type for a in trial], node.attrs) == node.type:
                return make("dot", trial, node.attrs)
    return None


def _whole(node: Node, x: Node) -> Node | None:
    return x if x.type == node.type else None


def _broadcast_once(node: Node, x: Node) -> Node | None:
    return make("broadcast", x.args, node.attrs) if x.op == "broadcast" else None


def _pad_by_nothing(node: Node, x: Node) -> Node | None:
    return x if _unpadded(node.attrs["before"], node.attrs["after"]) else None


def _one_hot(node: Node, x: Node, *indices: Node) -> Node | None:
    """What is summed over no axis stands where the index is, and 0 stands elsewhere."""
    if node.attrs["over"]:
        return None
    here: Node | None = None
    for axis, index, n in zip(node.attrs["axes"], indices, node.attrs["sizes"], strict=True):
        wide: DType = "i64" if index.type.dtype == "i64" else "i32"
        place = make("index", (), {"axis": axis, "size": n})
        hit = make("eq", (cast(place, wide), cast(index, wide)))
        here = hit if here is None else make("and", (here, hit))
    return None if here is None else where(here, x, 0)


def _gather_of_map(node: Node, x: Node, *indices: Node) -> Node | None:
    """Picks before it computes, where fewer elements are picked than there are."""
    axes = node.attrs["axes"]
    picked = {a for i in indices for a in i.type.axes}
    computed = x.op in REGISTRY and REGISTRY[x.op].kind == "map"
    if not computed or not all(x.type.has(a) and a not in axes for a in picked):
        return None
    if any(a.type.has(axis) != a.type.has(axes[0]) for a in x.args for axis in axes):
        return None
    args = [make("gather", (a, *indices), node.attrs) if a.type.has(axes[0]) else a for a in x.args]
    return make(x.op, args, x.attrs)


def _outer_product(node: Node, x: Node, y: Node) -> Node | None:
    return None if node.attrs["over"] else make("mul", (x, y))


SUMS_AND_EXTREMES = "reduce_sum reduce_max reduce_min"
VIEWS: tuple[Rewrite, ...] = (
    row("rename", "rename(x, nothing) -> x", _rename_of_nothing),
    row("rename", "rename(rename(x)) -> rename(x)", _rename_of_rename),
    row("rename", "rename(broadcast(x)) -> broadcast(rename(x))", _rename_of_broadcast),
    row("broadcast", "broadcast(x, axes of x) -> x", _whole),
    row("broadcast", "broadcast(broadcast(x)) -> broadcast(x)", _broadcast_once),
    row("window", "window(x, stride=size) -> split(x)", _window_that_tiles),
    row("window", "window(x, size=1) -> split(x[::stride])", _window_of_one),
    row(
        "slice split merge window gather", "view(broadcast(x)) along new axes -> broadcast(x)",
        _view_along_new_axes,
    ),
    row("split", "split(split(x, A -> (B, C=1)), C -> ()) -> split(x, A -> B)", _split_of_split),
    row("unwindow", "unwindow(x, stride=size) -> merge(x)", _unwindow_that_tiles),
    row("unwindow", "unwindow(x, one tap) -> merge(pad(x))[a:b]", _unwindow_of_one),
    row("slice", "x[all] -> x", _slice_of_all),
    row("slice", "x[a][b] -> x[c]", _slice_of_slice),
    row("pad", "pad(x, 0) -> x", _pad_by_nothing),
    row("scatter", "scatter(x, i, over nothing) -> where(index == i, x, 0)", _one_hot),
    row("gather", "gather(f(x), i) -> f(gather(x, i))", _gather_of_map),
    row("split", "split(merge(x)) -> x", _split_of_merge),
    row("merge", "merge(split(x)) -> x", _merge_of_split),
    row("concat", "concat([x]) -> x", lambda n, *xs: xs[0] if len(xs) == 1 else None),
    row(SUMS_AND_EXTREMES, "reduce(x, over nothing) -> x", _reduce_of_none),
    row(
        SUMS_AND_EXTREMES + " argmax argmin", "reduce(broadcast(x)) -> reduce(x)",
        _reduce_of_broadcast, exact=False,
    ),
    row(SUMS_AND_EXTREMES, "reduce(x, over an axis of size 1) -> x without it", _reduce_over_one),
    row("dot", "dot(x, y, over an axis of size 1) -> dot without it", _dot_over_one),
    row("reduce_max reduce_min", "max(max(x)) -> max(x)", _extreme_of_extreme),
    row("dot", "dot(x, y, over nothing) -> x * y", _outer_product),
    row("dot", "dot(broadcast(x), y) -> dot(x, y)", _dot_of_broadcast, exact=False),
)  # fmt: skip
