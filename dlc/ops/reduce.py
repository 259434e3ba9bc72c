"""Reductions over named axes: sum, max, min and where the extremes are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dlc.graph import FLOATS, Axis, DType, Node, TensorType
from dlc.ops import build as b
from dlc.ops.arrays import permuted, shape_of, stored, working
from dlc.ops.late import Late
from dlc.ops.op import NUMPY_DTYPES, ZERO, Array, Attrs, Backward, Gradient, Op, Sample
from dlc.ops.rules import ANY, NUMBERS, count, distinct, one_dtype, size_of
from dlc.ops.samples import K, N, floats, typed, whole

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")


def _type(name: str, allowed: frozenset[DType], result: DType | None = None) -> Callable[..., Any]:
    def rule(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
        count(name, types, 1)
        dtype = one_dtype(name, types, allowed)
        over = distinct(name, attrs["over"])
        for axis in over:
            size_of(name, types[0], axis)
        return types[0].without(over).cast(result or dtype)

    return rule


def _rows(array: Array, type: TensorType, over: Sequence[Axis]) -> tuple[Array, tuple[int, ...]]:
    """The array with the axes of `over`, in that order, flattened into a last one."""
    rest = [a for a in type.axes if a not in over]
    turned = permuted(array, type.axes, [*rest, *over])
    shape = turned.shape[: len(rest)]
    return turned.reshape(*shape, int(np.prod(turned.shape[len(rest) :], dtype=np.int64))), shape


def _lowest(dtype: DType) -> Any:
    if dtype in FLOATS:
        return -np.inf
    return False if dtype == "bool" else np.iinfo(NUMPY_DTYPES[dtype]).min


def _highest(dtype: DType) -> Any:
    if dtype in FLOATS:
        return np.inf
    return True if dtype == "bool" else np.iinfo(NUMPY_DTYPES[dtype]).max


def _sum(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    x = working(arrays[0], types[0].dtype)
    over = tuple(types[0].axes.index(a) for a in attrs["over"])
    with np.errstate(all="ignore"):
        return stored(np.sum(x, axis=over, dtype=x.dtype), result.dtype)


def _extreme(function: str, neutral: Callable[[DType], Any]) -> Callable[..., Array]:
    def meaning(
        arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
    ) -> Array:
        over = tuple(types[0].axes.index(a) for a in attrs["over"])
        with np.errstate(all="ignore"):
            value = getattr(np, function)(arrays[0], axis=over, initial=neutral(result.dtype))
        return stored(value, result.dtype)

    return meaning


def _place(function: str) -> Callable[..., Array]:
    def meaning(
        arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
    ) -> Array:
        rows, _ = _rows(arrays[0], types[0], attrs["over"])
        if not rows.shape[-1] or not rows.size:
            return np.zeros(shape_of(result), np.int32)
        return np.asarray(getattr(np, function)(rows, axis=-1)).astype(np.int32)

    return meaning


def _first(place: Callable[..., Node]) -> Gradient:
    """The gradient goes to the first extreme, counted along the axes in the order named."""

    def rule(r: Backward) -> Sequence[Node]:
        x, over = r.args[0], tuple(r.attrs["over"])
        here = b.broadcast(b.linear_index(over, x.type), x.type.dims)
        return (b.where(b.eq(here, place(x, over)), r.cotangent, 0),)

    return rule


_SAMPLES = (
    Sample((floats(N=5, K=7),), {"over": (K,)}),
    Sample((floats(N=5, T=3, K=7),), {"over": (K, N)}),
    Sample((floats(N=5, K=7),), {"over": (N, K)}),
    Sample((floats(N=5, C=19),), {"over": (N,)}),
    Sample((floats(N=5, K=7),), {"over": ()}),
    Sample((whole(N=5, K=7),), {"over": (K,)}, draw="integers"),
)
_BOOLS = Sample((typed("bool", N=5, K=7),), {"over": (K,)}, draw="bools")

reduce_sum = Op(
    name="reduce_sum",
    doc="The sum over axes; 0 over none.",
    kind="reduce",
    type=_type("reduce_sum", NUMBERS),
    meaning=_sum,
    gradient=lambda r: (b.broadcast(r.cotangent, r.args[0].type.dims),),
    code=None,
    samples=_SAMPLES,
)
reduce_max = Op(
    name="reduce_max",
    doc="The largest over axes, NaN if one is NaN, the lowest value over none; of bools, any."
    " The gradient goes to the first largest in the order the axes are named.",
    kind="reduce",
    type=_type("reduce_max", ANY),
    meaning=_extreme("max", _lowest),
    gradient=_first(b.argmax),
    code=None,
    samples=(*_SAMPLES, _BOOLS),
)
reduce_min = Op(
    name="reduce_min",
    doc="The smallest over axes, NaN if one is NaN, the highest value over none; of bools, all."
    " The gradient goes to the first smallest in the order the axes are named.",
    kind="reduce",
    type=_type("reduce_min", ANY),
    meaning=_extreme("min", _highest),
    gradient=_first(b.argmin),
    code=None,
    samples=(*_SAMPLES, _BOOLS),
)
argmax = Op(
    name="argmax",
    doc="Where the first largest is: its i32 index, linear over the axes in the order they are"
    " named; the first NaN if there is one.",
    kind="reduce",
    type=_type("argmax", ANY, "i32"),
    meaning=_place("argmax"),
    gradient=ZERO,
    code=None,
    samples=(*_SAMPLES, _BOOLS),
)
argmin = Op(
    name="argmin",
    doc="Where the first smallest is: its i32 index, linear over the axes in the order they are"
    " named; the first NaN if there is one.",
    kind="reduce",
    type=_type("argmin", ANY, "i32"),
    meaning=_place("argmin"),
    gradient=ZERO,
    code=None,
    samples=(*_SAMPLES, _BOOLS),
)
