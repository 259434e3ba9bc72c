"""The Numba types of vectors: one for each element type, and the mask."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.extending import register_model

Element = Literal["f32", "f64", "i32", "i64", "u8", "mask"]
"""What a lane holds. f16 and bf16 values are f32 lanes; a bool value is a mask."""
FLOAT_ELEMENTS: tuple[Element, ...] = ("f32", "f64")
INTEGER_ELEMENTS: tuple[Element, ...] = ("i32", "i64", "u8")

F32, F64 = ir.FloatType(), ir.DoubleType()
I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
LLVM_ELEMENTS: dict[Element, Any] = {
    "f32": F32, "f64": F64, "i32": I32, "i64": I64, "u8": I8, "mask": I1,
}  # fmt: skip
VALUE_ELEMENTS: dict[str, Element] = {
    "f32": "f32", "f64": "f64", "f16": "f32", "bf16": "f32",
    "i32": "i32", "i64": "i64", "u8": "u8", "bool": "mask",
}  # fmt: skip
"""The lanes that hold values of each dtype of the language."""


class VectorType(types.Type):
    """The Numba type of a vector of `lanes` elements."""

    def __init__(self, element: Element, lanes: int) -> None:
        self.element, self.lanes = element, lanes
        super().__init__(name=f"{element}x{lanes}")

    @property
    def key(self) -> str:
        """Numba compares types by it."""
        return str(self.name)

    @property
    def llvm(self) -> ir.VectorType:
        """The LLVM type of a value."""
        return ir.VectorType(LLVM_ELEMENTS[self.element], self.lanes)


class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: VectorType) -> None:
        start: Any = super().__init__
        start(manager, numba_type, numba_type.llvm)


register_model(VectorType)(_VectorModel)


@cache
def vector_type(element: Element, lanes: int) -> VectorType:
    """The type of a vector."""
    return VectorType(element, lanes)
