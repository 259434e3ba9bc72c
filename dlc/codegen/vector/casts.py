"""Conversions between element types, and between values and their form in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from llvmlite import ir

from dlc.codegen.machine import Machine
from dlc.codegen.vector.define import Call, Function
from dlc.codegen.vector.emit import Emit, Value, suffix
from dlc.codegen.vector.types import (
    F32,
    I8,
    I16,
    I32,
    INTEGER_ELEMENTS,
    LLVM_ELEMENTS,
    VALUE_ELEMENTS,
    Element,
    VectorType,
    vector_type,
)
from dlc.graph import DTYPES, DType


def functions() -> list[Function]:
    """`cast_D` for every dtype D: from any vector type by the language's rules.

    Float to integer truncates and saturates, NaN gives 0; integers wrap; bool gives 0 or 1; to
    bool is `!= 0`; f16 and bf16 round to nearest even and stay float32 lanes.
    """
    return [_cast(dtype) for dtype in DTYPES]


def _cast(dtype: DType) -> Function:
    target = VALUE_ELEMENTS[dtype]

    def rule(machine: Machine, arguments: Sequence[Any]) -> Call | None:
        source = arguments[0]
        if not isinstance(source, VectorType):
            return None

        def body(e: Emit, a: Sequence[Value]) -> Value:
            value = convert(e, a[0], source.element, target)
            if dtype in ("f16", "bf16"):
                return from_bits(e, to_bits(e, value, dtype), dtype)
            return value

        return Call(vector_type(target, machine.lanes), (source,), body)

    return Function(f"cast_{dtype}", 1, rule)


def convert(e: Emit, x: Value, source: Element, target: Element) -> Value:
    """A vector of `source` elements as a vector of `target` elements."""
    if source == target:
        return x
    kind = e.vector(LLVM_ELEMENTS[target])
    if target == "mask":
        return _to_mask(e, x, source)
    if source == "mask":
        whole = e.builder.zext(x, e.vector(I32 if target in ("f32", "f64") else kind.element))
        return e.builder.sitofp(whole, kind) if target in ("f32", "f64") else whole
    if source in INTEGER_ELEMENTS:
        return _from_integer(e, x, source, target, kind)
    if target in INTEGER_ELEMENTS:
        return _saturated(e, x, target, kind)
    return e.builder.fpext(x, kind) if target == "f64" else e.builder.fptrunc(x, kind)


def _to_mask(e: Emit, x: Value, source: Element) -> Value:
    zero = ir.Constant(x.type, None)
    if source in INTEGER_ELEMENTS:
        return e.builder.icmp_signed("!=", x, zero)
    return e.builder.fcmp_unordered("!=", x, zero)  # NaN is true


def _from_integer(e: Emit, x: Value, source: Element, target: Element, kind: Any) -> Value:
    if target in INTEGER_ELEMENTS:
        narrow = LLVM_ELEMENTS[target].width < LLVM_ELEMENTS[source].width
        if narrow:
            return e.builder.trunc(x, kind)
        return e.builder.zext(x, kind) if source == "u8" else e.builder.sext(x, kind)
    wide = e.builder.zext(x, e.vector(I32)) if source == "u8" else x
    return e.builder.sitofp(wide, kind)


def _saturated(e: Emit, x: Value, target: Element, kind: Any) -> Value:
    sign = "ui" if target == "u8" else "si"
    return e.call(f"llvm.fpto{sign}.sat.{suffix(kind)}.{suffix(x.type)}", kind, x)


def from_bits(e: Emit, bits: Value, dtype: DType) -> Value:
    """The value of loaded elements: bool bytes to a mask, half floats to float32."""
    match dtype:
        case "bool":
            return e.builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, None))
        case "bf16":
            wide = e.builder.zext(bits, e.vector(I32))
            return e.bits(e.builder.shl(wide, e.const(16, I32)), F32)
        case "f16":
            return _from_half(e, bits)
        case _:
            return bits


def to_bits(e: Emit, x: Value, dtype: DType) -> Value:
    """The elements to store of a value; half floats rounded to nearest even."""
    match dtype:
        case "bool":
            return e.builder.zext(x, e.vector(I8))
        case "bf16":
            return _to_bfloat(e, x)
        case "f16":
            return _to_half(e, x)
        case _:
            return x


def _native_half(e: Emit) -> bool:
    return e.machine.has("f16c") or e.machine.name == "aarch64"


def _from_half(e: Emit, bits: Value) -> Value:
    if _native_half(e):
        return e.builder.fpext(e.builder.bitcast(bits, e.vector(ir.HalfType())), e.vector(F32))
    b, k = e.builder, partial(e.const, like=I32)
    wide = b.zext(bits, e.vector(I32))
    sign = b.shl(b.and_(wide, k(0x8000)), k(16))
    rest = b.shl(b.and_(wide, k(0x7FFF)), k(13))
    # 2^112 moves the exponent's bias, and makes denormals normal; infinities need all ones.
    value = e.bits(b.fmul(e.bits(rest, F32), e.const(2.0**112, F32)), I32)
    special = b.icmp_unsigned(">=", rest, k(0x7C00 << 13))
    value = b.select(special, b.or_(rest, k(0x7F800000)), value)
    return e.bits(b.or_(value, sign), F32)


def _to_half(e: Emit, x: Value) -> Value:
    if _native_half(e):
        half = e.builder.fptrunc(x, e.vector(ir.HalfType()))
        return e.builder.bitcast(half, e.vector(I16))
    b, k = e.builder, partial(e.const, like=I32)
    all_bits = e.bits(x, I32)
    sign = b.and_(all_bits, k(0x80000000))
    rest = b.xor(all_bits, sign)
    odd = b.and_(b.lshr(rest, k(13)), k(1))
    rounded = b.add(b.add(rest, k(0xFFF)), odd)
    normal = b.lshr(b.sub(rounded, k(112 << 23)), k(13))
    # Below 2^-14 the addition of 0.5 rounds at the place of the last bit of a denormal half.
    small = b.sub(e.bits(b.fadd(e.bits(rest, F32), e.const(0.5, F32)), I32), k(0x3F000000))
    result = b.select(b.icmp_unsigned("<", rest, k(113 << 23)), small, normal)
    result = b.select(b.icmp_unsigned(">=", rest, k(0x477FF000)), k(0x7C00), result)
    result = b.select(b.icmp_unsigned(">", rest, k(0x7F800000)), k(0x7E00), result)
    return b.trunc(b.or_(result, b.lshr(sign, k(16))), e.vector(I16))


def _to_bfloat(e: Emit, x: Value) -> Value:
    b, k = e.builder, partial(e.const, like=I32)
    all_bits = e.bits(x, I32)
    odd = b.and_(b.lshr(all_bits, k(16)), k(1))
    rounded = b.lshr(b.add(b.add(all_bits, k(0x7FFF)), odd), k(16))
    quiet = b.or_(b.lshr(all_bits, k(16)), k(0x40))
    return b.trunc(b.select(e.is_nan(x), quiet, rounded), e.vector(I16))
