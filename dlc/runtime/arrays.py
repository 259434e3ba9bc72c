"""A user's values as NumPy arrays, or a named mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dlc.diagnostics import fail
from dlc.diagnostics.embedding import ArrayUnreadable, OutUnfit
from dlc.graph import TensorType
from dlc.ops import NUMPY_DTYPES
from dlc.reference.feeds import convert
from dlc.runtime.executable import Array, Port


@runtime_checkable
class _HasArray(Protocol):
    def __array__(self, *arguments: Any, **named: Any) -> Array: ...


@runtime_checkable
class _HasDLPack(Protocol):
    def __dlpack__(self, *arguments: Any, **named: Any) -> Any: ...


def read_array(port: Port, value: object) -> Array:
    """Any array-like value as a C-contiguous array of the port's element type.

    Arrays follow NumPy's same-kind rule, whole numbers convert where they fit; so do Python's
    numbers where no value changes. Sizes are not looked at. Raises DlcError (E0795, E0710 to
    E0718).
    """
    array = value if isinstance(value, np.ndarray) else _foreign(port.name, value)
    if array.dtype == NUMPY_DTYPES[port.type.dtype] and port.type.dtype != "bf16":
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)
    if array.dtype.kind not in "biufV" or array.dtype.names is not None:
        reason = f"its elements are {array.dtype}"
        raise fail(ArrayUnreadable(port.name, _kind(value), reason))
    if isinstance(value, list | tuple | int | float):
        array = _exact(array, np.dtype(NUMPY_DTYPES[port.type.dtype]))
    array = convert(port.name, port.type, array)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _foreign(name: str, value: object) -> Array:
    try:
        if isinstance(value, _HasDLPack) and not isinstance(value, _HasArray):
            return np.from_dlpack(value)
        return np.asarray(value)
    except Exception as error:  # an object of another library may raise anything
        raise fail(ArrayUnreadable(name, _kind(value), str(error))) from error


def with_unit_axes(array: Array, type: TensorType) -> Array:
    """The array with the axes of size 1 that it lacks; the array itself where that is unclear."""
    missing = len(type.dims) - array.ndim
    ones = [place for place, size in enumerate(type.sizes) if size.constant == 1]
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


def _exact(array: Array, dtype: np.dtype[Any]) -> Array:
    """The array in another element type if that changes no value, else the array itself."""
    with np.errstate(all="ignore"):
        result = array.astype(dtype)
    return result if np.array_equal(result, array) else array


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
