"""Reading and adding at integer indices, by axis name, and sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlc.graph import INTEGERS, Axis, Node, Size, TensorType
from dlc.ops import build as b
from dlc.ops.arrays import permuted, shape_of, stored, working
from dlc.ops.late import Late
from dlc.ops.op import NO_GRADIENT, Array, Attrs, Backward, Op, Sample, TypeRuleError
from dlc.ops.rules import ANY, NUMBERS, count, distinct, meet, one_dtype, size_of, tensor, union
from dlc.ops.samples import K, N, P, S, T, floats, whole

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")

Arrays = Sequence[Array]
Types = Sequence[TensorType]


def _indices(name: str, types: Types, axes: Sequence[Axis]) -> Types:
    if len(types) != 1 + len(axes) or not axes:
        raise TypeRuleError(f"{name} takes one index for each of the axes {axes}")
    distinct(name, axes)
    for type in types[1:]:
        one_dtype(f"the index of {name}", (type,), INTEGERS)
    return types[1:]


def _gather_type(types: Types, attrs: Attrs) -> TensorType:
    axes = attrs["axes"]
    indices = _indices("gather", types, axes)
    x = types[0]
    for axis in axes:
        size_of("gather", x, axis)
    first = min(x.axes.index(a) for a in axes)
    sizes = union(indices)
    before = [(a, n) for a, n in x.dims[:first] if a not in axes]
    others = [(a, n) for a, n in x.dims[first:] if a not in axes]
    for axis, size in (*before, *others):
        if axis in sizes:
            meet(axis, sizes[axis], size)
    return tensor(x.dtype, dict([*before, *sizes.items(), *others]).items())


def _gather(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    shape, order = shape_of(result), result.axes
    places = dict(zip(attrs["axes"], zip(arrays[1:], types[1:], strict=True), strict=True))
    if not all(types[0].size(a).constant for a in places):
        return np.zeros(shape, arrays[0].dtype)
    at = []
    for axis, n in zip(types[0].axes, arrays[0].shape, strict=True):
        if axis in places:
            array, type = places[axis]
            at.append(np.clip(permuted(array, type.axes, order).astype(np.int64), 0, n - 1))
        else:
            at.append(np.arange(n).reshape([-1 if a == axis else 1 for a in order]))
    return np.broadcast_to(arrays[0][tuple(at)], shape)


def _gather_gradient(r: Backward) -> Sequence[Node | None]:
    """Adds the cotangent where its elements were read; the indices are clamped as they were."""
    x, axes = r.args[0].type, r.attrs["axes"]
    sizes = [x.size(a) for a in axes]
    clamped = [_clamp(i, n) for i, n in zip(r.args[1:], sizes, strict=True)]
    own = dict.fromkeys(a for i in r.args[1:] for a in i.type.axes)
    over = [a for a in own if a in axes or not x.has(a)]
    spread = b.scatter(r.cotangent, clamped, axes, sizes, over)
    return (b.to_type(spread, x), *[None] * len(axes))


def _clamp(i: Node, n: Size) -> Node:
    last = b.cast(b.size(n - 1), i.type.dtype)
    low = i if i.type.dtype == "u8" else b.maximum(i, 0)
    return b.minimum(low, last)


gather = Op(
    name="gather",
    doc="x at integer indices, one for each named axis: its other axes with the indices' in place"
    " of the named ones, axes that both have matched; an index outside is clamped.",
    kind="gather",
    type=_gather_type,
    meaning=_gather,
    gradient=_gather_gradient,
    code=None,
    samples=(
        Sample((floats(N=5, K=7), whole(N=5)), {"axes": (K,)}, draw="indices"),
        Sample((floats(K=7, H=3), whole(N=2, T=4)), {"axes": (K,)}, draw="indices"),
        Sample((floats(N=5, T=4), whole(T=4)), {"axes": (T,)}, draw="indices"),
        Sample((floats(N=5, S=4, T=4), whole(T=4)), {"axes": (S,)}, draw="indices"),
        Sample((floats(H=2, N=5, K=7), whole(P=3), whole(P=3)), {"axes": (K, N)}, draw="indices"),
        Sample((floats(N=5, K=7), whole()), {"axes": (K,)}, draw="indices"),
    ),
)


def _scatter_type(types: Types, attrs: Attrs) -> TensorType:
    axes, over = attrs["axes"], distinct("scatter", attrs["over"])
    _indices("scatter", types, axes)
    one_dtype("scatter", types[:1], NUMBERS)
    dims = union(types)
    for axis in over:
        if axis not in dims:
            raise TypeRuleError(f"scatter over axis {axis}, which no operand has", axis)
    new = list(zip(axes, map(Size.of, attrs["sizes"]), strict=True))
    first = next((i for i, a in enumerate(dims) if a in over), 0)
    ordered = list(dims.items())
    kept = [[d for d in part if d[0] not in over] for part in (ordered[:first], ordered[first:])]
    return tensor(types[0].dtype, [*kept[0], *new, *kept[1]])


def _scatter(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    axes, over = attrs["axes"], attrs["over"]
    dims = union(types)
    kept = [a for a in dims if a not in over]
    batch = [a for a in kept if any(t.has(a) for t in types[1:])]
    free = [a for a in kept if a not in batch]
    places = [dims[a].constant or 0 for a in (*batch, *over)]
    x = permuted(working(arrays[0], types[0].dtype), types[0].axes, [*batch, *over, *free])
    x = np.broadcast_to(x, [*places, *(dims[a].constant or 0 for a in free)])
    indices = [
        np.broadcast_to(permuted(i, t.axes, [*batch, *over]), places)
        for i, t in zip(arrays[1:], types[1:], strict=True)
    ]
    sizes = [Size.of(n).constant or 0 for n in attrs["sizes"]]
    out = np.zeros([*places[: len(batch)], *sizes, *x.shape[len(places) :]], x.dtype)
    inside = np.ones(places, np.bool_)
    for i, n in zip(indices, sizes, strict=True):
        inside &= (i >= 0) & (i < n)
    rows = [grid[inside] for grid in np.indices(places)[: len(batch)]]
    with np.errstate(all="ignore"):
        np.add.at(out, (*rows, *(i[inside].astype(np.int64) for i in indices)), x[inside])
    return stored(permuted(out, [*batch, *axes, *free], result.axes), result.dtype)


def _scatter_gradient(r: Backward) -> Sequence[Node | None]:
    """Reads the cotangent back; what lay outside added nothing and gets 0."""
    axes, sizes = r.attrs["axes"], r.attrs["sizes"]
    indices = r.args[1:]
    inside: Node | None = None
    for i, n in zip(indices, sizes, strict=True):
        last = b.cast(b.size(n), i.type.dtype)
        both = b.and_(b.ge(i, 0), b.lt(i, last))
        inside = both if inside is None else b.and_(inside, both)
    assert inside is not None
    read = b.gather(r.cotangent, indices, axes)
    return (b.where(inside, read, 0), *[None] * len(axes))


scatter = Op(
    name="scatter",
    doc="The adjoint of gather: result[K=k] is the sum of x, over the named axes, where the index"
    " is k; an index outside adds nothing. Sums run along the named axes in order, the last"
    " innermost. The new axes stand where the first summed axis stood.",
    kind="scatter",
    type=_scatter_type,
    meaning=_scatter,
    gradient=_scatter_gradient,
    code=None,
    samples=(
        Sample(
            (floats(N=5), whole(N=5)), {"axes": (K,), "sizes": (Size.of(7),), "over": (N,)},
            draw="indices",
        ),
        Sample(
            (floats(N=2, T=4, H=3), whole(N=2, T=4)),
            {"axes": (K,), "sizes": (Size.of(5),), "over": (N, T)},
            draw="indices",
        ),
        Sample(
            (floats(N=2, T=4), whole(N=2, T=4)),
            {"axes": (K,), "sizes": (Size.of(5),), "over": (T,)},
            draw="indices",
        ),
        Sample(
            (floats(T=4), whole(T=4)), {"axes": (S,), "sizes": (Size.of(4),), "over": ()},
            draw="indices",
        ),
        Sample(
            (floats(H=2, P=6), whole(P=6), whole(P=6)),
            {"axes": (K, N), "sizes": (Size.of(3), Size.of(2)), "over": (P,)},
            draw="indices",
        ),
        Sample(
            (floats(), whole(N=5)), {"axes": (K,), "sizes": (Size.of(3),), "over": (N,)},
            draw="indices",
        ),
    ),
)  # fmt: skip


def _argsort_type(types: Types, attrs: Attrs) -> TensorType:
    count("argsort", types, 1)
    if len(attrs["over"]) != 1:
        raise TypeRuleError("argsort sorts along one axis")
    size_of("argsort", types[0], attrs["over"][0])
    one_dtype("argsort", types, ANY)
    return types[0].cast("i32")


def _argsort(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    axis = types[0].axes.index(attrs["over"][0])
    return np.argsort(arrays[0], axis=axis, kind="stable").astype(np.int32)


argsort = Op(
    name="argsort",
    doc="The order that sorts an axis, smallest first and NaN last; equals keep their order.",
    kind="sort",
    type=_argsort_type,
    meaning=_argsort,
    gradient=NO_GRADIENT,
    code=None,
    samples=(
        Sample((floats(N=5, K=7),), {"over": (K,)}),
        Sample((floats(N=5, K=7),), {"over": (N,)}),
        Sample((whole(T=9),), {"over": (T,)}, draw="integers"),
    ),
)
