"""Counter-based random numbers: Philox 4x32-10 over vectors of element numbers.

Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types

from dlc.codegen.machine import Machine
from dlc.codegen.vector.casts import convert, from_bits, to_bits
from dlc.codegen.vector.define import INT, Call, Function
from dlc.codegen.vector.emit import Emit, Value
from dlc.codegen.vector.types import F32, I32, I64, VALUE_ELEMENTS, vector_type
from dlc.graph import DType

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def functions() -> list[Function]:
    """`uniform_D(seed, step, element, place, word)` for the float dtypes."""
    kinds: tuple[DType, ...] = ("f32", "f64", "f16", "bf16")
    return [_uniform(dtype) for dtype in kinds]


def _uniform(dtype: DType) -> Function:
    """Numbers in (0, 1): ((w >> 9) + 0.5) 2^-23 of word w at a 64-bit element, step and place."""
    target = VALUE_ELEMENTS[dtype]

    def rule(machine: Machine, arguments: Sequence[Any]) -> Call | None:
        word = arguments[4]
        if not isinstance(word, types.IntegerLiteral):
            return None
        chosen = int(word.literal_value)

        def body(e: Emit, a: Sequence[Value]) -> Value:
            x = _unit(e, _words(e, *a[:4])[chosen])
            if dtype in ("f16", "bf16"):
                return from_bits(e, to_bits(e, x, dtype), dtype)
            return convert(e, x, "f32", target)

        elements = vector_type("i64", machine.lanes)
        result = vector_type(target, machine.lanes)
        return Call(result, (INT, INT, elements, INT, word), body)

    return Function(f"uniform_{dtype}", 5, rule, literal=True)


def _unit(e: Emit, word: Value) -> Value:
    b = e.builder
    top = b.sitofp(b.lshr(word, e.const(9, I32)), e.vector(F32))
    return b.fmul(b.fadd(top, e.const(0.5, F32)), e.const(2.0**-23, F32))


def _words(e: Emit, seed: Value, step: Value, element: Value, place: Value) -> list[Value]:
    """The four output words of each lane's counter."""
    b = e.builder

    def low(x: Value) -> Value:
        return b.trunc(x, I32)

    def high(x: Value) -> Value:
        return b.trunc(b.lshr(x, ir.Constant(I64, 32)), I32)

    words = e.vector(I32)
    element_high = b.trunc(b.lshr(element, e.const(32, I64)), words)
    counter = [
        b.trunc(element, words),
        b.xor(element_high, e.splat(high(place))),
        e.splat(low(step)),
        e.splat(low(place)),
    ]
    key = [low(seed), high(seed)]
    for _ in range(_ROUNDS):
        counter = _round(e, counter, [e.splat(k) for k in key])
        key = [b.add(k, ir.Constant(I32, w)) for k, w in zip(key, _WEYL, strict=True)]
    return counter


def _round(e: Emit, c: list[Value], key: list[Value]) -> list[Value]:
    b = e.builder
    (high0, low0), (high1, low1) = (
        _wide_product(e, c[0], _MULTIPLIERS[0]),
        _wide_product(e, c[2], _MULTIPLIERS[1]),
    )
    return [b.xor(b.xor(high1, c[1]), key[0]), low1, b.xor(b.xor(high0, c[3]), key[1]), low0]


def _wide_product(e: Emit, x: Value, multiplier: int) -> tuple[Value, Value]:
    """The high and low words of a 64-bit product."""
    b = e.builder
    product = b.mul(b.zext(x, e.vector(I64)), e.const(multiplier, I64))
    high = b.trunc(b.lshr(product, e.const(32, I64)), e.vector(I32))
    return high, b.trunc(product, e.vector(I32))
