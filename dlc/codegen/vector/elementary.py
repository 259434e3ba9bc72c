"""exp, log and their kin: float32 as polynomials in LLVM IR, float64 by the C library.

The polynomials are minimax fits (Lawson's iteration, coefficients rounded to float32 one by one).
Bounds are in units in the last place of the float32 result, over all float32 arguments; every
function is right for infinities, NaN, zeros of both signs and denormal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlc.codegen.vector.define import Function, elementwise
from dlc.codegen.vector.emit import Emit, Value
from dlc.codegen.vector.types import F32, I32

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
ROUNDER = 1.5 * 2.0**23
"""A float whose last bit is worth 1: adding it rounds, and its low bits hold the whole number."""
BIAS = 127
"""What the exponent of a float is above that of 2."""
_EXP = (0.0013869843678548932, 0.008366446942090988, 0.04166744649410248, 0.1666654497385025, 0.5)
_EXPM1 = (
    0.00019764414173550904, 0.0013932380825281143, 0.008333543315529823, 0.04166649281978607,
    0.1666666567325592, 0.5,
)  # fmt: skip
_LOG = (
    -0.07645110040903091, 0.1277833729982376, -0.13164231181144714, 0.14199833571910858,
    -0.16622774302959442, 0.20001284778118134, -0.25000837445259094, 0.3333333134651184,
)  # fmt: skip
_ERF_SMALL = (
    7.480053318431601e-05, -0.0007901042699813843, 0.005176462233066559, -0.026847921311855316,
    0.11283454298973083, -0.37612614035606384, 0.12837916612625122,
)  # fmt: skip
_ERF_LARGE = (
    -9.89235832093982e-06, 2.2289330445346422e-05, 6.410698551917449e-05, -0.00028584167012013495,
    0.0003016021801158786, 0.0005482225096784532, -0.002846706658601761, 0.006271925289183855,
    -0.008929618634283543, 0.008704585954546928, -0.005701656453311443, 0.0022894954308867455,
    0.9995707273483276,
)  # fmt: skip
_ERF_CENTER = 2.490000009536743
"""The second is of x minus this, for 1.06 <= x <= 3.92."""
Formula = Callable[[Emit, Value], Value]


def functions() -> list[Function]:
    """The functions of one argument of this module, for f32 and f64."""
    return [
        _define("exp", exp, _libm("exp")),
        _define("log", log, _libm("log")),
        _define("log1p", log1p, _libm("log1p")),
        _define("expm1", expm1, _libm("expm1")),
        _define("tanh", tanh, _libm("tanh")),
        _define("erf", erf, _libm("erf")),
        _define("sigmoid", sigmoid, _sigmoid_by(_libm("exp"))),
        _define("softplus", softplus, _softplus_by(_libm("exp"), _libm("log1p"))),
    ]


def _define(name: str, single: Formula, double: Formula) -> Function:
    def of_single(e: Emit, a: Sequence[Value]) -> Value:
        return single(e, a[0])

    def of_double(e: Emit, a: Sequence[Value]) -> Value:
        return double(e, a[0])

    return elementwise(name, 1, {"f32": of_single, "f64": of_double})


def _libm(name: str) -> Formula:
    return lambda e, x: e.libm(name, x)


def _power_of_two(e: Emit, n: Value) -> Value:
    """2^n for integer lanes n of -126 to 127."""
    return e.bits(e.builder.shl(e.builder.add(n, e.const(127, I32)), e.const(23, I32)), F32)


def _between(e: Emit, x: Value, low: float | None, high: float | None) -> Value:
    """x, but for what lies outside of the limits; NaN stays."""
    x = x if high is None else e.select(e.compare(">", x, high), high, x)
    return x if low is None else e.select(e.compare("<", x, low), low, x)


def _reduced(e: Emit, x: Value, bias: int = 0) -> tuple[Value, Value, Value]:
    """(bits, n, r) with x = n ln 2 + r, |r| <= ln 2 / 2, n a whole float.

    The low bits of `bits` are those of n + bias. For n to 2^21; NaN stays NaN in n and r.
    """
    rounder = e.const(ROUNDER + bias, F32)
    shifted = e.fma(x, e.const(LOG2E, F32), rounder)
    n = e.builder.fsub(shifted, rounder)
    r = e.fma(n, e.const(-LN2_HIGH, F32), x)
    return e.bits(shifted, I32), n, e.fma(n, e.const(-LN2_LOW, F32), r)


def exp(e: Emit, x: Value, high: float | None = 89.0) -> Value:
    """e^x, at most 1.1 ulp; denormal results are rounded once more. No `high`: x is at most 0."""
    b = e.builder
    bits, n, r = _reduced(e, _between(e, x, -105.0, high), 2 * BIAS)
    tail = e.fma(e.polynomial(r, _EXP), b.fmul(r, r), r)
    y = b.fadd(tail, e.const(1.0, F32))
    if e.scales:
        return e.scaled(y, n)
    # Two factors, so that neither over- nor underflows before the product does. n and both biases
    # are in the lowest 9 bits; what is above them leaves on the left.
    half = b.lshr(bits, e.const(1, I32))
    for exponent in (half, b.sub(bits, half)):
        y = b.fmul(y, e.bits(b.shl(exponent, e.const(23, I32)), F32))
    return y


def _expm1(e: Emit, x: Value, half: float = 1.0) -> Value:
    """e^x - 1 for -18 <= x <= 88, times `half`, which is 1 or 1/2: then for x to 89."""
    b = e.builder
    bits, _, r = _reduced(e, x)
    q = e.fma(e.polynomial(r, _EXPM1), b.fmul(r, r), r)
    one = e.bits(e.const(half, F32), I32)
    power = e.bits(b.add(b.shl(bits, e.const(23, I32)), one), F32)
    return e.fma(power, q, b.fsub(power, e.const(half, F32)))


def expm1(e: Emit, x: Value) -> Value:
    """e^x - 1, at most 2 ulp."""
    b = e.builder
    y = _expm1(e, _between(e, x, -18.0, 89.0), 0.5)
    tiny = e.compare("<", e.absolute(x), 1e-8)  # keeps -0 and denormals
    return e.select(tiny, x, b.fadd(y, y))


def _log_parts(e: Emit, x: Value) -> tuple[Value, Value]:
    """(k, f) with x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt 2, for positive normal x."""
    b = e.builder
    offset = e.const(0x3F3504F3, I32)  # sqrt(1/2)
    above = b.sub(e.bits(x, I32), offset)
    k = b.ashr(above, e.const(23, I32))
    mantissa = b.add(b.and_(above, e.const(0x7FFFFF, I32)), offset)
    f = b.fsub(e.bits(mantissa, F32), e.const(1.0, F32))
    return b.sitofp(k, e.vector(F32)), f


def _log_sum(e: Emit, k: Value, f: Value) -> Value:
    """k ln 2 + log(1 + f)."""
    b = e.builder
    square = b.fmul(f, f)
    tail = b.fmul(b.fmul(f, square), e.polynomial(f, _LOG))
    tail = e.fma(k, e.const(LN2_LOW, F32), tail)
    tail = e.fma(square, e.const(-0.5, F32), tail)
    return e.fma(k, e.const(LN2_HIGH, F32), b.fadd(f, tail))


def log(e: Emit, x: Value) -> Value:
    """The natural logarithm, at most 1.5 ulp; -inf for 0, NaN below."""
    b = e.builder
    small = e.compare("<", x, 2.0**-126)
    normal = e.select(small, b.fmul(x, e.const(2.0**23, F32)), x)
    k, f = _log_parts(e, normal)
    k = e.select(small, b.fsub(k, e.const(23.0, F32)), k)
    y = _log_sum(e, k, f)
    y = e.select(e.compare("==", x, float("inf")), x, y)
    y = e.select(e.compare("==", x, 0.0), float("-inf"), y)
    return e.select(b.or_(e.compare("<", x, 0.0), e.is_nan(x)), float("nan"), y)


def log1p(e: Emit, x: Value) -> Value:
    """log(1 + x), at most 2 ulp; -inf for -1, NaN below."""
    b, one = e.builder, e.const(1.0, F32)
    u = b.fadd(x, one)
    # What the sum lost: exact both ways round (Fast2Sum).
    large = e.compare(">", x, 1.0)
    lost = e.select(large, b.fsub(one, b.fsub(u, x)), b.fsub(x, b.fsub(u, one)))
    k, f = _log_parts(e, u)
    whole = b.fptosi(e.intrinsic("llvm.minnum", k, e.const(100.0, F32)), e.vector(I32))
    f = e.fma(lost, _power_of_two(e, b.neg(whole)), f)
    y = _log_sum(e, k, f)
    y = e.select(e.compare("==", x, float("inf")), x, y)
    y = e.select(e.compare("<", e.absolute(x), 2.0**-25), x, y)
    y = e.select(e.compare("==", x, -1.0), float("-inf"), y)
    return e.select(b.or_(e.compare("<", x, -1.0), e.is_nan(x)), float("nan"), y)


def tanh(e: Emit, x: Value) -> Value:
    """The hyperbolic tangent, at most 2.5 ulp: q / (q + 2) with q = e^2|x| - 1."""
    b = e.builder
    size = _between(e, e.absolute(x), None, 10.0)
    q = _expm1(e, b.fadd(size, size))
    y = b.fdiv(q, b.fadd(q, e.const(2.0, F32)))
    return e.intrinsic("llvm.copysign", y, x)


def _in_two(e: Emit, x: Value, coefficients: Sequence[float]) -> Value:
    """A polynomial whose higher terms are two of the square of x: a chain half as long."""
    *high, one, zero = coefficients
    square, last = e.builder.fmul(x, x), len(high) % 2
    even = e.polynomial(square, high[1 - last :: 2])
    above = e.fma(e.polynomial(square, high[last::2]), x, even)
    return e.fma(e.fma(above, x, e.const(one, F32)), x, e.const(zero, F32))


def erf(e: Emit, x: Value) -> Value:
    """The error function, at most 1.5 ulp: a polynomial to 1.06, another one to 3.92, then 1."""
    b = e.builder
    size, square = e.absolute(x), b.fmul(x, x)
    near = e.fma(e.polynomial(square, _ERF_SMALL), x, x)
    inside = e.select(e.compare(">", size, 3.92), 3.92, size)
    far = _in_two(e, b.fsub(inside, e.const(_ERF_CENTER, F32)), _ERF_LARGE)
    far = e.intrinsic("llvm.copysign", far, x)
    return e.select(e.compare("<", size, 1.06), near, far)


def _sigmoid_by(exponential: Formula) -> Formula:
    def formula(e: Emit, x: Value) -> Value:
        b = e.builder
        z = exponential(e, b.fneg(e.absolute(x)))
        one = e.const(1.0, x.type)
        top = e.select(e.negative(x), z, one)
        return b.fdiv(top, b.fadd(one, z))

    return formula


def _softplus_by(exponential: Formula, logarithm: Formula) -> Formula:
    def formula(e: Emit, x: Value) -> Value:
        z = logarithm(e, exponential(e, e.builder.fneg(e.absolute(x))))
        above = e.intrinsic("llvm.maximum", x, e.const(0.0, x.type))
        return e.builder.fadd(above, z)

    return formula


def _decay(e: Emit, x: Value) -> Value:
    """e^x for x of at most 0."""
    return exp(e, x, None)


def sigmoid(e: Emit, x: Value) -> Value:
    """1 / (1 + e^-x) by e^-|x|, at most 2.5 ulp; denormal results stay right."""
    return _sigmoid_by(_decay)(e, x)


def softplus(e: Emit, x: Value) -> Value:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|), at most 2.5 ulp."""
    return _softplus_by(_decay, log1p)(e, x)
