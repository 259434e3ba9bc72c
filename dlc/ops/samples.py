"""Short forms for the sample operands of op records."""

from __future__ import annotations

from dlc.graph import Axis, DType, Size, TensorType
from dlc.ops.op import Sample

N, K, H, T, S, C, P, Y, W = (Axis(name) for name in "NKHTSCPYW")


def typed(dtype: DType, **sizes: int) -> TensorType:
    """A type with its axes by name: `typed("f32", N=5, K=7)`."""
    return TensorType.of(dtype, ((Axis(name), size) for name, size in sizes.items()))


def floats(**sizes: int) -> TensorType:
    """An f32 type."""
    return typed("f32", **sizes)


def whole(**sizes: int) -> TensorType:
    """An i32 type."""
    return typed("i32", **sizes)


def dims(**sizes: int) -> tuple[tuple[Axis, Size], ...]:
    """Axes with sizes, as attributes hold them."""
    return typed("f32", **sizes).dims


UNARY = (Sample((floats(N=5, K=7),)), Sample((floats(),)))
BINARY = (
    Sample((floats(N=5, K=7), floats(K=7, H=3))),
    Sample((floats(K=7), floats(N=5, K=7))),
    Sample((floats(N=5, K=7), floats())),
)
