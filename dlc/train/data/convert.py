"""Whether the values of a column may become those of a type, found before training starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dlc.diagnostics import Diagnostic, Span
from dlc.diagnostics.data import (
    DtypeMismatch,
    IndexOutOfRange,
    LabelUnknown,
    NotFinite,
    ValueChanges,
)
from dlc.diagnostics.record import replaced
from dlc.graph import DType
from dlc.ops.op import NUMPY_DTYPES
from dlc.train.data.column import Array, Column

CHUNK_BYTES = 1 << 24
NUMBERS = "biuf"
BF16_LOW_BITS = np.uint32(0xFFFF)


def numpy_dtype(dtype: DType) -> np.dtype[Any]:
    """The NumPy type in which values of `dtype` are kept."""
    found: np.dtype[Any] = np.dtype(NUMPY_DTYPES[dtype])
    return found


def numbered(
    column: Column, dtype: DType, classes: tuple[str, ...] | None, at: Span | None
) -> Column | Diagnostic:
    """The column with text replaced by class numbers: sorted order, or that of `classes`.

    Numbers that the reader made of names (of folders) become those of `classes`.
    """
    if column.classes is not None and classes is not None and column.classes != classes:
        column = replaced(column, values=np.array(column.classes)[column.values])
    if column.values.dtype.kind not in "US":
        return column
    if dtype not in ("i32", "i64", "u8") or column.values.ndim != 1:
        return DtypeMismatch(column.name, dtype, column.file, "text", at)
    texts = column.values.astype(np.str_)
    names = np.unique(texts) if classes is None else np.array(classes)
    sorter = np.argsort(names, kind="stable")
    found = sorter[np.minimum(np.searchsorted(names, texts, sorter=sorter), len(names) - 1)]
    strange = np.flatnonzero(names[found] != texts)
    if strange.size:
        row = int(strange[0])
        known = tuple(str(n) for n in names)
        return LabelUnknown(column.name, str(texts[row]), column.place((row,)), known)
    known = tuple(str(n) for n in names)
    return replaced(column, values=found.astype(np.int64), classes=known)


def find_misfit(
    column: Column, dtype: DType, row_dim: int | None, at: Span | None
) -> Diagnostic | None:
    """The first value that is not finite or would change in `dtype`, or None."""
    values = column.values
    if values.dtype.kind not in NUMBERS:
        return DtypeMismatch(column.name, dtype, column.file, f"{values.dtype}", at)
    if values.dtype == numpy_dtype(dtype) and values.dtype.kind in "iub":
        return None
    for start, part in chunks(values):
        if values.dtype.kind == "f":
            place = _first(~np.isfinite(part), start)
            if place is not None:
                return NotFinite(column.name, str(values[place]), column.place(place, row_dim))
        place = _first(_changed(part, dtype), start)
        if place is not None:
            text = str(values[place])
            return ValueChanges(column.name, dtype, text, column.place(place, row_dim), at)
    return None


def find_outside(
    column: Column, size: int, axis: str, row_dim: int | None, at: Span | None
) -> Diagnostic | None:
    """The first value that is no index of an axis of `size`, or None."""
    for start, part in chunks(column.values):
        place = _first((part < 0) | (part >= size), start)
        if place is not None:
            value = int(column.values[place])
            where = column.place(place, row_dim)
            if column.classes is not None and value < len(column.classes):
                where = f"{where} ({column.classes[value]!r})"
            return IndexOutOfRange(column.name, value, axis, size, where, at)
    return None


def chunks(values: Array) -> Iterator[tuple[int, Array]]:
    """Pieces along the first axis that fit the cache, each with its first index."""
    if values.ndim == 0:
        yield 0, values
        return
    step = max(1, CHUNK_BYTES // max(1, values[:1].nbytes))
    for start in range(0, len(values), step):
        yield start, values[start : start + step]


def _first(wrong: Array, start: int) -> tuple[int, ...] | None:
    if not wrong.any():
        return None
    place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return tuple(int(i) + (start if d == 0 else 0) for d, i in enumerate(place))


def _changed(part: Array, dtype: DType) -> Array:
    """Where the conversion does not keep the value; f64 to f32 may round, not overflow."""
    target = numpy_dtype(dtype)
    if part.dtype.kind in "iu" and target.kind in "iu":
        limits = np.iinfo(target)
        if part.dtype.kind == "u":
            return np.asarray(part > limits.max)
        return np.asarray((part < limits.min) | (part > limits.max))
    with np.errstate(all="ignore"):
        converted = part.astype(target)
        if dtype == "f32" and part.dtype == np.float64:
            return np.asarray(~np.isfinite(converted))
        if dtype == "bf16":
            low = converted.view(np.uint32) & BF16_LOW_BITS
            return np.asarray((low != 0) | (converted.astype(part.dtype) != part))
        return np.asarray(converted.astype(part.dtype) != part)
