"""Views: other axes over the same elements, and concatenation. Nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlc.graph import Axis, Node, Size, TensorType, product
from dlc.ops import build as b
from dlc.ops.arrays import permuted, shape_of, stored
from dlc.ops.late import Late
from dlc.ops.op import Array, Attrs, Backward, Index, Op, Read, Sample, TypeRuleError, ViewCode
from dlc.ops.rules import ANY, count, meet, number, one_dtype, size_of, tensor
from dlc.ops.samples import C, H, K, N, P, T, dims, floats, whole

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")

Arrays = Sequence[Array]
Types = Sequence[TensorType]


def _broadcast_type(types: Types, attrs: Attrs) -> TensorType:
    count("broadcast", types, 1)
    out = tensor(types[0].dtype, attrs["dims"])
    for axis, size in types[0].dims:
        meet(axis, size_of("the result of broadcast", out, axis), size)
    return out


def _broadcast(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    return np.broadcast_to(permuted(arrays[0], types[0].axes, result.axes), shape_of(result))


broadcast = Op(
    name="broadcast",
    doc="The same elements repeated along new axes, in another order of the axes.",
    kind="view",
    type=_broadcast_type,
    meaning=_broadcast,
    gradient=lambda r: (b.sum_to(r.cotangent, r.args[0].type),),
    code=ViewCode(lambda attrs, types, out, at: (Read(0, {a: at[a] for a in types[0].axes}),)),
    samples=(
        Sample((floats(N=5, K=7),), {"dims": dims(K=7, H=3, N=5)}),
        Sample((floats(),), {"dims": dims(N=5, K=7)}),
    ),
)


def _rename_type(types: Types, attrs: Attrs) -> TensorType:
    count("rename", types, 1)
    names = dict(attrs["mapping"])
    for old in names:
        size_of("rename", types[0], old)
    return tensor(types[0].dtype, ((names.get(a, a), n) for a, n in types[0].dims))


def _rename_reads(attrs: Attrs, types: Types, out: TensorType, at: Index) -> tuple[Read, ...]:
    names = dict(attrs["mapping"])
    return (Read(0, {a: at[names.get(a, a)] for a in types[0].axes}),)


rename = Op(
    name="rename",
    doc="Other names for axes.",
    kind="view",
    type=_rename_type,
    meaning=lambda arrays, types, result, attrs: arrays[0],
    gradient=lambda r: (b.rename(r.cotangent, {new: old for old, new in r.attrs["mapping"]}),),
    code=ViewCode(_rename_reads),
    samples=(
        Sample((floats(N=5, K=7),), {"mapping": ((K, H),)}),
        Sample((floats(N=5, K=7),), {"mapping": ((K, N), (N, K))}),
    ),
)


def _split_type(types: Types, attrs: Attrs) -> TensorType:
    count("split", types, 1)
    axis, parts = attrs["axis"], tuple(attrs["parts"])
    whole = product([n for _, n in parts])
    have = size_of("split", types[0], axis)
    if have.compare(whole) == "different":
        raise TypeRuleError(f"axis {axis} of size {have} cannot be split into {whole}", axis)
    dims: list[tuple[Axis, Size]] = []
    for a, n in types[0].dims:
        dims += parts if a == axis else [(a, n)]
    return tensor(types[0].dtype, dims)


def _split_reads(attrs: Attrs, types: Types, out: TensorType, at: Index) -> tuple[Read, ...]:
    index = {a: at[a] for a in types[0].axes if a != attrs["axis"]}
    return (Read(0, {**index, attrs["axis"]: _linear(attrs["parts"], at)}),)


def _linear(parts: Sequence[tuple[Axis, Size]], at: Index) -> Any:
    """The index into the merged axis; 0 for no parts."""
    total: Any = None
    for axis, size in parts:
        total = at[axis] if total is None else total * number(size) + at[axis]
    return 0 if total is None else total


split = Op(
    name="split",
    doc="One axis as several in its place, the first of them outermost.",
    kind="view",
    type=_split_type,
    meaning=lambda arrays, types, result, attrs: arrays[0].reshape(shape_of(result)),
    gradient=lambda r: (_split_gradient(r),),
    code=ViewCode(_split_reads),
    samples=(
        Sample((floats(N=5, K=6),), {"axis": K, "parts": dims(H=2, C=3)}),
        Sample((floats(K=6, N=5),), {"axis": K, "parts": dims(K=3, H=2)}),
        Sample((floats(K=1, N=5),), {"axis": K, "parts": ()}),
    ),
)


def _split_gradient(r: Backward) -> Node:
    axis, parts = r.attrs["axis"], [a for a, _ in r.attrs["parts"]]
    if not parts:
        return b.to_type(r.cotangent, r.args[0].type)
    return b.to_type(b.merge(r.cotangent, parts, axis), r.args[0].type)


def _merge_type(types: Types, attrs: Attrs) -> TensorType:
    count("merge", types, 1)
    parts, into = attrs["axes"], attrs["into"]
    if not parts:
        raise TypeRuleError("merge takes at least one axis")
    size = product([size_of("merge", types[0], a) for a in parts])
    if len(set(parts)) != len(parts):
        raise TypeRuleError(f"merge names an axis twice: {parts}")
    first = next(a for a in types[0].axes if a in parts)
    kept = [(a, n) for a, n in types[0].dims if a == first or a not in parts]
    return tensor(types[0].dtype, ((into, size) if a == first else (a, n) for a, n in kept))


def _merge(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    order: list[Axis] = []
    for axis in result.axes:
        order += attrs["axes"] if axis == attrs["into"] else [axis]
    return permuted(arrays[0], types[0].axes, order).reshape(shape_of(result))


def _merge_reads(attrs: Attrs, types: Types, out: TensorType, at: Index) -> tuple[Read, ...]:
    parts, into = attrs["axes"], attrs["into"]
    index = {a: at[a] for a in types[0].axes if a not in parts}
    rest = at[into]
    for axis in reversed(parts[1:]):
        n = number(types[0].size(axis))
        index[axis], rest = rest % n, rest // n
    index[parts[0]] = rest
    return (Read(0, index),)


def _merge_gradient(r: Backward) -> tuple[Node, ...]:
    x = r.args[0].type
    parts = [(a, x.size(a)) for a in r.attrs["axes"]]
    return (b.to_type(b.split(r.cotangent, r.attrs["into"], parts), x),)


merge = Op(
    name="merge",
    doc="Several axes as one, the first named outermost; it stands where the first of them stood.",
    kind="view",
    type=_merge_type,
    meaning=_merge,
    gradient=_merge_gradient,
    code=ViewCode(_merge_reads),
    samples=(
        Sample((floats(N=5, H=2, C=3),), {"axes": (H, C), "into": K}),
        Sample((floats(N=5, H=2, C=3),), {"axes": (C, N), "into": P}),
        Sample((floats(N=5, H=2, C=3),), {"axes": (H, N, C), "into": N}),
        Sample((floats(N=5, H=2),), {"axes": (H,), "into": K}),
    ),
)


def _resized(x: TensorType, axis: Axis, size: Size) -> TensorType:
    return tensor(x.dtype, ((a, size if a == axis else n) for a, n in x.dims))


def _slice_type(types: Types, attrs: Attrs) -> TensorType:
    count("slice", types, 1)
    axis, size, step = attrs["axis"], Size.of(attrs["size"]), attrs["step"]
    have, start = size_of("slice", types[0], axis), Size.of(attrs["start"])
    if step == 0:
        raise TypeRuleError("the step of a slice is not 0", axis)
    n, first, total = size.constant, start.constant, have.constant
    if n is not None and n < 0:
        raise TypeRuleError(f"axis {axis} would have size {n}", axis)
    if n and first is not None and total is not None:
        last = first + (n - 1) * step
        if min(first, last) < 0 or max(first, last) >= total:
            raise TypeRuleError(f"the slice leaves axis {axis} of size {total}", axis)
    return _resized(types[0], axis, size)


def _slice(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    place = result.axes.index(attrs["axis"])
    start = number(attrs["start"])
    chosen = start + np.arange(shape_of(result)[place]) * attrs["step"]
    return np.asarray(np.take(arrays[0], chosen, axis=place))


def _slice_reads(attrs: Attrs, types: Types, out: TensorType, at: Index) -> tuple[Read, ...]:
    axis = attrs["axis"]
    place = at[axis] if attrs["step"] == 1 else at[axis] * attrs["step"]
    if number(attrs["start"]) != 0:
        place = place + number(attrs["start"])
    return (Read(0, {**{a: at[a] for a in types[0].axes}, axis: place}),)


def _slice_gradient(r: Backward) -> tuple[Node, ...]:
    axis, step, start = r.attrs["axis"], r.attrs["step"], Size.of(r.attrs["start"])
    n = r.args[0].type.size(axis)
    if step > 0:
        return (_spread(r.cotangent, axis, start, step, n),)
    spread = _spread(r.cotangent, axis, n - 1 - start, -step, n)
    return (b.flip(spread, axis),)


def _spread(g: Node, axis: Axis, start: Size, step: int, n: Size) -> Node:
    """The elements of g at start, start + step, ... of an axis of size n, 0 elsewhere."""
    if step == 1:
        return b.pad(g, axis, before=start, after=n - start - g.type.size(axis))
    tap = fresh_axis("tap", g.type)
    one = b.broadcast(g, (*g.type.dims, (tap, 1)))
    return b.pad(b.unwindow(one, axis, tap, n - start, stride=step), axis, before=start)


def fresh_axis(name: str, type: TensorType) -> Axis:
    """An axis that the type lacks."""
    scope = 1 + max((a.scope for a in type.axes if a.name == name), default=0)
    return Axis(name, scope)


slice = Op(
    name="slice",
    doc="Elements start, start + step, ... of an axis; the step may be negative.",
    kind="view",
    type=_slice_type,
    meaning=_slice,
    gradient=_slice_gradient,
    code=ViewCode(_slice_reads),
    samples=tuple(
        Sample(
            (floats(N=5, K=7),),
            {"axis": K, "start": Size.of(start), "step": step, "size": Size.of(size)},
        )
        for start, step, size in (
            (2, 1, 4), (0, 2, 4), (1, 2, 3), (1, 3, 2), (6, -1, 7), (5, -2, 3), (3, -1, 2),
            (3, 1, 1), (2, 1, 0), (0, 5, 1),
        )
    ),
)  # fmt: skip


def _pad_type(types: Types, attrs: Attrs) -> TensorType:
    count("pad", types, 1)
    axis, before, after = attrs["axis"], Size.of(attrs["before"]), Size.of(attrs["after"])
    for amount in (before, after):
        if (amount.constant or 0) < 0:
            raise TypeRuleError(f"pad of axis {axis} by {amount}", axis)
    return _resized(types[0], axis, size_of("pad", types[0], axis) + before + after)


def _pad(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    place = result.axes.index(attrs["axis"])
    width = [(0, 0)] * len(result.axes)
    width[place] = (number(attrs["before"]), number(attrs["after"]))
    return np.pad(arrays[0], width, constant_values=stored(attrs["value"], result.dtype))


def _pad_reads(attrs: Attrs, types: Types, out: TensorType, at: Index) -> tuple[Read, ...]:
    axis = attrs["axis"]
    place = at[axis] + number(-Size.of(attrs["before"]))
    index = {**{a: at[a] for a in types[0].axes}, axis: place}
    return (Read(0, index, ((place, types[0].size(axis)),)),)


def _pad_gradient(r: Backward) -> tuple[Node, ...]:
    axis = r.attrs["axis"]
    n = r.args[0].type.size(axis)
    return (b.slice(r.cotangent, axis, start=r.attrs["before"], size=n),)


pad = Op(
    name="pad",
    doc="An axis with a value put before and after.",
    kind="view",
    type=_pad_type,
    meaning=_pad,
    gradient=_pad_gradient,
    code=ViewCode(_pad_reads),
    samples=tuple(
        Sample(
            (floats(N=5, K=7),),
            {"axis": K, "before": Size.of(before), "after": Size.of(after), "value": value},
        )
        for before, after, value in ((2, 1, 0), (0, 3, 1.5), (1, 0, 2))
    ),
)


def _concat_type(types: Types, attrs: Attrs) -> TensorType:
    axis = attrs["axis"]
    if not types:
        raise TypeRuleError("concat takes at least one operand", axis)
    dtype = one_dtype("concat", types, ANY)
    total = Size()
    for type in types:
        total = total + size_of("concat", type, axis)
        for a in {*types[0].axes, *type.axes} - {axis}:
            meet(a, size_of("concat", types[0], a), size_of("concat", type, a))
    return _resized(types[0].cast(dtype), axis, total)


def _concat(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    turned = [permuted(a, t.axes, result.axes) for a, t in zip(arrays, types, strict=True)]
    return np.concatenate(turned, axis=result.axes.index(attrs["axis"]))


def _concat_reads(attrs: Attrs, types: Types, out: TensorType, at: Index) -> tuple[Read, ...]:
    axis, reads, offset = attrs["axis"], [], Size()
    for k, type in enumerate(types):
        place = at[axis] + number(-offset)
        index = {**{a: at[a] for a in type.axes}, axis: place}
        reads.append(Read(k, index, ((place, type.size(axis)),)))
        offset = offset + type.size(axis)
    return tuple(reads)


def _concat_gradient(r: Backward) -> tuple[Node, ...]:
    axis, parts, offset = r.attrs["axis"], [], Size()
    for x in r.args:
        n = x.type.size(axis)
        part = b.slice(r.cotangent, axis, start=offset, size=n)
        parts.append(b.to_type(part, x.type))
        offset = offset + n
    return tuple(parts)


concat = Op(
    name="concat",
    doc="Tensors one after the other along an axis; their other axes agree by name.",
    kind="view",
    type=_concat_type,
    meaning=_concat,
    gradient=_concat_gradient,
    code=ViewCode(_concat_reads),
    samples=(
        Sample((floats(N=5, K=7), floats(K=2, N=5), floats(N=5, K=1)), {"axis": K}),
        Sample((floats(N=5, K=7),), {"axis": N}),
        Sample((whole(T=3), whole(T=2)), {"axis": T}, draw="integers"),
    ),
)
