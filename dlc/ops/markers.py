"""Markers for the derivation of gradients; none of them is computed."""

from __future__ import annotations

from collections.abc import Sequence

from dlc.graph import FLOATS, TensorType
from dlc.ops.op import NO_GRADIENT, ZERO, Array, Attrs, Op, Sample, TypeRuleError
from dlc.ops.rules import count, one_dtype
from dlc.ops.samples import floats


def _same(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    del attrs
    count("stop_gradient", types, 1)
    return types[0]


stop_gradient = Op(
    name="stop_gradient",
    doc="x itself, which no gradient passes.",
    kind="marker",
    type=_same,
    meaning=lambda arrays, types, result, attrs: arrays[0],
    gradient=ZERO,
    code=None,
    samples=(Sample((floats(N=5, K=7),), smooth=False),),
)


def _grad_type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    del attrs
    count("grad", types, 2)
    one_dtype("the first operand of grad", types[:1], FLOATS)
    one_dtype("the second operand of grad", types[1:], FLOATS)
    if types[0].dims:
        raise TypeRuleError(f"grad is taken of a scalar, not of {types[0]}")
    return types[1]


def _grad(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    raise AssertionError("grad is expanded before a graph is run")


grad = Op(
    name="grad",
    doc="The gradient of a scalar with respect to a value that it was computed from.",
    kind="marker",
    type=_grad_type,
    meaning=_grad,
    gradient=NO_GRADIENT,
    code=None,
    samples=(Sample((floats(), floats(N=5, K=7)), smooth=False),),
)
