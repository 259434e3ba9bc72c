"""NumPy's own files: npy, mapped where possible, and npz."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from dlc.diagnostics import DlcError, Span, fail
from dlc.diagnostics.data import ColumnMissing
from dlc.diagnostics.files import FileDamaged, FileUnreadable, PickledData
from dlc.train.data.column import Array
from dlc.train.data.find import check_memory, reason

MAGIC = b"\x93NUMPY"
SLACK_BYTES = 1 << 16
"""More than any header takes."""


def read_npy(path: Path) -> Array:
    """The array of a file, mapped. Raises DlcError (E0702, E0703, E0730)."""
    try:
        with path.open("rb") as stream:
            dtype, shape, start = _header(stream, path, "npy")
        if path.stat().st_size < start + _bytes(dtype, shape):
            raise fail(FileDamaged(str(path), "npy", _short(shape, dtype)))
        if 0 in shape:
            return np.zeros(shape, dtype)
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except DlcError:
        raise
    except OSError as error:
        raise fail(FileUnreadable(str(path), reason(error))) from error
    except Exception as error:  # NumPy's parser raises many kinds on garbage
        raise fail(FileDamaged(str(path), "npy", reason(error))) from error
    return array


def read_npz(path: Path, names: tuple[tuple[str, Span | None], ...]) -> dict[str, Array]:
    """The arrays of these names, all of them if none is named.

    Raises DlcError: E0702 to E0705, E0730.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
            for name, at in names:
                if name not in members:
                    raise fail(ColumnMissing(str(path), name, tuple(members), at))
            wanted = [name for name, _ in names] or list(members)
            check_memory(path, sum(members[n].file_size for n in set(wanted)))
            return {n: _member(archive, members[n], path) for n in wanted}
    except DlcError:
        raise
    except OSError as error:
        raise fail(FileUnreadable(str(path), reason(error))) from error
    except Exception as error:  # zlib, zipfile and NumPy raise many kinds on garbage
        raise fail(FileDamaged(str(path), "npz", reason(error))) from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Array:
    with archive.open(info) as stream:
        dtype, shape, start = _header(stream, path, "npz")
    if info.file_size != start + _bytes(dtype, shape):
        raise fail(FileDamaged(str(path), "npz", f"{info.filename}: {_short(shape, dtype)}"))
    with archive.open(info) as stream:
        array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _header(stream: IO[bytes], path: Path, kind: str) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Element type, shape and the offset of the values, before anything is allocated."""
    head = stream.read(SLACK_BYTES)
    if not head.startswith(MAGIC):
        raise fail(FileDamaged(str(path), kind, "it does not begin like an npy array"))
    window = _Window(head)
    version = np.lib.format.read_magic(window)  # type: ignore[arg-type]
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(window)  # type: ignore[arg-type]
    if dtype.hasobject:
        raise fail(PickledData(str(path)))
    return dtype, shape, window.position


class _Window:
    """The bytes of a header, read like a file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def read(self, count: int) -> bytes:
        self.position += count
        return self.data[self.position - count : self.position]


def _bytes(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    return math.prod(shape) * dtype.itemsize


def _short(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"its header says {dtype} of shape {shape}, but the values do not fill that"
