"""The folder of a run: manifest, metrics, checkpoints, and a lock against a second training."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dlc.diagnostics import DlcError, fail
from dlc.diagnostics.running import FolderExists, FolderLocked, NothingToResume
from dlc.runtime.weights import runs_near
from dlc.train.files import TEMPORARY, append_at, cannot_write, drop_temporaries, write_atomic

try:
    import fcntl
except ImportError:  # not on this system: no lock
    HAVE_LOCK = False
else:
    HAVE_LOCK = True

MANIFEST, METRICS, CHECKPOINTS, LOCK = "manifest.json", "metrics.jsonl", "checkpoints", ".lock"
FAILED_BATCH = "failed-batch.npz"
FORM = 1


@dataclass(slots=True)
class RunFolder:
    """A folder that this process trains in; it is locked until `close`."""

    path: Path
    manifest: Mapping[str, Any]
    lock: Lock | None = field(repr=False)

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.path / CHECKPOINTS

    @property
    def metrics(self) -> Path:
        """The metrics, one JSON object a line."""
        return self.path / METRICS

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Writes what the run began with. Raises DlcError (E0804)."""
        self.manifest = {"form": FORM, **manifest}
        text = json.dumps(self.manifest, indent=1, sort_keys=True, default=str)
        write_atomic(self.path / MANIFEST, text.encode() + b"\n")

    def append(self, records: Iterable[Mapping[str, Any]], offset: int) -> int:
        """Writes lines of metrics behind the first `offset` bytes; gives their new number."""
        lines = [json.dumps(_finite(r), separators=(",", ":"), allow_nan=False) for r in records]
        return append_at(self.metrics, offset, "".join(f"{line}\n" for line in lines).encode())

    def truncate_metrics(self, size: int) -> None:
        """Drops lines that belong to no checkpoint. Raises DlcError (E0804)."""
        append_at(self.metrics, size, b"")

    def save_batch(self, arrays: Mapping[str, Any]) -> str:
        """Writes the batch at which training failed; gives its path, empty if it cannot be."""
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        path = self.path / FAILED_BATCH
        try:
            write_atomic(path, stream.getvalue())
        except DlcError:
            return ""
        return str(path)

    def relock(self) -> None:
        """Takes the lock again after `close`. Raises DlcError (E0803)."""
        if self.lock is None:
            self.lock = Lock(self.path)

    def close(self) -> None:
        """Gives the lock back."""
        if self.lock is not None:
            self.lock.close()
            self.lock = None


def create(path: Path | None, name: str) -> RunFolder:
    """A new folder: `path`, or the next free `runs/NAME-NUMBER`.

    Raises DlcError: E0802 if `path` exists and is not empty, E0804.
    """
    try:
        if path is None:
            path = _numbered(Path("runs"), name)
        else:
            path.mkdir(parents=True, exist_ok=True)
            if not _unused(path):
                raise fail(FolderExists(str(path)))
        lock = Lock(path)
        if not _unused(path):
            raise fail(FolderExists(str(path)))
        drop_temporaries(path)
        shutil.rmtree(path / CHECKPOINTS, ignore_errors=True)
        (path / CHECKPOINTS).mkdir()
    except FileExistsError as error:
        raise fail(FolderExists(str(path))) from error
    except OSError as error:
        raise cannot_write(path or Path("runs"), error) from error
    return RunFolder(path, {}, lock)


def reopen(path: Path) -> RunFolder:
    """The folder of an interrupted run, locked and tidied. Raises DlcError (E0803 to E0805)."""
    manifest = read_manifest(path)
    try:
        lock = Lock(path)
        (path / CHECKPOINTS).mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    drop_temporaries(path)
    drop_temporaries(path / CHECKPOINTS)
    return RunFolder(path, manifest, lock)


def read_manifest(path: Path) -> dict[str, Any]:
    """What the run in a folder began with. Raises DlcError (E0805)."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except OSError as error:
        missing = f"it has no readable {MANIFEST}" if path.exists() else "there is no such folder"
        raise _not_a_run(path, missing) from error
    except ValueError as error:
        raise _not_a_run(path, f"its {MANIFEST} is damaged") from error
    if not isinstance(manifest, dict) or manifest.get("form") != FORM:
        raise _not_a_run(path, f"its {MANIFEST} is of another version")
    return manifest


def _not_a_run(path: Path, reason: str) -> DlcError:
    return fail(NothingToResume(str(path), reason, runs_near(path, MANIFEST)))


def _numbered(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(name) + r"-(\d+)")
    found = [pattern.fullmatch(entry.name) for entry in parent.iterdir()]
    number = max((int(m.group(1)) for m in found if m), default=0)
    while True:
        number += 1
        path = parent / f"{name}-{number}"
        try:
            path.mkdir()
        except FileExistsError:  # another training took it just now
            continue
        return path


def _unused(path: Path) -> bool:
    """Whether a folder holds nothing but what a training killed at its very start leaves."""
    own = (LOCK, CHECKPOINTS)
    return all(e.name in own or e.name.endswith(TEMPORARY) for e in path.iterdir())


class Lock:
    """A lock on a folder, held until `close`, the end of the object or of the process."""

    def __init__(self, path: Path) -> None:
        """Raises DlcError (E0803) if another holds it, OSError if it cannot be made."""
        self._handle = -1
        self._handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if HAVE_LOCK:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise fail(FolderLocked(str(path))) from error
        except OSError:  # a file system without locks
            return

    def close(self) -> None:
        """Gives the lock back."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    __del__ = close


def _finite(value: Any) -> Any:
    """The value as strict JSON has it: null for what is no number."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return None
    return value
