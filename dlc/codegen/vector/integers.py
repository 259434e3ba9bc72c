"""Integer division that never traps, and powers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from dlc.codegen.vector.define import Body
from dlc.codegen.vector.emit import Emit, Value
from dlc.codegen.vector.types import F64, I8, I32, LLVM_ELEMENTS, Element


def divide(element: Element) -> Body:
    """The quotient rounded down; 0 for a divisor of 0; the smallest integer // -1 wraps."""

    def body(e: Emit, a: Sequence[Value]) -> Value:
        quotient, rest, divisor = _quotient(e, a[0], a[1], element)
        b = e.builder
        if element != "u8":
            down = _other_sign(e, rest, divisor)
            quotient = b.add(quotient, b.sext(down, quotient.type))
        zero = ir.Constant(quotient.type, None)
        return b.select(b.icmp_signed("==", a[1], zero), zero, quotient)

    return body


def remainder(element: Element) -> Body:
    """The remainder with the sign of the divisor; 0 for a divisor of 0."""

    def body(e: Emit, a: Sequence[Value]) -> Value:
        _, rest, divisor = _quotient(e, a[0], a[1], element)
        b, zero = e.builder, ir.Constant(a[0].type, None)
        if element != "u8":
            rest = b.add(rest, b.select(_other_sign(e, rest, divisor), divisor, zero))
        return b.select(b.icmp_signed("==", a[1], zero), zero, rest)

    return body


def _other_sign(e: Emit, rest: Value, divisor: Value) -> Value:
    """Whether a remainder is not 0 and has not the divisor's sign."""
    b, zero = e.builder, ir.Constant(rest.type, None)
    differs = b.icmp_signed("<", b.xor(rest, divisor), zero)
    return b.and_(differs, b.icmp_signed("!=", rest, zero))


def _quotient(e: Emit, x: Value, y: Value, element: Element) -> tuple[Value, Value, Value]:
    """(quotient rounded to zero, remainder, y with 0 replaced by 1)."""
    b, zero = e.builder, ir.Constant(x.type, None)
    safe = b.select(b.icmp_signed("==", y, zero), e.const(1, x.type), y)
    if element == "u8":
        quotient = _through_doubles(e, x, safe, I8)
    elif element == "i32":
        quotient = _through_doubles(e, x, safe, I32)
    else:
        minus = b.icmp_signed("==", safe, e.const(-1, x.type))
        whole = b.sdiv(x, b.select(minus, e.const(1, x.type), safe))
        quotient = b.select(minus, b.neg(x), whole)
    return quotient, b.sub(x, b.mul(quotient, safe)), safe


def _through_doubles(e: Emit, x: Value, y: Value, element: Any) -> Value:
    """x / y cut to an integer: 53 bits never round a quotient of 32-bit integers up to a whole."""
    b, doubles = e.builder, e.vector(F64)
    if element == I8:
        wide = e.vector(I32)
        ratio = b.fdiv(b.sitofp(b.zext(x, wide), doubles), b.sitofp(b.zext(y, wide), doubles))
        return b.trunc(b.fptosi(ratio, wide), x.type)
    ratio = b.fdiv(b.sitofp(x, doubles), b.sitofp(y, doubles))
    # -2^31 / -1 is 2^31, outside int32: by way of int64 it wraps.
    highest = e.compare(">=", ratio, 2.0**31)
    inside = b.fptosi(e.select(highest, 0.0, ratio), x.type)
    return b.select(highest, e.const(-(2**31), x.type), inside)


def integer_power(element: Element) -> Body:
    """Repeated squaring, wrapping; a negative exponent gives 0, but 1 or -1 for bases 1 and -1."""
    width = LLVM_ELEMENTS[element].width

    def body(e: Emit, a: Sequence[Value]) -> Value:
        b, (base, exponent) = e.builder, a
        one, zero = e.const(1, base.type), ir.Constant(base.type, None)
        result, square = one, base
        for bit in range(width):
            taken = b.and_(b.lshr(exponent, e.const(bit, base.type)), one)
            used = b.icmp_unsigned("!=", taken, zero)
            result = b.select(used, b.mul(result, square), result)
            if bit < width - 1:
                square = b.mul(square, square)
        if element == "u8":
            return result
        odd = b.icmp_unsigned("!=", b.and_(exponent, one), zero)
        minus = e.const(-1, base.type)
        of_minus = b.select(odd, minus, one)
        inverse = b.select(b.icmp_signed("==", base, minus), of_minus, zero)
        inverse = b.select(b.icmp_signed("==", base, one), one, inverse)
        return b.select(b.icmp_signed("<", exponent, zero), inverse, result)

    return body
