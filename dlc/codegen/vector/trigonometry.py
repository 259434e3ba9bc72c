"""sin, cos, tan and pow: float32 through double vectors, float64 through the C library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from llvmlite import ir
from numba.core import cgutils

from dlc.codegen.vector.define import Function, elementwise
from dlc.codegen.vector.emit import Emit, Value
from dlc.codegen.vector.integers import integer_power
from dlc.codegen.vector.types import F32, F64, I32, I64

_SIN = (2.718025938872113e-06, -0.0001983930226732927, 0.008333329273865965, -0.1666666664053096)
_COS = (
    -2.7204852049219886e-07,
    2.4799449185061787e-05,
    -0.0013888883458217825,
    0.041666666619000675,
)
_HALF_PI_HIGH = math.pi / 2
_HALF_PI_LOW = 6.123233995736766e-17
_LIMIT = 2.0**30
"""Up to here two doubles of pi/2 keep 2^-45 of relative accuracy; then comes the C library."""
_LOG2 = (
    0.2430583343216089, 0.2614326109033594, 0.320616742763765, 0.4121983971087459,
    0.5770780172771139, 0.9617966939242653, 2.885390081777927,
)  # fmt: skip
_EXP2 = (
    1.3175778790928907e-06, 1.5309850988736762e-05, 0.00015403853034606056, 0.001333345163980861,
    0.009618128539471516, 0.055504109397765775, 0.24022650698904155, 0.6931471805464074,
    0.99999999999976,
)  # fmt: skip
_variable: Any = cgutils.alloca_once_value
Wave = Literal["sin", "cos", "tan"]


def functions() -> list[Function]:
    """sin, cos, tan, and pow for floats and integers."""
    return [
        _wave("sin"),
        _wave("cos"),
        _wave("tan"),
        elementwise(
            "pow",
            2,
            {
                "f32": power,
                "f64": lambda e, a: e.libm("pow", *a),
                "i32": integer_power("i32"),
                "i64": integer_power("i64"),
                "u8": integer_power("u8"),
            },
        ),
    ]


def _wave(name: Wave) -> Function:
    def single(e: Emit, a: Sequence[Value]) -> Value:
        return periodic(e, a[0], name)

    def double(e: Emit, a: Sequence[Value]) -> Value:
        return e.libm(name, a[0])

    return elementwise(name, 1, {"f32": single, "f64": double})


def periodic(e: Emit, x: Value, name: Wave) -> Value:
    """sin, cos or tan of float32 lanes, at most 1 ulp: computed in double, rounded once.

    Lanes beyond 2^30 are rare: where there is one, the C library computes those.
    """
    b = e.builder
    huge = e.compare(">", e.absolute(x), _LIMIT)
    result = _variable(b, _in_doubles(e, e.select(huge, 0.0, x), name))
    with b.if_then(e.any(huge), likely=False):
        slow = e.each_lane(_if_huge(e, name), x)
        b.store(e.select(huge, slow, b.load(result)), result)
    y = b.load(result)
    return e.select(e.compare("<", e.absolute(x), float("inf")), y, float("nan"))


def _if_huge(e: Emit, name: Wave) -> Callable[[Value], Value]:
    """The C library's function; 0 in place of infinities keeps its error flags still."""

    def scalar(x: Value) -> Value:
        size = e.call("llvm.fabs.f32", F32, x)
        finite = e.builder.fcmp_ordered("<", size, ir.Constant(F32, float("inf")))
        return e.call(name + "f", F32, e.builder.select(finite, x, ir.Constant(F32, 0.0)))

    return scalar


def _in_doubles(e: Emit, single: Value, name: Wave) -> Value:
    b, k = e.builder, partial(e.const, like=F64)
    x = b.fpext(single, e.vector(F64))
    n = e.intrinsic("llvm.rint", b.fmul(x, k(2 / math.pi)))
    r = e.fma(n, k(-_HALF_PI_HIGH), x)
    r = e.fma(n, k(-_HALF_PI_LOW), r)
    square = b.fmul(r, r)
    sine = e.fma(b.fmul(r, square), e.polynomial(square, _SIN), r)
    cosine = e.fma(
        b.fmul(square, square), e.polynomial(square, _COS), e.fma(square, k(-0.5), k(1.0))
    )
    quadrant = b.fptosi(n, e.vector(I32))
    odd = _bit(e, quadrant, 1)
    if name == "tan":
        ratio = b.fdiv(e.select(odd, cosine, sine), e.select(odd, sine, cosine))
        y = e.select(odd, b.fneg(ratio), ratio)
    else:
        shifted = b.add(quadrant, e.const(1, I32)) if name == "cos" else quadrant
        y = e.select(odd, sine, cosine) if name == "cos" else e.select(odd, cosine, sine)
        y = e.select(_bit(e, shifted, 2), b.fneg(y), y)
    rounded = b.fptrunc(y, e.vector(F32))
    if name == "cos":
        return rounded
    tiny = e.compare("<", e.absolute(single), 1e-5)  # keeps -0
    return e.select(tiny, single, rounded)


def _bit(e: Emit, x: Value, mask: int) -> Value:
    taken = e.builder.and_(x, e.const(mask, I32))
    return e.builder.icmp_signed("!=", taken, e.const(0, I32))


def power(e: Emit, a: Sequence[Value]) -> Value:
    """x ** y of float32 lanes, at most 1 ulp: 2^(y log2 |x|) in double, and C99's special cases."""
    b, (x, y) = e.builder, a
    magnitude = _magnitude(e, b.fpext(e.absolute(x), e.vector(F64)), b.fpext(y, e.vector(F64)))
    result = b.fptrunc(magnitude, e.vector(F32))
    whole = e.compare("==", e.intrinsic("llvm.trunc", y), y)
    half = b.fmul(y, e.const(0.5, F32))
    odd = b.and_(whole, b.fcmp_unordered("!=", e.intrinsic("llvm.trunc", half), half))
    odd = b.and_(odd, e.compare("<", e.absolute(y), 2.0**24))
    negative = b.icmp_signed("<", e.bits(x, I32), e.const(0, I32))
    result = e.select(b.and_(negative, odd), b.fneg(result), result)
    finite = e.compare("<", e.absolute(x), float("inf"))
    broken = b.and_(b.and_(e.compare("<", x, 0.0), finite), b.not_(whole))
    result = e.select(broken, float("nan"), result)
    result = e.select(b.or_(e.is_nan(x), e.is_nan(y)), float("nan"), result)
    infinite = e.compare("==", e.absolute(y), float("inf"))
    unit = b.and_(e.compare("==", e.absolute(x), 1.0), infinite)
    one = b.or_(b.or_(e.compare("==", x, 1.0), e.compare("==", y, 0.0)), unit)
    return e.select(one, 1.0, result)


def _magnitude(e: Emit, x: Value, y: Value) -> Value:
    """x ** y of doubles that were float32, x >= 0, relative error about 2^-35."""
    b, k = e.builder, partial(e.const, like=F64)
    wide = e.vector(I64)
    offset = e.const(0x3FE6A09E667F3BCD, I64)  # sqrt(1/2)
    above = b.sub(b.bitcast(x, wide), offset)
    exponent = b.ashr(above, e.const(52, I64))
    mantissa = b.add(b.and_(above, e.const(2**52 - 1, I64)), offset)
    f = b.fsub(b.bitcast(mantissa, x.type), k(1.0))
    s = b.fdiv(f, b.fadd(f, k(2.0)))
    scaled = b.sitofp(b.trunc(exponent, e.vector(I32)), x.type)
    logarithm = e.fma(s, e.polynomial(b.fmul(s, s), _LOG2), scaled)
    logarithm = e.select(e.compare("==", x, 0.0), float("-inf"), logarithm)
    logarithm = e.select(e.compare("==", x, float("inf")), float("inf"), logarithm)
    z = b.fmul(y, logarithm)
    z = e.intrinsic("llvm.minnum", z, k(300.0))
    z = e.intrinsic("llvm.maxnum", z, k(-300.0))
    n = e.intrinsic("llvm.rint", z)
    tail = e.polynomial(b.fsub(z, n), _EXP2)
    bits = b.sext(b.fptosi(n, e.vector(I32)), wide)
    scale = b.bitcast(b.shl(b.add(bits, e.const(1023, I64)), e.const(52, I64)), x.type)
    return b.fmul(tail, scale)
