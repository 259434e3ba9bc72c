"""Files that are whole or not there: written beside their place, flushed, then moved there."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from dlc.diagnostics import DlcError, fail
from dlc.diagnostics.running import CannotWrite

TEMPORARY = ".tmp"
ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))


def write_atomic(path: Path, data: bytes) -> None:
    """The file is afterwards the new one, or, where anything failed, the one it was.

    Raises DlcError (E0804) where the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        drop(temporary)
        raise cannot_write(path, error) from error


def append_at(path: Path, offset: int, data: bytes) -> int:
    """Writes at `offset` and cuts off what stood behind; gives the new length.

    What an interrupted append left is overwritten so. Raises DlcError (E0804); the file then has
    what it had up to `offset`.
    """
    try:
        with path.open("r+b" if path.exists() else "w+b") as stream:
            stream.truncate(offset)
            stream.seek(offset)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error
    return offset + len(data)


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def drop_temporaries(folder: Path) -> None:
    """Removes what killed processes left half-written."""
    for path in folder.glob(f".*{TEMPORARY}"):
        drop(path)


def cannot_write(path: Path, error: OSError) -> DlcError:
    """The diagnostic of an error of the system."""
    advice = "make room on the disk" if error.errno in ROOM else "check the folder and its rights"
    return fail(CannotWrite(str(path), error.strerror or str(error), advice))


def drop(path: Path) -> None:
    """Removes a file if that can be done."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
