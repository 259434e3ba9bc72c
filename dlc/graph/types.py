"""Axes with names, element types, and the types of tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from dlc.graph.size import Size, product

DType = Literal["f32", "f64", "f16", "bf16", "i32", "i64", "u8", "bool"]
DTYPES: tuple[DType, ...] = ("f32", "f64", "f16", "bf16", "i32", "i64", "u8", "bool")
FLOATS: frozenset[DType] = frozenset(("f32", "f64", "f16", "bf16"))
INTEGERS: frozenset[DType] = frozenset(("i32", "i64", "u8"))
ITEM_BYTES: dict[DType, int] = {
    "f32": 4, "f64": 8, "f16": 2, "bf16": 2, "i32": 4, "i64": 8, "u8": 1, "bool": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis. Outside layers its name is its identity (`scope` 0); those of bodies have scopes."""

    name: str
    scope: int = 0
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        """Computed once: axes are hashed far more often than made."""
        if not self._hash:
            object.__setattr__(self, "_hash", hash((self.name, self.scope)) or 1)
        return self._hash

    def __lt__(self, other: Axis) -> bool:
        return (self.name, self.scope) < (other.name, other.scope)

    def __str__(self) -> str:
        return f"{self.name}~{self.scope}" if self.scope else self.name

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class TensorType:
    """An element type and distinct axes in their logical order, each with its size here."""

    dtype: DType
    dims: tuple[tuple[Axis, Size], ...] = ()
    axes: tuple[Axis, ...] = field(init=False, repr=False, compare=False)
    """The axes in order."""

    @staticmethod
    def of(dtype: DType, dims: Iterable[tuple[Axis, Size | int]]) -> TensorType:
        """The type with sizes given as numbers or sizes."""
        return TensorType(dtype, tuple((a, Size.of(n)) for a, n in dims))

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple([a for a, _ in self.dims]))
        assert len(self.dims) < 2 or len(set(self.axes)) == len(self.dims), f"twice: {self.dims}"

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes in the order of the axes."""
        return tuple([n for _, n in self.dims])

    @property
    def elements(self) -> Size:
        """The number of elements."""
        return product(self.sizes)

    def size(self, axis: Axis) -> Size:
        """The size of `axis`. Raises KeyError if the type lacks it."""
        for known, size in self.dims:
            if known == axis:
                return size
        raise KeyError(axis)

    def has(self, axis: Axis) -> bool:
        """Whether the type has `axis`."""
        return axis in self.axes

    def without(self, axes: Iterable[Axis]) -> TensorType:
        """The type less some axes."""
        gone = set(axes)
        return TensorType(self.dtype, tuple(d for d in self.dims if d[0] not in gone))

    def cast(self, dtype: DType) -> TensorType:
        """The same axes with another element type."""
        return self if dtype == self.dtype else TensorType(dtype, self.dims)

    def __str__(self) -> str:
        inside = ", ".join(f"{a}={n}" for a, n in self.dims)
        return f"{self.dtype}[{inside}]" if self.dims else self.dtype

    __repr__ = __str__


SCALARS: dict[DType, TensorType] = {dtype: TensorType(dtype) for dtype in DTYPES}
"""The types without axes."""
