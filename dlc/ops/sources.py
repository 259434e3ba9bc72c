"""Ops without operands: numbers, tables, indices, sizes; and random draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlc.graph import FLOATS, INTEGERS, SCALARS, Axis, DType, Size, TensorType
from dlc.ops.arrays import shape_of, stored
from dlc.ops.late import Late, LateAttrs
from dlc.ops.op import NUMPY_DTYPES, ZERO, Array, Attrs, Op, Sample, TypeRuleError
from dlc.ops.philox import uniform_words
from dlc.ops.rules import count, distinct, tensor
from dlc.ops.samples import K, N, T, dims, typed

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")


_LIMITS = {"i32": (-(2**31), 2**31 - 1), "i64": (-(2**63), 2**63 - 1), "u8": (0, 255)}


def _const_type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    count("const", types, 0)
    dtype, value = attrs["dtype"], attrs["value"]
    if dtype in INTEGERS:
        lowest, largest = _LIMITS[dtype]
        if value != value or not lowest <= value <= largest or value != int(value):
            raise TypeRuleError(f"{value} is not a number of {dtype}")
    if dtype == "bool" and value not in (0, 1):
        raise TypeRuleError(f"{value} is not a bool")
    return SCALARS[attrs["dtype"]]


def _const(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    value: Any = attrs["value"]
    if result.dtype in INTEGERS:
        value = np.array(int(value), NUMPY_DTYPES[result.dtype])
    return stored(value, result.dtype)


const = Op(
    name="const",
    doc="A number known while compiling.",
    kind="source",
    type=_const_type,
    meaning=_const,
    gradient=ZERO,
    code=None,
    samples=(
        Sample((), {"value": 1.5, "dtype": "f32"}),
        Sample((), {"value": -3, "dtype": "i32"}),
        Sample((), {"value": True, "dtype": "bool"}),
        Sample((), {"value": float("-inf"), "dtype": "f16"}),
    ),
)


def _table_type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    count("table", types, 0)
    shape, axes = np.shape(attrs["value"]), attrs["axes"]
    if len(shape) != len(axes):
        raise TypeRuleError(f"a table of {len(shape)} dimensions has {len(axes)} axes")
    return tensor(attrs["dtype"], zip(axes, map(Size.of, shape), strict=True))


def _table(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    return stored(attrs["value"], result.dtype)


def _table_attrs(value: Array, dtype: DType, *axes: Axis) -> Attrs:
    return {"value": value, "dtype": dtype, "axes": axes}


table = Op(
    name="table",
    doc="An array known while compiling.",
    kind="source",
    type=_table_type,
    meaning=_table,
    gradient=ZERO,
    code=None,
    samples=(
        Sample((), LateAttrs(lambda: _table_attrs(np.arange(6.0).reshape(2, 3), "f32", N, K))),
        Sample((), LateAttrs(lambda: _table_attrs(np.array([3, 1]), "i32", K))),
    ),
)


def _index_type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    count("index", types, 0)
    return TensorType.of("i32", ((attrs["axis"], attrs["size"]),))


def _index(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    return np.arange(shape_of(result)[0], dtype=np.int32)


index = Op(
    name="index",
    doc="0, 1, 2, ... along an axis.",
    kind="source",
    type=_index_type,
    meaning=_index,
    gradient=ZERO,
    code=None,
    samples=(
        Sample((), {"axis": T, "size": Size.of(7)}),
        Sample((), {"axis": T, "size": Size()}),
    ),
)


def _size_type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    count("size", types, 0)
    return TensorType("i32")


def _size(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    value = Size.of(attrs["value"]).constant
    assert value is not None, f"the size {attrs['value']} is not known"
    return np.array(value, np.int32)


size = Op(
    name="size",
    doc="A run-time size as a number.",
    kind="source",
    type=_size_type,
    meaning=_size,
    gradient=ZERO,
    code=None,
    samples=(Sample((), {"value": Size.of(12)}),),
)


def _uniform_type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    count("uniform", types, 2)
    for type in types:
        if type != TensorType("i64"):
            raise TypeRuleError(f"uniform takes an i64 scalar as seed and as step, not {type}")
    if attrs["dtype"] not in FLOATS - {"f16", "bf16"}:
        raise TypeRuleError(f"uniform draws f32 or f64, not {attrs['dtype']}")
    drawn = tensor(attrs["dtype"], attrs["axes"])
    if set(distinct("uniform", attrs["order"])) != set(drawn.axes):
        raise TypeRuleError("uniform numbers other axes than it draws")
    return drawn


def _uniform(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    order = attrs["order"]
    shape = [dict(zip(result.axes, shape_of(result), strict=True))[a] for a in order]
    elements = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
    seed, step = (int(a) for a in arrays)
    drawn = uniform_words(seed, step, elements, attrs["place"], attrs["word"]).reshape(shape)
    return drawn.transpose([order.index(a) for a in result.axes]).astype(NUMPY_DTYPES[result.dtype])


uniform = Op(
    name="uniform",
    doc="Draws in (0, 1), never 0 or 1, by Philox 4x32-10 from (seed, step, place, element):"
    " elements are numbered in `order`: axes of run-time size outermost, then as written.",
    kind="random",
    type=_uniform_type,
    meaning=_uniform,
    gradient=ZERO,
    code=None,
    samples=(
        Sample(
            (typed("i64"), typed("i64")),
            {
                "axes": dims(N=5, K=7),
                "order": (N, K),
                "place": 0x123456789ABCDEF0,
                "word": 1,
                "dtype": "f32",
            },
            draw="integers",
        ),
        Sample(
            (typed("i64"), typed("i64")),
            {"axes": dims(N=3, K=2), "order": (K, N), "place": 7, "word": 0, "dtype": "f64"},
            draw="integers",
        ),
    ),
)
