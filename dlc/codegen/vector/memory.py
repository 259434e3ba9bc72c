"""Loads and stores of vectors: whole, masked, strided, by index, and of single elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import types

from dlc.codegen.machine import Machine
from dlc.codegen.vector.arithmetic import below
from dlc.codegen.vector.casts import from_bits, to_bits
from dlc.codegen.vector.define import INT, VOID, Call, Function, fixed
from dlc.codegen.vector.emit import Emit, Value, index
from dlc.codegen.vector.types import F32, F64, I1, I8, I16, I32, I64, VALUE_ELEMENTS
from dlc.graph import DTYPES, DType

STORED: dict[DType, Any] = {
    "f32": F32, "f64": F64, "f16": I16, "bf16": I16, "i32": I32, "i64": I64, "u8": I8, "bool": I8,
}  # fmt: skip
"""The LLVM type of an element in memory."""
TURNED: tuple[DType, ...] = ("f32", "i32")
"""The dtypes of which a register holds as many elements as there are lanes."""
ROOMY = 48 * 1024
"""A first cache so large has room for what is asked for ahead; else it goes to the second."""
_ALIGNMENT = {F32: 4, F64: 8, I8: 1, I16: 2, I32: 4, I64: 8}


def functions() -> list[Function]:
    """All functions over memory."""
    found = [_argument(), _scratch(), _drained()]
    found += [_turn(dtype, past) for dtype in TURNED for past in (False, True)]
    for dtype in DTYPES:
        found += [*_whole(dtype), *_masked(dtype), *_indexed(dtype), *_scalar(dtype)]
    return found


def _align(element: Any) -> int:
    return _ALIGNMENT[element]


def _pointers(e: Emit, base: Value, offsets: Value, element: Any) -> Value:
    """A vector of pointers to the elements at a vector of offsets."""
    size = e.const(_align(element), I64)
    places = e.builder.add(e.splat(base), e.builder.mul(offsets, size))
    return e.builder.inttoptr(places, e.vector(ir.PointerType(element)))


def _whole(dtype: DType) -> list[Function]:
    element, lanes, align = STORED[dtype], VALUE_ELEMENTS[dtype], _align(STORED[dtype])

    def vector_pointer(e: Emit, base: Value, offset: Value) -> Value:
        return e.builder.bitcast(
            e.pointer(base, offset, element), ir.PointerType(e.vector(element))
        )

    def load(e: Emit, a: Sequence[Value]) -> Value:
        return from_bits(e, e.builder.load(vector_pointer(e, a[0], a[1]), align=align), dtype)

    def store(e: Emit, a: Sequence[Value]) -> None:
        e.builder.store(to_bits(e, a[2], dtype), vector_pointer(e, a[0], a[1]), align=align)

    def stream(e: Emit, a: Sequence[Value]) -> None:
        _store_past(e, to_bits(e, a[2], dtype), vector_pointer(e, a[0], a[1]), align * e.lanes)

    def splat(e: Emit, a: Sequence[Value]) -> Value:
        one = e.builder.load(e.pointer(a[0], a[1], element), align=align)
        return from_bits(e, e.splat(one), dtype)

    def prefetch(e: Emit, a: Sequence[Value]) -> None:
        near = 3 if e.machine.first_cache >= ROOMY else 2
        read, cache, data = (ir.Constant(I32, number) for number in (0, near, 1))
        where = e.pointer(a[0], a[1], element)
        e.call("llvm.prefetch.p0", ir.VoidType(), where, read, cache, data)

    def store_one(e: Emit, a: Sequence[Value]) -> None:
        one = e.builder.extract_element(to_bits(e, a[2], dtype), ir.Constant(I32, 0))
        e.builder.store(one, e.pointer(a[0], a[1], element), align=align)

    return [
        fixed(f"load_{dtype}", lanes, (INT, INT), load),
        fixed(f"store_{dtype}", VOID, (INT, INT, lanes), store),
        fixed(f"stream_{dtype}", VOID, (INT, INT, lanes), stream),
        fixed(f"splat_{dtype}", lanes, (INT, INT), splat),
        fixed(f"prefetch_{dtype}", VOID, (INT, INT), prefetch),
        fixed(f"store_one_{dtype}", VOID, (INT, INT, lanes), store_one),
    ]


def _masked(dtype: DType) -> list[Function]:
    element, lanes, align = STORED[dtype], VALUE_ELEMENTS[dtype], _align(STORED[dtype])

    def load(e: Emit, a: Sequence[Value]) -> Value:
        kind = e.vector(element)
        pointer = e.builder.bitcast(e.pointer(a[0], a[1], element), ir.PointerType(kind))
        name = f"llvm.masked.load.v{e.lanes}{_name(element)}.p0"
        size = ir.Constant(I32, align)
        bits = e.call(name, kind, pointer, size, a[2], ir.Constant(kind, None))
        return from_bits(e, bits, dtype)

    def store(e: Emit, a: Sequence[Value]) -> None:
        bits, (base, offset, _, count) = to_bits(e, a[2], dtype), a
        pointer = e.builder.bitcast(e.pointer(base, offset, element), ir.PointerType(bits.type))
        if e.machine.has("avx512bw"):
            name = f"llvm.masked.store.v{e.lanes}{_name(element)}.p0"
            mask = below(e, (count,))
            e.call(name, ir.VoidType(), bits, pointer, ir.Constant(I32, align), mask)
            return
        whole = e.builder.icmp_signed(">=", count, index(e.lanes))
        with e.builder.if_else(whole, likely=True) as (then, otherwise):
            with then:
                e.builder.store(bits, pointer, align=align)
            with otherwise:
                _store_first(e, base, offset, bits, count, align)

    def load_padded(e: Emit, a: Sequence[Value]) -> Value:
        cheap = e.machine.has("avx512bw") or (element in (F32, I32) and e.machine.has("avx2"))
        mask = below(e, (a[2],)) if cheap else e.const(1, I1)
        return load(e, (a[0], a[1], mask))

    return [
        fixed(f"load_masked_{dtype}", lanes, (INT, INT, "mask"), load),
        fixed(f"load_padded_{dtype}", lanes, (INT, INT, INT), load_padded),
        fixed(f"store_below_{dtype}", VOID, (INT, INT, lanes, INT), store),
    ]


def _store_first(
    e: Emit, base: Value, offset: Value, bits: Value, count: Value, align: int
) -> None:
    """The first `count` elements, fewer than all: by halves, quarters, and so on.

    A masked store of AVX takes 5 ns on Zen 3, and others take a branch for each element.
    """
    b, element, half = e.builder, bits.type.element, e.lanes // 2
    count = b.select(b.icmp_signed(">", count, index(0)), count, index(0))
    while half:
        low, high = (e.shuffle(bits, range(k, k + half)) for k in (0, half))
        stored, before = b.icmp_unsigned("!=", b.and_(count, index(half)), index(0)), b.block
        with b.if_then(stored):
            where = e.pointer(base, b.add(offset, b.and_(count, index(-2 * half))), element)
            b.store(low, b.bitcast(where, ir.PointerType(low.type)), align=align)
            inside = b.block
        bits = b.phi(low.type)
        bits.add_incoming(low, before)
        bits.add_incoming(high, inside)
        half //= 2


def _indexed(dtype: DType) -> list[Function]:
    element, lanes, align = STORED[dtype], VALUE_ELEMENTS[dtype], _align(STORED[dtype])

    def gather_at(e: Emit, base: Value, offsets: Value, mask: Value) -> Value:
        kind = e.vector(element)
        name = f"llvm.masked.gather.v{e.lanes}{_name(element)}.v{e.lanes}p0"
        pointers = _pointers(e, base, offsets, element)
        size = ir.Constant(I32, align)
        return from_bits(
            e, e.call(name, kind, pointers, size, mask, ir.Constant(kind, None)), dtype
        )

    def put_at(e: Emit, base: Value, offsets: Value, v: Value, mask: Value) -> None:
        bits = to_bits(e, v, dtype)
        name = f"llvm.masked.scatter.v{e.lanes}{_name(element)}.v{e.lanes}p0"
        pointers = _pointers(e, base, offsets, element)
        e.call(name, ir.VoidType(), bits, pointers, ir.Constant(I32, align), mask)

    def steps(e: Emit, start: Value, stride: Value) -> Value:
        return e.builder.add(e.splat(start), e.builder.mul(e.splat(stride), e.iota(I64)))

    def gather(e: Emit, a: Sequence[Value]) -> Value:
        return gather_at(e, a[0], a[1], a[2])

    def put(e: Emit, a: Sequence[Value]) -> None:
        put_at(e, a[0], a[1], a[2], a[3])

    def load_strided(e: Emit, a: Sequence[Value]) -> Value:
        return gather_at(e, a[0], steps(e, a[1], a[2]), a[3])

    def store_strided(e: Emit, a: Sequence[Value]) -> None:
        put_at(e, a[0], steps(e, a[1], a[2]), a[3], a[4])

    return [
        fixed(f"gather_{dtype}", lanes, (INT, "i64", "mask"), gather),
        fixed(f"put_{dtype}", VOID, (INT, "i64", lanes, "mask"), put),
        fixed(f"load_strided_{dtype}", lanes, (INT, INT, INT, "mask"), load_strided),
        fixed(f"store_strided_{dtype}", VOID, (INT, INT, INT, lanes, "mask"), store_strided),
    ]


def _scalar(dtype: DType) -> list[Function]:
    """`get_D` and `set_D` of the dtypes that scalar code computes with: integers and bool."""
    if dtype not in ("i32", "i64", "u8", "bool"):
        return []
    element = STORED[dtype]

    def get(e: Emit, a: Sequence[Value]) -> Value:
        one = e.builder.load(e.pointer(a[0], a[1], element), align=_align(element))
        if element == I64:
            return one
        return e.builder.sext(one, I64) if element == I32 else e.builder.zext(one, I64)

    def put(e: Emit, a: Sequence[Value]) -> None:
        one = a[2] if element == I64 else e.builder.trunc(a[2], element)
        e.builder.store(one, e.pointer(a[0], a[1], element), align=_align(element))

    return [
        fixed(f"get_{dtype}", INT, (INT, INT), get),
        fixed(f"set_{dtype}", VOID, (INT, INT, INT), put),
    ]


def _argument() -> Function:
    def body(e: Emit, a: Sequence[Value]) -> Value:
        return e.builder.load(e.pointer(a[0], a[1], I64), align=8)

    return fixed("argument", INT, (INT, INT), body)


def _drained() -> Function:
    """`drained(whether)`: what was stored past the caches comes before what others see next."""

    def body(e: Emit, a: Sequence[Value]) -> None:
        with e.builder.if_then(e.builder.icmp_unsigned("!=", a[0], index(0))):
            if e.machine.has("sse2"):
                e.call("llvm.x86.sse.sfence", ir.VoidType())
            else:
                e.builder.fence("seq_cst")

    return fixed("drained", VOID, (INT,), body)


def _store_past(e: Emit, value: Value, pointer: Value, align: int) -> None:
    """Stores an aligned vector past the caches."""
    store = e.builder.store(value, pointer, align=align)
    store.set_metadata("nontemporal", e.builder.module.add_metadata([ir.Constant(I32, 1)]))


def _turn(dtype: DType, past: bool) -> Function:
    """`turn_D(to, offset, step, source, offset, step)`: a square block of elements transposed.

    Or `turn_past_D`: rows of the result are aligned, and stored past the caches.

    Row i of the result, `step` elements behind row i - 1, is column i of the source.
    """
    element, align = STORED[dtype], _align(STORED[dtype])

    def body(e: Emit, a: Sequence[Value]) -> None:
        def row(base: Value, offset: Value, step: Value, i: int) -> Value:
            where = e.builder.add(offset, e.builder.mul(step, index(i)))
            pointer = e.pointer(base, where, element)
            return e.builder.bitcast(pointer, ir.PointerType(e.vector(element)))

        rows = [e.builder.load(row(a[3], a[4], a[5], i), align=align) for i in range(e.lanes)]
        size = 1
        while size < e.lanes:  # blocks of this size change places across the diagonal
            for i in (i for i in range(e.lanes) if not i & size):
                low = [k if not k & size else e.lanes + (k ^ size) for k in range(e.lanes)]
                high = [k | size if not k & size else e.lanes + k for k in range(e.lanes)]
                x, y = rows[i], rows[i | size]
                rows[i], rows[i | size] = (_shuffled(e, x, y, places) for places in (low, high))
            size *= 2
        for i, one in enumerate(rows):
            to = row(a[0], a[1], a[2], i)
            if past:
                _store_past(e, one, to, align * e.lanes)
            else:
                e.builder.store(one, to, align=align)

    return fixed(f"turn_{'past_' if past else ''}{dtype}", VOID, (INT,) * 6, body)


def _shuffled(e: Emit, x: Value, y: Value, places: Sequence[int]) -> Value:
    mask = ir.Constant(ir.VectorType(I32, e.lanes), list(places))
    return e.builder.shuffle_vector(x, y, mask)


def _scratch() -> Function:
    """`scratch(bytes)`: the address of a 64-byte aligned block of the stack, one a call site."""

    def rule(_: Machine, arguments: Sequence[Any]) -> Call | None:
        if not isinstance(arguments[0], types.IntegerLiteral):
            return None
        size = int(arguments[0].literal_value)

        def body(e: Emit, _values: Sequence[Value]) -> Value:
            with e.builder.goto_entry_block():
                block = e.builder.alloca(ir.ArrayType(I8, size), name="scratch")
                block.align = 64
            return e.builder.ptrtoint(block, I64)

        return Call(INT, tuple(arguments), body)

    return Function("scratch", 1, rule, literal=True)


def _name(element: Any) -> str:
    return "f32" if element == F32 else "f64" if element == F64 else f"i{element.width}"
