"""Scalars of a vector: where a value that all lanes share becomes an index."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from dlc.codegen.vector.define import INT, Function, fixed
from dlc.codegen.vector.emit import Emit, Value
from dlc.codegen.vector.types import I32


def functions() -> list[Function]:
    """`scalar_i64(v)`: lane 0 of an i64 vector."""

    def first(e: Emit, a: Sequence[Value]) -> Value:
        return e.builder.extract_element(a[0], ir.Constant(I32, 0))

    return [fixed("scalar_i64", INT, ("i64",), first)]
