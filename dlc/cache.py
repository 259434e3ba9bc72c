"""Files in the user's cache directory, found by their content's key and checked when read.

An entry is `KIND/KEY`: 32 bytes of SHA-256 of the data, then the data. Writers make a temporary
file and rename it, so that readers in any process see a whole entry or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from platformdirs import user_cache_dir

DEFAULT_MEBIBYTES = 1024
CHECKSUM_BYTES = 32
PUTS_PER_SWEEP = 64
"""One in so many writes, drawn by chance, looks at the size of the whole cache."""
_DICE = random.Random()


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """Where the cache is and what it holds."""

    directory: Path
    entries: int
    bytes: int
    limit_bytes: int


def get(kind: str, key: str) -> bytes | None:
    """The data of an entry, or None if there is none; a damaged entry is removed."""
    path = _path(kind, key)
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    data = stored[CHECKSUM_BYTES:]
    if hashlib.sha256(data).digest() != stored[:CHECKSUM_BYTES]:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return data


def put(kind: str, key: str, data: bytes) -> None:
    """Store an entry; does nothing where the disk is full or may not be written."""
    path = _path(kind, key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, hashlib.sha256(data).digest() + data)
    except OSError:
        return
    if _DICE.randrange(PUTS_PER_SWEEP) == 0:
        sweep()


def info() -> CacheInfo:
    """Where the cache is and what it holds now."""
    sizes = [size for _, size, _ in _entries()]
    return CacheInfo(directory(), len(sizes), sum(sizes), _limit())


def clear() -> None:
    """Remove all entries."""
    for path, _, _ in _entries():
        with contextlib.suppress(OSError):
            path.unlink()


def sweep() -> None:
    """Remove the entries used longest ago until the cache is within its limit."""
    entries = sorted(_entries(), key=lambda entry: entry[2])
    excess = sum(size for _, size, _ in entries) - _limit()
    for path, size, _ in entries:
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        excess -= size


def directory() -> Path:
    """The cache's directory: `DLC_CACHE_DIR`, the user's, or a temporary one of this process."""
    return _usable(os.environ.get("DLC_CACHE_DIR"))


@cache
def _usable(configured: str | None) -> Path:
    try:
        path = Path(configured) if configured else Path(user_cache_dir("dlc"))
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path.absolute()
    except (OSError, RuntimeError):
        return _temporary()


@cache
def _temporary() -> Path:
    holder = tempfile.TemporaryDirectory(prefix="dlc-cache-", ignore_cleanup_errors=True)
    _HOLDERS.append(holder)
    return Path(holder.name)


_HOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Temporary directories, which are removed when the process ends."""


def _path(kind: str, key: str) -> Path:
    name = key if key.isalnum() and len(key) <= 128 else hashlib.sha256(key.encode()).hexdigest()
    return directory() / kind / name


def _write(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _entries() -> list[tuple[Path, int, float]]:
    """Path, size in bytes and time of last use of all entries, left-over temporary files too."""
    found = []
    for path in directory().glob("*/*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((path, status.st_size, status.st_mtime))
    return found


def _limit() -> int:
    try:
        mebibytes = int(os.environ.get("DLC_CACHE_SIZE", DEFAULT_MEBIBYTES))
    except ValueError:
        mebibytes = DEFAULT_MEBIBYTES
    return max(mebibytes, 0) * 2**20
