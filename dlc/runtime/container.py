"""The file that holds an artifact: an uncompressed zip with aligned entries and one hash over all.

Every entry's data start at a multiple of 64 bytes, so that weights can be mapped as they lie. The
zip's comment, the last bytes of the file, is `dlm sha256 ` and the hash of everything before it:
whatever byte was changed, it shows.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from dlc.diagnostics import fail
from dlc.diagnostics.artifact import (
    ArtifactDamaged,
    ArtifactForeign,
    FileUnreadable,
    FileUnwritable,
)

ALIGNMENT = 64
MARK = b"dlm sha256 "
COMMENT_BYTES = len(MARK) + 64
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time in every entry: equal contents make equal files."""
PADDING_ID = 0xD935
LOCAL_HEADER_BYTES = 30


def pack(entries: Mapping[str, bytes]) -> bytes:
    """The file's bytes, entries in order."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.extra = _padding(stream.tell() + LOCAL_HEADER_BYTES + len(name.encode()))
            archive.writestr(info, data)
        archive.comment = b" " * COMMENT_BYTES
    body = stream.getvalue()[:-COMMENT_BYTES]
    return body + MARK + hashlib.sha256(body).hexdigest().encode()


def unpack(data: bytes, path: str) -> dict[str, bytes]:
    """The entries of a file's bytes; `path` is its name in messages.

    Raises DlcError: ArtifactForeign for what never was an artifact, ArtifactDamaged for what no
    longer is what was written.
    """
    if not data.startswith(b"PK"):
        raise fail(ArtifactForeign(path, "it is no zip file" if data else "it is empty"))
    mark = data[-COMMENT_BYTES:-64]
    if mark != MARK:
        raise fail(_markless(data, path))
    body = memoryview(data)[:-COMMENT_BYTES]
    if hashlib.sha256(body).hexdigest().encode() != data[-64:]:
        raise fail(ArtifactDamaged(path, "its bytes do not have the hash at its end"))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, RuntimeError, OSError, struct.error) as error:
        raise fail(ArtifactDamaged(path, str(error))) from error


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes. Raises DlcError (E0904) where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise fail(FileUnreadable(os.fspath(path), _reason(error))) from error


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file whole or not at all: beside its place, then moved there.

    Raises DlcError (E0905) where it cannot be written; what was there before is then untouched.
    """
    target = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(".tmp", f".{target.name}.", target.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except (OSError, ValueError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise fail(FileUnwritable(os.fspath(path), _reason(error))) from error


def _markless(data: bytes, path: str) -> ArtifactDamaged | ArtifactForeign:
    if b"manifest.json" in data[:256]:
        return ArtifactDamaged(path, "its end is missing or changed")
    return ArtifactForeign(path, "it is some other zip file")


def _padding(offset: int) -> bytes:
    """An extra field that moves the data behind `offset` to the next aligned place."""
    room = -(offset + 4) % ALIGNMENT
    return struct.pack("<HH", PADDING_ID, room) + bytes(room)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
