"""The LLVM builder with the shorthands that vector functions are written in."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from dlc.codegen.machine import Machine
from dlc.codegen.vector.types import F32, F64, I1, I32, I64

_declared: Any = cgutils.get_or_insert_function
Value = Any
"""An LLVM value (llvmlite has no type stubs)."""


@dataclass(frozen=True, slots=True)
class Emit:
    """A builder at the place where a vector function is called, for one machine."""

    builder: Any
    machine: Machine

    @property
    def lanes(self) -> int:
        """Lanes of every vector."""
        return self.machine.lanes

    def vector(self, element: Any) -> Any:
        """The LLVM type of a vector of these elements."""
        return ir.VectorType(element, self.lanes)

    def const(self, x: float, like: Any) -> Value:
        """The number `x` in all lanes, of the type `like`: an LLVM vector type, or an element."""
        kind = like if isinstance(like, ir.VectorType) else self.vector(like)
        return ir.Constant(kind, [_literal(x, kind.element)] * kind.count)

    def iota(self, element: Any) -> Value:
        """The integers 0, 1, 2, ... in the lanes."""
        return ir.Constant(self.vector(element), list(range(self.lanes)))

    def splat(self, scalar: Value) -> Value:
        """A scalar in all lanes."""
        kind = self.vector(scalar.type)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        lanes = ir.Constant(self.vector(I32), None)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def shuffle(self, x: Value, lanes: Sequence[int]) -> Value:
        """The lanes of `x` in another order."""
        order = ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(x, ir.Constant(x.type, ir.Undefined), order)

    def call(self, name: str, result: Any, *args: Value) -> Value:
        """A call of a function of the C library or an intrinsic, declared here if need be."""
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.builder.call(_declared(self.builder.module, kind, name), args)

    def intrinsic(self, name: str, *args: Value) -> Value:
        """A call of LLVM's `name`, overloaded on the first argument's type, which it returns."""
        return self.call(f"{name}.{suffix(args[0].type)}", args[0].type, *args)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """`x * y + z`, rounded once."""
        return self.intrinsic("llvm.fma", x, y, z)

    @property
    def scales(self) -> bool:
        """Whether `scaled` is one instruction."""
        return self.machine.has("avx512f") and self.lanes == 16

    def scaled(self, x: Value, n: Value) -> Value:
        """x 2^n of whole float32 lanes n, rounded once; NaN where n is."""
        every, nearest = ir.Constant(ir.IntType(16), -1), ir.Constant(I32, 4)
        name = "llvm.x86.avx512.mask.scalef.ps.512"
        return self.call(name, x.type, x, n, x, every, nearest)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Horner's scheme, the coefficient of the highest power first."""
        result = self.const(coefficients[0], x.type)
        for c in coefficients[1:]:
            result = self.fma(result, x, self.const(c, x.type))
        return result

    def bits(self, x: Value, element: Any) -> Value:
        """The same bits as lanes of another type of the same width."""
        return self.builder.bitcast(x, self.vector(element))

    def absolute(self, x: Value) -> Value:
        """|x| of floats."""
        return self.intrinsic("llvm.fabs", x)

    def negative(self, x: Value) -> Value:
        """The mask of floats with a sign, -0 and some NaNs among them."""
        whole = I64 if x.type.element == F64 else I32
        zero = ir.Constant(self.vector(whole), None)
        return self.builder.icmp_signed("<", self.bits(x, whole), zero)

    def compare(self, relation: str, x: Value, y: Value | float) -> Value:
        """The mask of an ordered comparison of floats: false where either is NaN."""
        return self.builder.fcmp_ordered(relation, x, self._operand(y, x))

    def is_nan(self, x: Value) -> Value:
        """The mask of NaNs."""
        return self.builder.fcmp_unordered("uno", x, x)

    def select(self, mask: Value, x: Value | float, y: Value | float) -> Value:
        """Lane by lane `x` where the mask is set, else `y`; one of them may be a number."""
        like = y if isinstance(x, (int, float)) else x
        return self.builder.select(mask, self._operand(x, like), self._operand(y, like))

    def any(self, mask: Value) -> Value:
        """A scalar: whether a lane of the mask is set."""
        return self.intrinsic_of_mask("llvm.vector.reduce.or", mask)

    def intrinsic_of_mask(self, name: str, mask: Value) -> Value:
        """A reduction of a mask to one bit."""
        return self.call(f"{name}.{suffix(mask.type)}", I1, mask)

    def each_lane(self, function: Callable[..., Value], *args: Value) -> Value:
        """The results of a scalar computation for the lanes of the arguments."""
        result = None
        for k in range(self.lanes):
            index = ir.Constant(I32, k)
            scalar = function(*(self.builder.extract_element(a, index) for a in args))
            if result is None:
                result = ir.Constant(self.vector(scalar.type), ir.Undefined)
            result = self.builder.insert_element(result, scalar, index)
        return result

    def libm(self, name: str, *args: Value) -> Value:
        """The C library's function for each lane: `name` for doubles, `namef` for floats."""
        element = args[0].type.element
        symbol = name + "f" if element == F32 else name
        return self.each_lane(lambda *xs: self.call(symbol, element, *xs), *args)

    def pointer(self, base: Value, offset: Value, element: Any) -> Value:
        """The pointer to element `offset` of the array at address `base`."""
        start = self.builder.inttoptr(base, ir.PointerType(element))
        return self.builder.gep(start, [offset], source_etype=element)

    def _operand(self, x: Value | float, like: Value) -> Value:
        return self.const(x, like.type) if isinstance(x, (int, float)) else x


def suffix(kind: Any) -> str:
    """How LLVM names a type inside the name of an overloaded intrinsic: `v8f32`."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{suffix(kind.element)}"
    if isinstance(kind, ir.PointerType):
        return "p0"
    if isinstance(kind, ir.IntType):
        return f"i{kind.width}"
    return "f32" if kind == F32 else "f64"


def index(value: int) -> Value:
    """A 64-bit integer constant."""
    return ir.Constant(I64, value)


def _literal(x: float, element: Any) -> float | int:
    """The number as the element holds it: rounded to float32, or modulo the integer's width."""
    if isinstance(element, ir.IntType):
        return int(x) & (2**element.width - 1) if element.width > 1 else int(bool(x))
    if element == F32 and math.isfinite(x):
        return float(struct.unpack("<f", struct.pack("<f", x))[0])
    return float(x)
