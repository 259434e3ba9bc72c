"""Checkpoints: the whole train state in one safetensors file with a checksum over all its bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import safetensors
import safetensors.numpy

from dlc.diagnostics import Diagnostic, fail
from dlc.diagnostics.running import CheckpointsDamaged, CheckpointSkipped
from dlc.train.files import drop, write_atomic
from dlc.train.state import TrainState, facts_of, state_from, tensors_of

FORM = 1
SUFFIX = ".safetensors"
MARK = b'{\\"sha256\\":\\"'
"""How the checksum stands in the header: in a JSON text inside a JSON text."""
BLANK = b"0" * 64
KEPT = 2
"""How many of the newest checkpoints stay, besides the best."""
NAME = re.compile(r"epoch-(\d+)-batch-(\d+)\.safetensors")


class Damaged(Exception):
    """A checkpoint that is not what was written."""


def name_of(epoch: int, position: int) -> str:
    """The file's name: sorted names are in the order of training."""
    return f"epoch-{epoch:06}-batch-{position:09}{SUFFIX}"


def save(folder: Path, state: TrainState) -> Path:
    """Writes the state into its file, then removes what is no longer kept. Raises DlcError."""
    path = folder / name_of(state.epoch, state.position)
    write_atomic(path, encode(state))
    prune(folder, state)
    return path


def prune(folder: Path, state: TrainState) -> None:
    """Removes all checkpoints but the newest two and that of the best epoch."""
    best = None if state.best is None else name_of(state.best.epoch, 0)
    now = name_of(state.epoch, state.position)
    files = listed(folder)
    older = [path for path in files if path.name <= now]
    stay = {path.name for path in older[-KEPT:]} | {best, now}
    for path in files:
        if path.name not in stay:
            drop(path)


def listed(folder: Path) -> list[Path]:
    """The checkpoints, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if NAME.fullmatch(path.name))


def newest(folder: Path, warn: Callable[[Diagnostic], None]) -> TrainState | None:
    """The newest whole checkpoint, None if there never was one; warns of damaged ones.

    Raises DlcError (E0809) if all are damaged.
    """
    reason = ""
    for path in reversed(listed(folder)):
        try:
            return load(path)
        except Damaged as error:
            reason = reason or str(error)
            warn(CheckpointSkipped(str(path), str(error)))
    if reason:
        raise fail(CheckpointsDamaged(str(folder), reason))
    return None


def load(path: Path) -> TrainState:
    """The state in a file. Raises Damaged."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise Damaged(error.strerror or str(error)) from error


def encode(state: TrainState) -> bytes:
    """The bytes of a checkpoint: equal states give equal bytes."""
    facts = {"sha256": BLANK.decode(), "form": FORM, "state": facts_of(state)}
    metadata = {"dlc": json.dumps(facts, separators=(",", ":"))}
    tensors = dict(sorted(tensors_of(state).items()))
    data = bytearray(safetensors.numpy.save(tensors, metadata))
    place = _digest_place(data)
    data[place : place + len(BLANK)] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def decode(data: bytes) -> TrainState:
    """The state of a checkpoint's bytes. Raises Damaged."""
    whole = bytearray(data)
    place = _digest_place(whole)
    digest = bytes(whole[place : place + len(BLANK)])
    whole[place : place + len(BLANK)] = BLANK
    if hashlib.sha256(whole).hexdigest().encode() != digest:
        raise Damaged("its checksum does not match")
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = json.loads(header["__metadata__"]["dlc"])
        if facts["form"] != FORM:
            raise Damaged("it was written by another version of dlc")
        return state_from(safetensors.numpy.load(data), facts["state"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Damaged(str(error)) from error


def _digest_place(data: bytearray) -> int:
    """Where the checksum stands. Quotes inside the state are escaped once more."""
    place = data.find(MARK)
    if place < 0 or len(data) < place + len(MARK) + len(BLANK):
        raise Damaged("it is cut short" if data else "it is empty")
    return place + len(MARK)
