"""Csv files: a header, then numbers and text."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dlc.diagnostics import DlcError, Span, fail
from dlc.diagnostics.data import ColumnMissing
from dlc.diagnostics.files import (
    CsvHeader,
    CsvRow,
    CsvValue,
    FileDamaged,
    FileTooLarge,
    FileUnreadable,
)
from dlc.diagnostics.record import record
from dlc.memory import memory_bytes
from dlc.train.data.column import Array, Column
from dlc.train.data.find import reason

BYTES_A_CHARACTER = 8
"""Python's strings in lists take about this much memory for each character of a file."""
GZIP_MAGIC = b"\x1f\x8b"
WHOLE = range(-(2**63), 2**63)


@record
class Request:
    """A column to make: of one csv column, or of several side by side."""

    name: str
    headers: tuple[str, ...]
    beside: bool
    """Whether the column gets an axis of `headers`, also for one."""
    at: Span | None = None


def read_csv(path: Path, requests: tuple[Request, ...]) -> dict[str, Column]:
    """The columns asked for; every csv column by its name if none is.

    Raises DlcError: E0702 to E0705, E0724 to E0726.
    """
    header, rows, lines = _rows(path)
    if not requests:
        requests = tuple(Request(name, (name,), beside=False) for name in header)
    for request in requests:
        for name in request.headers:
            if name not in header:
                raise fail(ColumnMissing(str(path), name, header, request.at))
    places = np.array(lines, np.int64)
    return {r.name: _column(path, r, header, rows, places) for r in requests}


def _rows(path: Path) -> tuple[tuple[str, ...], list[list[str]], list[int]]:
    try:
        text = _text(path)
        first = text.split("\n", 1)[0]
        stream = io.StringIO(text, newline="")
        reader = csv.reader(stream, delimiter=_delimiter(path, first), strict=True)
        header = tuple(name.strip() for name in next(reader, []))
        _check_header(path, header)
        return header, *_body(path, reader, len(header))
    except csv.Error as error:
        raise fail(FileDamaged(str(path), "csv", reason(error))) from error


def _body(path: Path, reader: csv._reader, width: int) -> tuple[list[list[str]], list[int]]:  # type: ignore[name-defined]
    rows: list[list[str]] = []
    lines: list[int] = []
    start = reader.line_num + 1
    for row in reader:
        if row:  # a blank line is no row
            if len(row) != width:
                raise fail(CsvRow(str(path), start, len(row), width))
            rows.append(row)
            lines.append(start)
        start = reader.line_num + 1
    return rows, lines


def _text(path: Path) -> str:
    limit = memory_bytes() // BYTES_A_CHARACTER
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            data = (gzip.GzipFile(fileobj=file) if packed else file).read(limit + 1)
        if len(data) > limit:
            raise fail(FileTooLarge(str(path), len(data) * BYTES_A_CHARACTER, memory_bytes()))
        return data.decode("utf-8-sig")
    except DlcError:
        raise
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise fail(FileDamaged(str(path), "csv", f"line {line} is not UTF-8 text")) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fail(FileDamaged(str(path), "csv", reason(error))) from error
    except OSError as error:
        raise fail(FileUnreadable(str(path), reason(error))) from error


def _delimiter(path: Path, header: str) -> str:
    if ".tsv" in path.suffixes:
        return "\t"
    return max(",;\t", key=header.count)


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    if not any(header):
        raise fail(CsvHeader(str(path), "the file is empty"))
    twice = next((n for n in header if header.count(n) > 1), None)
    if twice is not None:
        raise fail(CsvHeader(str(path), f"the header names {twice!r} twice"))


def _column(
    path: Path, request: Request, header: tuple[str, ...], rows: list[list[str]], lines: Array
) -> Column:
    parts = []
    for name in request.headers:
        place = header.index(name)
        parts.append(_numbers(path, name, [row[place].strip() for row in rows], lines))
    if not request.beside:
        return Column(request.name, parts[0], str(path), lines, request.headers)
    for name, part in zip(request.headers, parts, strict=True):
        if part.dtype.kind == "U":
            raise fail(CsvValue(str(path), int(lines[0]), name, str(part[0])))
    return Column(request.name, np.stack(parts, axis=1), str(path), lines, request.headers)


def _numbers(path: Path, name: str, texts: list[str], lines: Array) -> Array:
    """The fields as integers, else floats, else, where the first one is no number, text."""
    if texts and _number(texts[0]) is None:
        empty = next(_blank(texts), None)
        if empty is not None:
            raise fail(CsvValue(str(path), int(lines[empty]), name, ""))
        return np.array(texts)
    values = []
    for i, text in enumerate(texts):
        value = _number(text)
        if value is None:
            raise fail(CsvValue(str(path), int(lines[i]), name, text))
        values.append(value)
    whole = all(isinstance(v, int) for v in values)
    return np.array(values, np.int64 if whole else np.float64)


def _blank(texts: list[str]) -> Iterator[int]:
    return (i for i, text in enumerate(texts) if not text)


def _number(text: str) -> int | float | None:
    if not text or "_" in text:
        return None
    try:
        whole = int(text)
        return whole if whole in WHOLE else float(whole)
    except (ValueError, OverflowError):
        pass
    try:
        return float(text)
    except ValueError:
        return None
