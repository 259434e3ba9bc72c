"""Elementwise functions of one float: exponentials, roots, trigonometry, sigmoid, erf, rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dlc.graph import FLOATS, Node
from dlc.ops import build as b
from dlc.ops.elementwise import elementwise
from dlc.ops.late import Late
from dlc.ops.op import ZERO, Array, Backward, Gradient, Op, Sample
from dlc.ops.samples import UNARY

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")

_POSITIVE = tuple(Sample(s.types, draw="positive") for s in UNARY)


def _function(
    name: str,
    doc: str,
    function: str | Callable[..., Any],
    slope: Callable[[Node, Node], Node],
    *,
    cost: int,
    samples: tuple[Sample, ...] = UNARY,
) -> Op:
    """A function with derivative `slope(x, y)` at x, where y is its value."""
    return elementwise(
        name, doc, function, _chain(slope), operands=1, allowed=FLOATS, cost=cost, samples=samples
    )


def _chain(slope: Callable[[Node, Node], Node]) -> Gradient:
    def rule(r: Backward) -> tuple[Node, ...]:
        return (b.scale(r.cotangent, slope(r.args[0], r.node)),)

    return rule


def _rounding(name: str, doc: str, function: str) -> Op:
    return elementwise(name, doc, function, ZERO, operands=1, allowed=FLOATS)


def _rsqrt(x: Array) -> Array:
    return np.asarray(np.divide(x.dtype.type(1), np.sqrt(x)))


def _sigmoid(x: Array) -> Array:
    """Never overflows: the exponential is taken of -|x|."""
    one = x.dtype.type(1)
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, one / (one + e), e / (one + e)))


def _softplus(x: Array) -> Array:
    """log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)), which never overflows."""
    return np.asarray(np.maximum(x, x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x))))


def _erf(x: Array) -> Array:
    values = np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size)
    return values.astype(x.dtype).reshape(x.shape)


exp = _function("exp", "e to the power x.", "exp", lambda x, y: y, cost=10)
log = _function(
    "log", "The natural logarithm.", "log", lambda x, y: b.div(1, x), cost=14, samples=_POSITIVE
)
log1p = _function(
    "log1p", "log(1 + x), exact near 0.", "log1p", lambda x, y: b.div(1, b.add(x, 1)), cost=16,
    samples=_POSITIVE,
)  # fmt: skip
expm1 = _function("expm1", "exp(x) - 1, exact near 0.", "expm1", lambda x, y: b.exp(x), cost=14)
sqrt = _function(
    "sqrt", "The square root.", "sqrt", lambda x, y: b.div(0.5, y), cost=4, samples=_POSITIVE
)
rsqrt = _function(
    "rsqrt", "1 / sqrt(x).", _rsqrt, lambda x, y: b.mul(b.div(y, x), -0.5), cost=5,
    samples=_POSITIVE,
)  # fmt: skip
sin = _function("sin", "The sine of radians.", "sin", lambda x, y: b.cos(x), cost=12)
cos = _function("cos", "The cosine of radians.", "cos", lambda x, y: b.neg(b.sin(x)), cost=12)
tan = _function(
    "tan", "The tangent of radians.", "tan", lambda x, y: b.add(b.mul(y, y), 1), cost=18,
    samples=tuple(Sample(s.types, draw="unit") for s in UNARY),
)  # fmt: skip
tanh = _function(
    "tanh", "The hyperbolic tangent.", "tanh", lambda x, y: b.sub(1, b.mul(y, y)), cost=12
)
sigmoid = _function(
    "sigmoid", "1 / (1 + exp(-x)), which never overflows.", _sigmoid,
    lambda x, y: b.mul(y, b.sub(1, y)), cost=14,
)  # fmt: skip
softplus = _function(
    "softplus", "log(1 + exp(x)), which never overflows; its slope is the sigmoid.", _softplus,
    lambda x, y: b.sigmoid(x), cost=24,
)  # fmt: skip
erf = _function(
    "erf", "The error function: 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x.", _erf,
    lambda x, y: b.mul(b.exp(b.neg(b.mul(x, x))), 2 / math.sqrt(math.pi)), cost=16,
)  # fmt: skip
floor = _rounding("floor", "The largest whole number that is not above x.", "floor")
ceil = _rounding("ceil", "The smallest whole number that is not below x.", "ceil")
round = _rounding("round", "The nearest whole number, halves to the even one.", "rint")
