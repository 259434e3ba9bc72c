"""Files of arrays as the inputs of a model, and its results as files."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from dlc.diagnostics import fail
from dlc.diagnostics.artifact import FileUnreadable
from dlc.diagnostics.files import ImageMismatch, PillowMissing
from dlc.graph import TensorType
from dlc.runtime.arrays import with_unit_axes
from dlc.runtime.container import write_bytes
from dlc.runtime.executable import Array, Port
from dlc.train.data.images import HAVE_PILLOW, SUFFIXES, channel_of, decode, laid_out
from dlc.train.data.npy import read_npy, read_npz
from dlc.train.data.table import Request, read_csv

if HAVE_PILLOW:
    import PIL.Image

Names = Mapping[str, Sequence[str]]
"""For an input of the model what it is called in the file: one column, or several side by side."""


def feeds_of(
    inputs: Sequence[Port], files: Sequence[str], names: Names, trained: Names
) -> dict[str, Array]:
    """The arrays of a model's inputs from files: one of arrays, one table, or pictures.

    An input is the column of its name, or of those in `names`; in a table, those in `trained`
    where it has them all. A single input takes the single array of a file, whatever its name.
    Raises DlcError (E0701 to E0734, E0904), and click.UsageError where it cannot be meant so.
    """
    paths = [Path(file) for file in files]
    for path in paths:
        if not path.is_file():
            raise fail(FileUnreadable(str(path), "there is no such file"))
    suffixes = {path.suffix.lower() for path in paths}
    if suffixes <= SUFFIXES:
        return _pictures(inputs, paths)
    if len(paths) > 1:
        raise click.UsageError("several INPUTS must all be pictures")
    match paths[0].suffix.lower():
        case ".npy":
            found: Mapping[str, Array] = {"": read_npy(paths[0])}
        case ".npz":
            found = read_npz(paths[0], ())
        case ".csv" | ".gz":
            found = _table(inputs, paths[0], names, trained)
        case other:
            raise click.UsageError(f"{paths[0]}: cannot read {other or 'a file without suffix'}")
    feeds = _named(inputs, found, names, str(paths[0]))
    return {p.name: with_unit_axes(feeds[p.name], p.type) for p in inputs}


def write_results(path: str, results: Mapping[str, Array]) -> None:
    """Writes results by the suffix: .npy (one result), .npz, .csv (rows of numbers), .png.

    Raises DlcError (E0905), click.UsageError.
    """
    stream = io.BytesIO()
    match Path(path).suffix.lower():
        case ".npz":
            np.savez(stream, **dict(results))  # type: ignore[arg-type]
        case ".npy" if len(results) == 1:
            np.save(stream, next(iter(results.values())), allow_pickle=False)
        case ".csv":
            stream.write(_csv(results).encode())
        case ".png":
            write_sheet(path, next(iter(results.values())))
            return
        case ".npy":
            raise click.UsageError(f"{path}: an npy file holds one array; use .npz")
        case other:
            raise click.UsageError(f"{path}: cannot write {other or 'a file without suffix'}")
    write_bytes(path, stream.getvalue())


def write_sheet(path: str, pictures: Array) -> None:
    """Writes pictures side by side in rows as one PNG: u8 [N, Y, X] or with 1 or 3 colours.

    The axis of colours is the second or the last; floats are taken from 0 to 1. Raises DlcError
    (E0905, E0731 without Pillow) and click.UsageError for what is no batch of pictures.
    """
    if not HAVE_PILLOW:
        raise fail(PillowMissing(path))
    if pictures.ndim == 4 and pictures.shape[1] in (1, 3):
        pictures = np.moveaxis(pictures, 1, 3)
    if pictures.ndim == 4 and pictures.shape[3] == 1:
        pictures = pictures[..., 0]
    if pictures.ndim not in (3, 4) or not pictures.size or pictures.shape[3:] not in ((), (3,)):
        raise click.UsageError(
            f"{path}: a result of shape {pictures.shape} is no batch of pictures"
        )
    if pictures.dtype != np.uint8:
        pictures = (np.clip(np.nan_to_num(pictures), 0, 1) * 255 + 0.5).astype(np.uint8)
    count, height, width = pictures.shape[:3]
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, *pictures.shape[1:]), np.uint8)
    sheet[:count] = pictures
    grid = sheet.reshape(rows, columns, height, width, -1).swapaxes(1, 2)
    flat = grid.reshape(rows * height, columns * width, -1)
    stream = io.BytesIO()
    PIL.Image.fromarray(flat[..., 0] if flat.shape[2] == 1 else flat).save(stream, "PNG")
    write_bytes(path, stream.getvalue())


def rows_of(results: Mapping[str, Array]) -> list[dict[str, Any]]:
    """The results of each row of the batch as plain numbers; one row without a common axis."""
    counts = {array.shape[0] if array.ndim else -1 for array in results.values()}
    if len(counts) != 1 or -1 in counts:
        return [{name: array.tolist() for name, array in results.items()}]
    return [
        {name: array[row].tolist() for name, array in results.items()} for row in range(*counts)
    ]


def _named(
    inputs: Sequence[Port], found: Mapping[str, Array], names: Names, file: str
) -> dict[str, Array]:
    wanted = {port.name: next(iter(names.get(port.name, ())), port.name) for port in inputs}
    if len(inputs) == len(found) == 1 and not set(wanted.values()) <= found.keys():
        return {inputs[0].name: next(iter(found.values()))}
    for name, column in wanted.items():
        if column not in found:
            there = ", ".join(filter(None, found)) or "one array without a name"
            raise click.UsageError(
                f"{file} has no {column}; there is {there}. Say which is meant: "
                f"--input {name}=COLUMN"
            )
    return {name: found[column] for name, column in wanted.items()}


def _table(inputs: Sequence[Port], path: Path, names: Names, trained: Names) -> dict[str, Array]:
    columns = read_csv(path, ())
    same = {name: c for name, c in trained.items() if columns.keys() >= {*c}}
    chosen = {p.name: same[p.name] for p in inputs if p.name in same} | dict(names)
    requests = [Request(n, tuple(c), beside=len(c) > 1) for n, c in chosen.items() if c]
    named = {request.name for request in requests}
    rest = [port for port in inputs if port.name not in named]
    if len(rest) == 1 and rest[0].name not in columns and len(rest[0].type.dims) == 2:
        requests.append(Request(rest[0].name, tuple(columns), beside=True))
    else:
        requests += [Request(p.name, (p.name,), beside=False) for p in rest if p.name in columns]
    if not requests:
        return {name: column.values for name, column in columns.items()}
    return {name: column.values for name, column in read_csv(path, tuple(requests)).items()}


def _pictures(inputs: Sequence[Port], paths: Sequence[Path]) -> dict[str, Array]:
    if not HAVE_PILLOW:
        raise fail(PillowMissing(str(paths[0])))
    if len(inputs) != 1:
        raise click.UsageError(f"pictures are one input; the model has {len(inputs)}")
    port = inputs[0]
    channel, mode = channel_of(port.type, _batch_axis(port.type))
    pictures = [decode(path, mode) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            found, wanted = (f"{p.shape[1]} x {p.shape[0]}" for p in (picture, pictures[0]))
            raise fail(ImageMismatch(str(path), found, str(paths[0]), wanted))
    batch = laid_out(np.stack(pictures), channel)
    return {port.name: batch if len(port.type.dims) == batch.ndim else batch[0]}


def _batch_axis(type: TensorType) -> str:
    """The first axis, if there are more than those of a picture."""
    return str(type.axes[0]) if type.axes and type.sizes[0].constant is None else ""


def _csv(results: Mapping[str, Array]) -> str:
    columns: dict[str, Array] = {}
    for name, array in results.items():
        flat = array.reshape(array.shape[0] if array.ndim else 1, -1)
        single = flat.shape[1] == 1
        for place in range(flat.shape[1]):
            columns[name if single else f"{name}_{place}"] = flat[:, place]
    rows = zip(*(column.tolist() for column in columns.values()), strict=False)
    return "\n".join([",".join(columns), *(",".join(map(repr, row)) for row in rows)]) + "\n"
