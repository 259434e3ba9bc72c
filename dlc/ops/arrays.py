"""How the NumPy meanings of ops hold values: alignment by axis name and rounding to dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dlc.graph import FLOATS, Axis, DType, TensorType
from dlc.ops.late import Late
from dlc.ops.op import NUMPY_DTYPES, Array, Attrs

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")

Meaning = Callable[[Sequence[Array], Sequence[TensorType], TensorType, Attrs], Array]


def shape_of(type: TensorType) -> tuple[int, ...]:
    """The shape of a type whose sizes are constants."""
    found = []
    for axis, size in type.dims:
        n = size.constant
        assert n is not None, f"the size of {axis} is {size}, not a number"
        found.append(n)
    return tuple(found)


def round_bf16(array: Array) -> Array:
    """Rounds float32 values to the nearest bf16, ties to even; NaN stays NaN."""
    single = np.ascontiguousarray(array, np.float32)
    bits = single.view(np.uint32)
    even = (bits >> np.uint32(16)) & np.uint32(1)
    with np.errstate(over="ignore"):
        rounded = (bits + np.uint32(0x7FFF) + even) & np.uint32(0xFFFF0000)
    quiet = (bits | np.uint32(0x400000)) & np.uint32(0xFFFF0000)
    out = np.where(np.isnan(single), quiet, rounded).astype(np.uint32).view(np.float32)
    return out.reshape(np.shape(array))


def working(array: Array, dtype: DType) -> Array:
    """The array as arithmetic sees it: f16 (and bf16, which lives so) computes in float32."""
    return array.astype(np.float32) if dtype == "f16" else array


def stored(value: Any, dtype: DType) -> Array:
    """The result of arithmetic rounded to `dtype`."""
    with np.errstate(all="ignore"):
        array = np.asarray(value).astype(NUMPY_DTYPES[dtype], copy=False)
    return round_bf16(array) if dtype == "bf16" else array


def converted(array: Array, source: DType, target: DType) -> Array:
    """`cast`: truncates and saturates to integers, NaN becomes 0; integers wrap among them."""
    if source == target:
        return array
    if target == "bool":
        return np.asarray(array != 0)
    if target in FLOATS or source not in FLOATS:
        return stored(array, target)
    wide = array.astype(np.float64)
    limits = np.iinfo(NUMPY_DTYPES[target])
    low, high = float(limits.min), float(limits.max)
    inside = (wide > low) & (wide < high)
    with np.errstate(all="ignore"):
        out = np.where(inside, wide, 0).astype(NUMPY_DTYPES[target])
    out = np.where(wide >= high, limits.max, np.where(wide <= low, limits.min, out))
    return np.asarray(out.astype(NUMPY_DTYPES[target]))


def permuted(array: Array, axes: Sequence[Axis], order: Sequence[Axis]) -> Array:
    """The array of `axes` with its axes in `order`; an axis that it lacks has size 1."""
    kept = [a for a in order if a in axes]
    assert len(kept) == len(axes), f"{axes} does not fit into {order}"
    turned = array.transpose([list(axes).index(a) for a in kept])
    sizes = dict(zip(kept, turned.shape, strict=True))
    return turned.reshape([sizes.get(a, 1) for a in order])


def aligned(
    arrays: Sequence[Array], types: Sequence[TensorType], order: Sequence[Axis]
) -> list[Array]:
    """The arrays with their axes in `order`, ready for NumPy's own broadcasting."""
    return [permuted(a, t.axes, order) for a, t in zip(arrays, types, strict=True)]


def mapped(function: str | Callable[..., Any]) -> Meaning:
    """The meaning of an elementwise op from a function of its aligned operands.

    A text names NumPy's function.
    """

    def meaning(
        arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
    ) -> Array:
        del attrs
        inputs = [working(a, t.dtype) for a, t in zip(arrays, types, strict=True)]
        with np.errstate(all="ignore"):
            call = getattr(np, function) if isinstance(function, str) else function
            return stored(call(*aligned(inputs, types, result.axes)), result.dtype)

    return meaning
