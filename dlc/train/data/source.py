"""From a data source as it was written, or arrays from Python, to columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlc.diagnostics import Diagnostic, DlcError, Span, fail
from dlc.diagnostics.data import NotAnArray
from dlc.diagnostics.files import FileUnreadable
from dlc.diagnostics.record import record
from dlc.semantics.program import DataSpec, Port
from dlc.train.data.column import Array, Column
from dlc.train.data.find import find, sha256_of
from dlc.train.data.idx import read_idx
from dlc.train.data.images import read_images
from dlc.train.data.npy import read_npy, read_npz
from dlc.train.data.table import Request, read_csv


@record
class Columns:
    """What a source holds, and the hashes of what it was read from, by path or column name."""

    name: str
    """The source in words: its file, or `data`."""
    columns: Mapping[str, Column]
    hashes: Mapping[str, str]


def read_source(spec: DataSpec, beside: Path, ports: Iterable[Port], rows: str) -> Columns:
    """Reads the files of a source, looked up beside the `.dl` file and in DLC_DATA.

    `ports` are the steps' parameters and `rows` the batch axis: they say how images are laid out.
    Raises DlcError (E0701 to E0705, E0724 to E0734).
    """
    paths = _paths(spec, beside)
    match spec.kind:
        case "npz":
            columns = _npz(spec, paths[0])
        case "csv":
            columns = _csv(spec, paths[0])
        case "images":
            columns = _images(spec, paths[0], tuple(ports), rows)
        case "npy" | "idx":
            columns = {}
            for file, path in zip(spec.files, paths, strict=True):
                name = file.column or path.name.split(".")[0]
                if path.is_dir():
                    raise fail(FileUnreadable(str(path), "it is a folder"))
                values = read_npy(path) if spec.kind == "npy" else read_idx(path)
                columns[name] = Column(name, values, str(path))
    hashes = {file.name: sha256_of(path) for file, path in zip(spec.files, paths, strict=True)}
    return Columns(", ".join(str(p) for p in paths), columns, hashes)


def read_arrays(data: Mapping[str, Any], name: str = "data") -> Columns:
    """Columns of what Python passes: NumPy arrays, or anything that `numpy.asarray` takes.

    Raises DlcError (E0736) for what is no rectangular array.
    """
    columns: dict[str, Column] = {}
    hashes: dict[str, str] = {}
    for key, value in data.items():
        try:
            array = np.asarray(value)
        except Exception as error:  # a foreign object may raise anything
            raise fail(NotAnArray(key, " ".join(str(error).split()))) from error
        if array.dtype.hasobject:
            array = _text(key, array)
        columns[key] = Column(key, array, name)
        hashes[key] = _hash(array)
    return Columns(name, columns, hashes)


def _paths(spec: DataSpec, beside: Path) -> list[Path]:
    """Where the files are. Raises DlcError (E0701) for all that are missing."""
    paths: list[Path] = []
    missing: list[Diagnostic] = []
    for file in spec.files:
        try:
            paths.append(find(file.name, beside, file.span))
        except DlcError as error:
            missing += error.diagnostics
    if missing:
        raise DlcError(missing)
    return paths


def _text(key: str, array: Array) -> Array:
    if array.ndim == 1 and all(isinstance(item, str) for item in array):
        return array.astype(np.str_)
    raise fail(NotAnArray(key, "its elements are Python objects, or its rows differ in length"))


def _hash(array: Array) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    step = max(1, (1 << 24) // max(1, array[:1].nbytes)) if array.ndim else 1
    for start in range(0, len(array) if array.ndim else 1, step):
        part = array[start : start + step] if array.ndim else array
        digest.update(np.ascontiguousarray(part).view(np.uint8).data if part.size else b"")
    return digest.hexdigest()


def _npz(spec: DataSpec, path: Path) -> dict[str, Column]:
    names: tuple[tuple[str, Span | None], ...] = tuple(
        (_one(n), spec.span) for _, n in spec.columns
    )
    arrays = read_npz(path, names)
    pairs = spec.columns or tuple((n, n) for n in arrays)
    return {column: Column(column, arrays[_one(n)], str(path)) for column, n in pairs}


def _csv(spec: DataSpec, path: Path) -> dict[str, Column]:
    requests = tuple(
        Request(
            name,
            (given,) if isinstance(given, str) else given,
            not isinstance(given, str),
            spec.span,
        )
        for name, given in spec.columns
    )
    return read_csv(path, requests)


def _images(spec: DataSpec, path: Path, ports: tuple[Port, ...], rows: str) -> dict[str, Column]:
    """The pictures are the column so named in the source, else the one with the most axes."""
    known = {name: _one(given) for name, given in spec.columns}
    by_rank = sorted(ports, key=lambda port: -len(port.type.dims))
    image = next((n for n, given in known.items() if given == "image"), by_rank[0].name)
    others = [p.name for p in by_rank if p.name != image]
    label = next((n for n, given in known.items() if given == "label"), next(iter(others), None))
    type = next((p.type for p in ports if p.name == image), by_rank[0].type)
    return read_images(path, image, label, type, rows)


def _one(given: str | tuple[str, ...]) -> str:
    return given if isinstance(given, str) else given[0]
