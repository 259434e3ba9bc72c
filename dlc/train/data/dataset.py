"""Columns bound to the parameters of a recipe's steps: batches come out as the types say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dlc.diagnostics import Diagnostic, DlcError, fail
from dlc.diagnostics.data import ColumnUnbound, NoRows, RowsDiffer, ShapeMismatch, StreamTooShort
from dlc.diagnostics.record import record
from dlc.graph import RangeCheck, Size, TensorType
from dlc.semantics.program import Port, StepProgram
from dlc.train.data.column import Array, Column
from dlc.train.data.convert import find_misfit, find_outside, numbered, numpy_dtype
from dlc.train.data.source import Columns


@record
class Feed:
    """One parameter's values, rows in axis `row_dim` (None: the same for every batch)."""

    name: str
    values: Array
    dtype: np.dtype[Any]
    row_dim: int | None
    classes: tuple[str, ...] | None = None

    def take(self, rows: Array) -> Array:
        """The values of these rows, C-contiguous, of the parameter's element type."""
        if self.row_dim is None:
            return np.ascontiguousarray(self.values, self.dtype)
        return np.ascontiguousarray(np.take(self.values, rows, axis=self.row_dim), self.dtype)


@record
class Dataset:
    """All that a recipe's steps read of one source."""

    name: str
    rows: int
    feeds: Mapping[str, tuple[Feed, ...]]
    """By step."""
    hashes: Mapping[str, str]

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """The names that the numbers of a column stand for, by column."""
        feeds = [feed for step in self.feeds.values() for feed in step]
        return {feed.name: feed.classes for feed in feeds if feed.classes is not None}

    def batch(self, step: str, rows: Array) -> dict[str, Array]:
        """What one run of `step` reads of these rows, by parameter."""
        return {feed.name: feed.take(rows) for feed in self.feeds[step]}


def bind(
    source: Columns,
    steps: Iterable[StepProgram],
    batch: Mapping[str, int],
    *,
    classes: Mapping[str, tuple[str, ...]] | None = None,
) -> Dataset:
    """Checks the columns against every step's signature; reports all mistakes at once.

    `batch` maps the batch axis, and axes along which streams are cut, to their sizes. `classes`
    are those of the training data, for the labels of a test source.
    Raises DlcError (E0706 to E0709, E0720 to E0723, E0727, E0731).
    """
    binder = _Binder(source, dict(batch), dict(classes or {}))
    feeds = {step.name: binder.step(step) for step in steps}
    if binder.mistakes:
        raise DlcError(dict.fromkeys(binder.mistakes))
    rows = binder.rows.get("", ("", next(iter(batch.values()), 1)))[1]
    if rows == 0:
        raise fail(NoRows(source.name, "it has no rows"))
    return Dataset(source.name, rows, feeds, source.hashes)


class _Binder:
    """Binds parameter by parameter, remembering sizes and mistakes."""

    def __init__(
        self, source: Columns, batch: dict[str, int], classes: dict[str, tuple[str, ...]]
    ) -> None:
        self.source, self.classes = source, classes
        self.axis = next(iter(batch), None)
        self.pieces = {a: n for a, n in batch.items() if a != self.axis}
        self.sizes: dict[str, tuple[str, int]] = {}
        self.rows: dict[str, tuple[str, int]] = {}
        self.mistakes: list[Diagnostic] = []
        self.known: dict[tuple[str, TensorType, Size | None], Feed | None] = {}

    def step(self, step: StepProgram) -> tuple[Feed, ...]:
        limits = {c.input: c for c in step.graph.checks if isinstance(c, RangeCheck)}
        feeds = [self.feed(port, limits.get(port.name)) for port in step.inputs]
        return tuple(f for f in feeds if f is not None)

    def feed(self, port: Port, limit: RangeCheck | None) -> Feed | None:
        key = (port.name, port.type, limit.size if limit else None)
        if key not in self.known:
            try:
                self.known[key] = self._feed(port, limit)
            except DlcError as error:
                self.mistakes += error.diagnostics
                self.known[key] = None
        return self.known[key]

    def _feed(self, port: Port, limit: RangeCheck | None) -> Feed:
        column = self.source.columns.get(port.name)
        if column is None:
            names = tuple(self.source.columns)
            raise fail(ColumnUnbound(port.name, self.source.name, names, port.span))
        dtype = port.type.dtype
        column = _checked(numbered(column, dtype, self._classes(column), port.span))
        row_dim = self._row_dim(port)
        values, cut = self._shaped(port, column, row_dim)
        raw_row = None if cut else row_dim
        _refuse(find_misfit(column, dtype, raw_row, port.span))
        if limit is not None:
            self._check_range(column, limit, raw_row)
        if row_dim is not None:
            self._count(column, values.shape[row_dim])
        return Feed(port.name, values, numpy_dtype(dtype), row_dim, column.classes)

    def _classes(self, column: Column) -> tuple[str, ...] | None:
        return self.classes.get(column.name)

    def _row_dim(self, port: Port) -> int | None:
        names = [a.name for a in port.type.axes]
        if self.axis is None:
            self.axis = names[0] if names else None
        return names.index(self.axis) if self.axis in names else None

    def _check_range(self, column: Column, limit: RangeCheck, row_dim: int | None) -> None:
        known = {name: n for name, (_, n) in self.sizes.items()} | self.pieces
        if limit.size.symbols <= known.keys():
            at = limit.spans[0] if limit.spans else None
            size = limit.size.value(known)
            _refuse(find_outside(column, size, limit.axis.name, row_dim, at))

    def _count(self, column: Column, rows: int) -> None:
        first, count = self.rows.setdefault("", (f"{column.name} ({column.file})", rows))
        if count != rows:
            here = f"{column.name} ({column.file})"
            raise fail(RowsDiffer(str(self.axis), first, count, here, rows))

    def _shaped(self, port: Port, column: Column, row_dim: int | None) -> tuple[Array, bool]:
        """The values with every axis of the type, pieces of a stream as rows; whether cut."""
        axes = [a.name for a in port.type.axes]
        cuts = [a for a in axes if a in self.pieces]
        if not cuts or row_dim is None:
            return self._fit(port, column, port.type, column.values), False
        cut = axes[next(i for i, a in enumerate(axes) if a in self.pieces)]
        free = TensorType(port.type.dtype, tuple(_loose(d, self.pieces) for d in port.type.dims))
        stream = free.without([a for a in free.axes if a.name == self.axis])
        rows_too = column.values.ndim > len(stream.dims)
        values = self._fit(port, column, free if rows_too else stream, column.values)
        if not rows_too:
            values = np.expand_dims(values, row_dim)
        return self._cut(port, column, values, row_dim, axes.index(cut)), True

    def _cut(self, port: Port, column: Column, values: Array, row: int, dim: int) -> Array:
        axis = port.type.axes[dim].name
        piece, length = self.pieces[axis], values.shape[dim]
        if length < piece:
            raise fail(StreamTooShort(port.name, axis, length, piece, column.file))
        whole = values[(slice(None),) * dim + (slice(0, length // piece * piece),)]
        shape = (*whole.shape[:dim], length // piece, piece, *whole.shape[dim + 1 :])
        parts = whole.reshape(shape)  # the pieces stand at `dim`, their elements behind
        first = row if row < dim else row + 1
        parts = np.moveaxis(parts, (first, dim), (0, 1))
        merged = parts.reshape((-1, *parts.shape[2:]))
        return np.moveaxis(merged, 0, row)

    def _fit(self, port: Port, column: Column, type: TensorType, values: Array) -> Array:
        """The values with an axis for each of the type's; learns and compares run-time sizes."""
        places = _match(type.sizes, values.shape)
        if places is None:
            raise fail(_misfit(port, column, f"it should have the axes {_axes(type)}"))
        shape = tuple(1 if p is None else values.shape[p] for p in places)
        for (axis, size), found in zip(type.dims, shape, strict=True):
            if axis.name != self.axis:
                self._size(port, column, axis.name, size, found)
        return values.reshape(shape) if shape != values.shape else values

    def _size(self, port: Port, column: Column, axis: str, size: Size, found: int) -> None:
        expected, source = size.constant, f"its type says {axis} = {size}"
        if expected is None:
            symbols = sorted(size.symbols)
            if len(symbols) == 1 and size == Size.symbol(symbols[0]):
                if symbols[0].startswith("*"):
                    return
                source, expected = self.sizes.setdefault(symbols[0], (port.name, found))
                source = f"{source} gives {symbols[0]} the size {expected}"
            elif set(symbols) <= self.sizes.keys():
                expected = size.value({s: self.sizes[s][1] for s in symbols})
            else:
                return
        if expected != found:
            raise fail(_misfit(port, column, f"axis {axis} has {found}, but {source}"))


def _loose(dim: tuple[Any, Size], pieces: Mapping[str, int]) -> tuple[Any, Size]:
    """The dim with any size if a stream is cut along it."""
    return (dim[0], Size.symbol("*")) if dim[0].name in pieces else dim


def _match(sizes: tuple[Size, ...], shape: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """For each axis its place in `shape`; None for one of size 1 that is missing there."""
    if len(sizes) == len(shape):
        return tuple(range(len(shape)))
    missing = len(sizes) - len(shape)
    ones = [i for i, size in enumerate(sizes) if size.constant == 1]
    if missing < 0 or missing > len(ones):
        return None
    best: tuple[int | None, ...] | None = None
    for skipped in _choices(ones, missing):
        kept = [i for i in range(len(sizes)) if i not in skipped]
        fits = all(sizes[i].constant in (None, n) for i, n in zip(kept, shape, strict=True))
        places = {i: p for p, i in enumerate(kept)}
        if fits or best is None:
            best = tuple(places.get(i) for i in range(len(sizes)))
        if fits:
            break
    return best


def _choices(ones: list[int], count: int) -> Iterable[frozenset[int]]:
    """The subsets of `count` axes; there are few, for a tensor has few axes of size 1."""
    if count == 0:
        yield frozenset()
        return
    for k, one in enumerate(ones):
        for rest in _choices(ones[k + 1 :], count - 1):
            yield rest | {one}


def _axes(type: TensorType) -> str:
    return ", ".join(a.name for a in type.axes) or "none"


def _misfit(port: Port, column: Column, reason: str) -> ShapeMismatch:
    shape = column.values.shape
    return ShapeMismatch(port.name, _shown(port.type), column.file, shape, reason, port.span)


def _shown(type: TensorType) -> str:
    """The type as the language writes it: `u8[N, C=1]`."""
    dims = [a.name if n == Size.symbol(a.name) else f"{a.name}={n}" for a, n in type.dims]
    return f"{type.dtype}[{', '.join(dims)}]" if dims else type.dtype


def _checked(result: Column | Diagnostic) -> Column:
    if isinstance(result, Diagnostic):
        raise fail(result)
    return result


def _refuse(mistake: Diagnostic | None) -> None:
    if mistake is not None:
        raise fail(mistake)
