"""The idx format, plain (mapped) or gzipped: yann.lecun.com/exdb/mnist, "file formats"."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dlc.diagnostics import DlcError, fail
from dlc.diagnostics.files import FileDamaged, FileUnreadable
from dlc.train.data.column import Array
from dlc.train.data.find import check_memory, reason

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
GZIP_RATIO = 1040
"""Deflate packs at most 1032 bytes into one."""


def read_idx(path: Path) -> Array:
    """The array of a file, big-endian as it lies there. Raises DlcError (E0702 to E0704)."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == GZIP_MAGIC
        return _packed(path) if packed else _plain(path)
    except DlcError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise fail(FileDamaged(str(path), "idx", reason(error))) from error
    except (OSError, ValueError) as error:
        raise fail(FileUnreadable(str(path), reason(error))) from error


def _plain(path: Path) -> Array:
    size = path.stat().st_size
    with path.open("rb") as stream:
        dtype, shape, start = _header(stream.read(4 + 4 * 255), path)
    _expect(path, start + math.prod(shape) * dtype.itemsize, size)
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", start, shape)


def _packed(path: Path) -> Array:
    with gzip.open(path, "rb") as stream:
        dtype, shape, start = _header(stream.read(4 + 4 * 255), path)
    expected = start + math.prod(shape) * dtype.itemsize
    if expected > path.stat().st_size * GZIP_RATIO:
        raise fail(FileDamaged(str(path), "idx", f"{expected:,} bytes cannot be packed in it"))
    check_memory(path, expected)
    with gzip.open(path, "rb") as stream:
        data = stream.read(expected + 1)
        rest = len(data) > expected or bool(stream.read(1))
    _expect(path, expected, len(data) + (1 if rest and len(data) <= expected else 0))
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def _header(head: bytes, path: Path) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in DTYPES:
        raise fail(FileDamaged(str(path), "idx", "it does not begin like one"))
    rank = head[3]
    start = 4 + 4 * rank
    if len(head) < start:
        raise fail(FileDamaged(str(path), "idx", "it ends within its header"))
    shape = tuple(int(n) for n in np.frombuffer(head, ">u4", rank, 4))
    return np.dtype(DTYPES[head[2]]), shape, start


def _expect(path: Path, expected: int, found: int) -> None:
    if expected != found:
        more = "more" if found > expected else "only"
        text = f"its header says {expected:,} bytes, it has {more} {found:,}"
        if found > expected:
            text = f"its header says {expected:,} bytes, it has more"
        raise fail(FileDamaged(str(path), "idx", text))
