"""Elementwise arithmetic, comparisons, masks, constants, and folds across lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import types

from dlc.codegen.machine import Machine
from dlc.codegen.vector.casts import from_bits, to_bits
from dlc.codegen.vector.define import INT, VOID, Body, Call, Function, elementwise, fixed
from dlc.codegen.vector.emit import Emit, Value
from dlc.codegen.vector.integers import divide, integer_power, remainder
from dlc.codegen.vector.types import (
    F32,
    FLOAT_ELEMENTS,
    I32,
    I64,
    INTEGER_ELEMENTS,
    LLVM_ELEMENTS,
    VALUE_ELEMENTS,
    Element,
    VectorType,
    vector_type,
)
from dlc.graph import DTYPES, DType

NUMBERS: tuple[Element, ...] = (*FLOAT_ELEMENTS, *INTEGER_ELEMENTS)
_type_of_literal: Any = types.unliteral


def functions() -> list[Function]:
    """All functions of this module."""
    found = [*_basic(), *_comparisons(), *_logic(), *_folds(), *_lanes(), *_scalars()]
    return found + [_constant(dtype) for dtype in DTYPES]


def _both(floats: Body | None, integers: Callable[[Element], Body] | None) -> dict[Element, Body]:
    """Bodies by element from one for floats and one made for each integer type."""
    bodies: dict[Element, Body] = {}
    if floats:
        bodies |= dict.fromkeys(FLOAT_ELEMENTS, floats)
    if integers:
        bodies |= {t: integers(t) for t in INTEGER_ELEMENTS}
    return bodies


def _method(name: str) -> Body:
    """A body that is one instruction of the builder."""
    return lambda e, a: getattr(e.builder, name)(*a)


def _basic() -> list[Function]:
    def plain(floats: str, integers: str) -> dict[Element, Body]:
        return _both(_method(floats), lambda _: _method(integers))

    same = _both(None, lambda _: lambda e, a: a[0])
    return [
        elementwise("add", 2, plain("fadd", "add")),
        elementwise("sub", 2, plain("fsub", "sub")),
        elementwise("mul", 2, plain("fmul", "mul")),
        elementwise("neg", 1, plain("fneg", "neg")),
        elementwise("div", 2, _both(_method("fdiv"), divide)),
        elementwise("floordiv", 2, _both(_float_floordiv, divide)),
        elementwise("mod", 2, _both(_float_mod, remainder)),
        elementwise("fma", 3, _both(_fma, lambda _: _multiply_add)),
        elementwise("fadd_fast", 2, _both(_add_fast, lambda _: _method("add"))),
        elementwise("maximum", 2, _both(_extreme("llvm.maximum"), _integer_extreme(">"))),
        elementwise("minimum", 2, _both(_extreme("llvm.minimum"), _integer_extreme("<"))),
        elementwise("abs", 1, _both(lambda e, a: e.absolute(a[0]), _integer_abs)),
        elementwise("sign", 1, _both(_float_sign, _integer_sign)),
        elementwise("sqrt", 1, _both(_rounding("llvm.sqrt"), None)),
        elementwise("rsqrt", 1, _both(_rsqrt, None)),
        elementwise("floor", 1, _both(_rounding("llvm.floor"), None) | same),
        elementwise("ceil", 1, _both(_rounding("llvm.ceil"), None) | same),
        elementwise("round", 1, _both(_rounding("llvm.roundeven"), None) | same),
        elementwise("is_finite", 1, _both(_is_finite, None), result="mask"),
        elementwise("is_nan", 1, _both(lambda e, a: e.is_nan(a[0]), None), result="mask"),
        elementwise("integer_pow", 2, _both(None, integer_power)),
    ]


def _fma(e: Emit, a: Sequence[Value]) -> Value:
    return e.fma(*a)


def _multiply_add(e: Emit, a: Sequence[Value]) -> Value:
    return e.builder.add(e.builder.mul(a[0], a[1]), a[2])


def _add_fast(e: Emit, a: Sequence[Value]) -> Value:
    return e.builder.fadd(*a, flags=("reassoc", "nsz"))


def _rounding(name: str) -> Body:
    return lambda e, a: e.intrinsic(name, a[0])


def _extreme(name: str) -> Body:
    return lambda e, a: e.intrinsic(name, *a)


def _integer_extreme(relation: str) -> Callable[[Element], Body]:
    def make(element: Element) -> Body:
        compare = "icmp_unsigned" if element == "u8" else "icmp_signed"

        def body(e: Emit, a: Sequence[Value]) -> Value:
            return e.builder.select(getattr(e.builder, compare)(relation, *a), *a)

        return body

    return make


def _integer_abs(element: Element) -> Body:
    if element == "u8":
        return lambda e, a: a[0]

    def body(e: Emit, a: Sequence[Value]) -> Value:
        negative = e.builder.icmp_signed("<", a[0], ir.Constant(a[0].type, None))
        return e.builder.select(negative, e.builder.neg(a[0]), a[0])

    return body


def _integer_sign(element: Element) -> Body:
    def body(e: Emit, a: Sequence[Value]) -> Value:
        x, zero = a[0], ir.Constant(a[0].type, None)
        one = e.const(1, x.type)
        if element == "u8":
            return e.builder.select(e.builder.icmp_unsigned("!=", x, zero), one, zero)
        positive = e.builder.select(e.builder.icmp_signed(">", x, zero), one, zero)
        return e.builder.select(e.builder.icmp_signed("<", x, zero), e.const(-1, x.type), positive)

    return body


def _float_sign(e: Emit, a: Sequence[Value]) -> Value:
    """-1, 0 or 1; NaN for NaN."""
    x = a[0]
    one = e.intrinsic("llvm.copysign", e.const(1.0, x.type), x)
    return e.select(e.builder.fcmp_ordered("one", x, e.const(0.0, x.type)), one, x)


def _rsqrt(e: Emit, a: Sequence[Value]) -> Value:
    """1 / sqrt(x): two roundings, at most 1.5 ulp."""
    return e.builder.fdiv(e.const(1.0, a[0].type), e.intrinsic("llvm.sqrt", a[0]))


def _is_finite(e: Emit, a: Sequence[Value]) -> Value:
    return e.compare("<", e.absolute(a[0]), float("inf"))


def _float_mod(e: Emit, a: Sequence[Value]) -> Value:
    """The remainder with the sign of the divisor, as Python and NumPy; NaN for a divisor of 0."""
    x, y = a
    rest = e.builder.frem(x, y)
    zero = e.const(0.0, x.type)
    other_sign = e.builder.xor(e.compare("<", rest, 0.0), e.compare("<", y, 0.0))
    shift = e.builder.and_(e.builder.fcmp_unordered("!=", rest, zero), other_sign)
    moved = e.select(shift, e.builder.fadd(rest, y), rest)
    return e.select(e.compare("==", rest, 0.0), e.intrinsic("llvm.copysign", zero, y), moved)


def _float_floordiv(e: Emit, a: Sequence[Value]) -> Value:
    """NumPy's floor division: (x - mod(x, y)) / y made whole; x / y for a divisor of 0."""
    b, (x, y) = e.builder, a
    zero = e.const(0.0, x.type)
    rest = b.frem(x, y)
    quotient = b.fdiv(b.fsub(x, rest), y)
    other_sign = b.xor(e.compare("<", rest, 0.0), e.compare("<", y, 0.0))
    shift = b.and_(b.fcmp_unordered("!=", rest, zero), other_sign)
    quotient = e.select(shift, b.fsub(quotient, e.const(1.0, x.type)), quotient)
    whole = e.intrinsic("llvm.floor", quotient)
    up = e.compare(">", b.fsub(quotient, whole), 0.5)
    whole = e.select(up, b.fadd(whole, e.const(1.0, x.type)), whole)
    exact = b.fdiv(x, y)
    signed_zero = e.intrinsic("llvm.copysign", zero, exact)
    result = e.select(e.compare("==", quotient, 0.0), signed_zero, whole)
    return e.select(e.compare("==", y, 0.0), exact, result)


def _comparisons() -> list[Function]:
    signs = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

    def bodies(sign: str) -> dict[Element, Body]:
        # A comparison with NaN is false, but `!=` is true.
        of_floats = "fcmp_unordered" if sign == "!=" else "fcmp_ordered"
        table = _both(
            lambda e, a: getattr(e.builder, of_floats)(sign, *a),
            lambda t: (
                lambda e, a: getattr(e.builder, "icmp_unsigned" if t == "u8" else "icmp_signed")(
                    sign, *a
                )
            ),
        )
        table["mask"] = lambda e, a: e.builder.icmp_unsigned(sign, *a)
        return table

    return [elementwise(name, 2, bodies(sign), result="mask") for name, sign in signs.items()]


def _logic() -> list[Function]:
    def rule(_: Machine, arguments: Sequence[Any]) -> Call | None:
        mask, x, y = arguments
        fits = isinstance(mask, VectorType) and mask.element == "mask"
        if not fits or not isinstance(x, VectorType) or x != y:
            return None
        return Call(x, tuple(arguments), lambda e, a: e.builder.select(*a))

    words: dict[Element, Body] = dict.fromkeys(("mask", *INTEGER_ELEMENTS), _method("and_"))
    return [
        Function("select", 3, rule),
        elementwise("and_", 2, words),
        elementwise("or_", 2, dict.fromkeys(words, _method("or_"))),
        elementwise("xor_", 2, dict.fromkeys(words, _method("xor"))),
        elementwise("not_", 1, {"mask": _method("not_")}),
        fixed("all_lanes", "mask", (), lambda e, a: e.const(1, ir.IntType(1))),
        fixed("no_lanes", "mask", (), lambda e, a: e.const(0, ir.IntType(1))),
        fixed("mask_of", "mask", (types.boolean,), lambda e, a: e.splat(a[0])),
        fixed("below", "mask", (INT,), below),
        fixed("any_lane", types.boolean, ("mask",), lambda e, a: e.any(a[0])),
    ]


def below(e: Emit, a: Sequence[Value]) -> Value:
    """The mask of the first lanes, as many as the number says."""
    b, top = e.builder, ir.Constant(I64, e.lanes)
    small = b.select(b.icmp_signed("<", a[0], top), a[0], top)
    zero = ir.Constant(I64, 0)
    small = b.select(b.icmp_signed(">", small, zero), small, zero)
    return b.icmp_signed("<", e.iota(I32), e.splat(b.trunc(small, I32)))


def _folds() -> list[Function]:
    """Butterflies: every lane ends with the same fixed tree over all lanes."""

    def tree(combine: Body) -> Body:
        def body(e: Emit, a: Sequence[Value]) -> Value:
            x, step = a[0], e.lanes // 2
            while step:
                x = combine(e, (x, e.shuffle(x, [k ^ step for k in range(e.lanes)])))
                step //= 2
            return x

        return body

    def fold(name: str, floats: Body, integers: Callable[[Element], Body]) -> Function:
        bodies = _both(floats, integers)
        return elementwise(name, 1, {t: tree(body) for t, body in bodies.items()})

    return [
        fold("fold_add", _method("fadd"), lambda _: _method("add")),
        fold("fold_max", _extreme("llvm.maximum"), _integer_extreme(">")),
        fold("fold_min", _extreme("llvm.minimum"), _integer_extreme("<")),
        elementwise("fold_and", 1, {"mask": _fold_mask("llvm.vector.reduce.and")}),
        elementwise("fold_or", 1, {"mask": _fold_mask("llvm.vector.reduce.or")}),
    ]


def _fold_mask(name: str) -> Body:
    return lambda e, a: e.splat(e.intrinsic_of_mask(name, a[0]))


def _lanes() -> list[Function]:
    """`lane(v, k)`: lane k in all lanes. `lanes_T(start)`: start + (0, 1, 2, ...)."""

    def lane_rule(_: Machine, arguments: Sequence[Any]) -> Call | None:
        if not isinstance(arguments[0], VectorType):
            return None

        def body(e: Emit, a: Sequence[Value]) -> Value:
            return e.splat(e.builder.extract_element(a[0], e.builder.trunc(a[1], I32)))

        return Call(arguments[0], (arguments[0], INT), body)

    def counting(element: Any) -> Body:
        def body(e: Emit, a: Sequence[Value]) -> Value:
            start = a[0] if element == I64 else e.builder.trunc(a[0], element)
            return e.builder.add(e.splat(start), e.iota(element))

        return body

    return [
        Function("lane", 2, lane_rule),
        fixed("lanes_i64", "i64", (INT,), counting(I64)),
        fixed("lanes_i32", "i32", (INT,), counting(I32)),
    ]


def _constant(dtype: DType) -> Function:
    """`const_D(x)`: a Python literal or a scalar in all lanes, rounded as D stores it."""
    lanes = VALUE_ELEMENTS[dtype]

    def rule(machine: Machine, arguments: Sequence[Any]) -> Call | None:
        given = _type_of_literal(arguments[0])
        if not isinstance(given, (types.Integer, types.Float, types.Boolean)):
            return None

        def body(e: Emit, a: Sequence[Value]) -> Value:
            vector = e.splat(_scalar_cast(e, a[0], given, lanes))
            if dtype in ("f16", "bf16"):
                return from_bits(e, to_bits(e, vector, dtype), dtype)
            return vector

        return Call(vector_type(lanes, machine.lanes), (given,), body)

    return Function(f"const_{dtype}", 1, rule)


def _scalar_cast(e: Emit, x: Value, given: Any, lanes: Element) -> Value:
    """A Numba scalar as one lane; integers wrap, a float becomes an integer only exactly."""
    b, kind = e.builder, LLVM_ELEMENTS[lanes]
    if isinstance(given, types.Float):
        if lanes in ("f32", "f64"):
            if x.type == kind:
                return x
            return b.fptrunc(x, kind) if kind == F32 else b.fpext(x, kind)
        return (
            b.fcmp_unordered("!=", x, ir.Constant(x.type, 0.0))
            if lanes == "mask"
            else b.fptosi(x, kind)
        )
    if lanes == "mask":
        return b.icmp_signed("!=", x, ir.Constant(x.type, 0))
    signed = bool(isinstance(given, types.Integer) and str(given)[0] != "u")
    if lanes in ("f32", "f64"):
        return b.sitofp(x, kind) if signed else b.uitofp(x, kind)
    if kind.width < x.type.width:
        return b.trunc(x, kind)
    return x if kind.width == x.type.width else b.sext(x, kind) if signed else b.zext(x, kind)


def _scalars() -> list[Function]:
    """Scalar int64: `imin imax`, and `floor_div floor_mod` by a divisor above 0."""

    def extreme(sign: str) -> Body:
        return lambda e, a: e.builder.select(e.builder.icmp_signed(sign, *a), *a)

    def floor_div(e: Emit, a: Sequence[Value]) -> Value:
        b = e.builder
        rest = b.srem(*a)
        down = b.sext(b.icmp_signed("<", rest, ir.Constant(I64, 0)), I64)
        return b.add(b.sdiv(*a), down)

    def floor_mod(e: Emit, a: Sequence[Value]) -> Value:
        b = e.builder
        rest = b.srem(*a)
        negative = b.icmp_signed("<", rest, ir.Constant(I64, 0))
        return b.add(rest, b.select(negative, a[1], ir.Constant(I64, 0)))

    pair = (INT, INT)
    return [
        fixed("imin", INT, pair, extreme("<")),
        fixed("imax", INT, pair, extreme(">")),
        fixed("floor_div", INT, pair, floor_div),
        fixed("floor_mod", INT, pair, floor_mod),
        fixed("rolled", VOID, (), lambda _e, _a: None),  # for `compile`: do not unroll
    ]
