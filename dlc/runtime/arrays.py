"""A user's values as the arrays of a program's inputs, or a named mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dlc.diagnostics import fail
from dlc.diagnostics.embedding import ArrayAxes, ArraySize, ArrayType, ArrayUnreadable, OutUnfit
from dlc.graph import Size, TensorType
from dlc.ops.op import NUMPY_DTYPES
from dlc.runtime.executable import Array, Port


@runtime_checkable
class _HasArray(Protocol):
    def __array__(self, *arguments: Any, **named: Any) -> Array: ...


@runtime_checkable
class _HasDLPack(Protocol):
    def __dlpack__(self, *arguments: Any, **named: Any) -> Any: ...


def read_array(name: str, value: object) -> Array:
    """Any array-like value as a NumPy array; copies only what NumPy must copy.

    Raises DlcError (E0795) for what is no array of numbers or booleans.
    """
    try:
        if isinstance(value, _HasDLPack) and not isinstance(value, _HasArray):
            array = np.from_dlpack(value)  # type: ignore[arg-type]
        else:
            array = np.asarray(value)
    except Exception as error:  # an object of another library may raise anything
        raise fail(ArrayUnreadable(name, _kind(value), str(error))) from error
    if array.dtype.kind not in "biufV" or array.dtype.names is not None:
        raise fail(ArrayUnreadable(name, _kind(value), f"its elements are {array.dtype}"))
    return array


def convert(port: Port, value: object) -> Array:
    """The value as a C-contiguous array of the port's element type; sizes are not looked at.

    Arrays follow NumPy's same-kind rule; Python numbers and lists of them convert where no value
    changes. Raises DlcError (E0792, E0795).
    """
    array = read_array(port.name, value)
    dtype = np.dtype(NUMPY_DTYPES[port.type.dtype])
    if array.dtype != dtype:
        array = _converted(port, array, dtype, exact=isinstance(value, list | tuple | int | float))
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _converted(port: Port, array: Array, dtype: np.dtype[Any], *, exact: bool) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.can_cast(array.dtype, dtype, "same_kind"):
            result = array.astype(dtype)
            if array.dtype.kind in "iu" and dtype.kind in "iu" and (result != array).any():
                raise fail(_unfit(port, f"{array.dtype} out of its range"))
            return result
        if exact or not array.size:
            result = array.astype(dtype)
            if array.dtype.kind != "V" and bool((result == array).all()):
                return result
    raise fail(_unfit(port, str(array.dtype)))


def _unfit(port: Port, given: str) -> ArrayType:
    return ArrayType(port.name, port.type.dtype, given)


class Sizes:
    """The run-time sizes of one call, learned from its arrays."""

    def __init__(self, given: Mapping[str, int]) -> None:
        self.known = dict(given)
        self._source = dict.fromkeys(given, "the call")
        self._later: list[tuple[str, str, Size, int]] = []

    def learn(self, port: Port, shape: tuple[int, ...]) -> None:
        """Takes the sizes of one array. Raises DlcError (E0793, E0794) where they do not fit."""
        if len(shape) != len(port.type.dims):
            raise fail(ArrayAxes(port.name, str(port.type), shape))
        for (axis, size), given in zip(port.type.dims, shape, strict=True):
            number = size.constant
            if number is not None:
                if number != given:
                    reason = f"{port.name} is {port.type}"
                    raise fail(ArraySize(port.name, str(axis), number, given, reason))
            elif len(size.symbols) == 1 and size == Size.symbol(*size.symbols):
                self._symbol(port.name, str(axis), str(size), given)
            else:
                self._later.append((port.name, str(axis), size, given))

    def _symbol(self, name: str, axis: str, symbol: str, given: int) -> None:
        expected = self.known.setdefault(symbol, given)
        source = self._source.setdefault(symbol, name)
        if expected != given:
            reason = f"{source} gives {symbol} the size {expected}"
            raise fail(ArraySize(name, axis, expected, given, reason))

    def check(self) -> None:
        """Compares the sizes that are expressions of others (`T//2`), once all are known."""
        for name, axis, size, given in self._later:
            if size.symbols <= self.known.keys():
                expected = size.value(self.known)
                if expected != given:
                    facts = ", ".join(f"{s} = {self.known[s]}" for s in sorted(size.symbols))
                    raise fail(ArraySize(name, axis, expected, given, f"it is {size}, {facts}"))


def with_unit_axes(array: Array, type: TensorType) -> Array:
    """The array with the axes of size 1 that it lacks; the array itself where that is unclear."""
    missing = len(type.dims) - array.ndim
    ones = [i for i, n in enumerate(type.sizes) if n.constant == 1]
    if missing <= 0 or len(ones) != missing:
        return array
    return np.expand_dims(array, tuple(ones))


def check_out(port: Port, array: object, sizes: Mapping[str, int]) -> Array:
    """The array given for a result, if it can take it. Raises DlcError (E0796)."""
    shape = tuple(size.value(sizes) for size in port.type.sizes)
    dtype = np.dtype(NUMPY_DTYPES[port.type.dtype])
    if not isinstance(array, np.ndarray):
        raise fail(OutUnfit(port.name, f"{_kind(array)} is no NumPy array"))
    if array.dtype != dtype or array.shape != shape:
        given = f"{array.dtype} of shape {array.shape}"
        raise fail(OutUnfit(port.name, f"it is {given}; the result is {dtype} of shape {shape}"))
    if not array.flags.writeable:
        raise fail(OutUnfit(port.name, "it is read-only"))
    return array


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
