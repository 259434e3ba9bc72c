"""What type rules share: dtypes that must agree, axes that meet, sizes that must be equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dlc.graph import DTYPES, FLOATS, INTEGERS, SCALARS, Axis, DType, Size, TensorType
from dlc.ops.op import TypeRuleError

NUMBERS: frozenset[DType] = FLOATS | INTEGERS
ANY: frozenset[DType] = frozenset(DTYPES)
BOOL: frozenset[DType] = frozenset(("bool",))


def count(name: str, types: Sequence[TensorType], n: int) -> None:
    """Raises unless there are `n` operands."""
    if len(types) != n:
        raise TypeRuleError(f"{name} takes {n} operands, not {len(types)}")


def one_dtype(name: str, types: Iterable[TensorType], allowed: frozenset[DType]) -> DType:
    """The dtype that all operands have, which is one of `allowed`."""
    found = list(dict.fromkeys(t.dtype for t in types))
    if len(found) != 1:
        raise TypeRuleError(f"{name} takes operands of one dtype, not {' and '.join(found)}")
    if found[0] not in allowed:
        kinds = ", ".join(d for d in DTYPES if d in allowed)
        raise TypeRuleError(f"{name} takes {kinds}, not {found[0]}")
    return found[0]


def meet(axis: Axis, left: Size, right: Size) -> Size:
    """The size of an axis that two tensors share; equality that is unknown is accepted."""
    if left is not right and left.compare(right) == "different":
        raise TypeRuleError(f"axis {axis} has two sizes here: {left} and {right}", axis)
    return left


def union(types: Iterable[TensorType]) -> dict[Axis, Size]:
    """The axes of all operands, each at its first place, with their sizes."""
    dims: dict[Axis, Size] = {}
    for type in types:
        for axis, size in type.dims:
            dims[axis] = meet(axis, dims[axis], size) if axis in dims else size
    return dims


def united(dtype: DType, types: Iterable[TensorType]) -> TensorType:
    """The type over the axes of all operands; that of an operand, where it has them all."""
    shaped = [type for type in types if type.dims]
    if not shaped:
        return SCALARS[dtype]
    if all(type.dims == shaped[0].dims for type in shaped):
        return shaped[0].cast(dtype)
    return TensorType(dtype, tuple(union(shaped).items()))


def tensor(dtype: DType, dims: Iterable[tuple[Axis, Size]]) -> TensorType:
    """A type; raises where an axis stands twice."""
    dims = tuple(dims)
    axes = [axis for axis, _ in dims]
    if len(set(axes)) < len(axes):
        axis = next(a for a in axes if axes.count(a) > 1)
        raise TypeRuleError(f"axis {axis} would stand twice in the result", axis)
    return TensorType(dtype, dims)


def size_of(name: str, type: TensorType, axis: Axis) -> Size:
    """The size of an axis that the operand must have."""
    try:
        return type.size(axis)
    except KeyError:
        raise TypeRuleError(f"{name} needs axis {axis}, which {type} lacks", axis) from None


def not_negative(axis: Axis, size: Size, what: str) -> Size:
    """The size of a result; raises where it is known to be below 0."""
    if (size * -1).at_least(1):
        raise TypeRuleError(f"{what} axis {axis} would have size {size}", axis)
    return size


def distinct(name: str, axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The axes; raises where one is named twice."""
    for axis in axes:
        if list(axes).count(axis) > 1:
            raise TypeRuleError(f"{name} names axis {axis} twice", axis)
    return tuple(axes)


def number(size: Size | int) -> Any:
    """A size as a view's index map uses it: an int where it is known."""
    constant = Size.of(size).constant
    return Size.of(size) if constant is None else constant
