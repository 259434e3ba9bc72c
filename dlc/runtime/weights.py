"""Weights from files: of a run, an artifact, safetensors or npz."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from dlc.diagnostics import fail
from dlc.diagnostics.artifact import FileUnreadable, RunUnknown
from dlc.diagnostics.record import record
from dlc.runtime import artifact
from dlc.runtime.container import read_bytes
from dlc.runtime.executable import Array

TRAINED = "model.dlm"
"""The artifact in a run's folder."""
ARRAYS = (".npz", ".safetensors")
WEIGHTS_ARE = "weights are a run's folder, an artifact (.dlm), .safetensors or .npz"
MOST_RUNS = 4
"""So many runs are named to whom names none."""


@record
class Match:
    """What became of weights that were read for a program."""

    taken: dict[str, Array]
    missing: tuple[str, ...]
    """Paths of the program that the weights lack."""
    unfit: tuple[str, ...]
    """Paths of another shape."""
    unused: tuple[str, ...]

    @property
    def report(self) -> str:
        """In words, for a person."""
        wanted = len(self.taken) + len(self.missing) + len(self.unfit)
        parts = [f"{len(self.taken)} of {wanted} params and states taken"]
        for name, paths in (
            ("missing, left as initialised", self.missing),
            ("of another shape, left as initialised", self.unfit),
            ("not in this program", self.unused),
        ):
            if paths:
                shown = ", ".join(paths[:4]) + (", ..." if len(paths) > 4 else "")
                parts.append(f"{len(paths)} {name}: {shown}")
        return "; ".join(parts)


def artifact_path(path: str | os.PathLike[str]) -> Path:
    """The artifact meant by a path: the file itself, or that of a run's folder.

    Raises DlcError (E0906) for a folder without one.
    """
    place = Path(path)
    if not place.is_dir():
        return place
    if not (place / TRAINED).is_file():
        raise fail(RunUnknown(os.fspath(path), runs_near(place, TRAINED)))
    return place / TRAINED


def runs_near(path: Path, file: str) -> tuple[str, ...]:
    """Some folders in or beside `path`, or in `runs`, that hold such a file, newest first."""
    found: dict[Path, float] = {}
    for parent in (path, path.parent, Path("runs")):
        with contextlib.suppress(OSError):
            held = [folder / file for folder in parent.iterdir() if (folder / file).is_file()]
            found |= {place.parent: place.stat().st_mtime for place in held}
    return tuple(str(folder) for folder in sorted(found, key=lambda f: -found[f])[:MOST_RUNS])


def read_weights(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Params and states by path from a run's folder, a `.dlm`, `.safetensors` or `.npz`.

    Raises DlcError (E0901 to E0906).
    """
    place = artifact_path(path)
    if not place.exists():
        near = runs_near(place, TRAINED)
        advice = f"{WEIGHTS_ARE}{'; there is ' if near else ''}{', '.join(near)}"
        raise fail(FileUnreadable(os.fspath(path), "there is no such file or folder", advice))
    data = read_bytes(place)
    if place.suffix not in ARRAYS:
        if not data.startswith(b"PK"):
            raise fail(FileUnreadable(os.fspath(path), "it holds no weights", WEIGHTS_ARE))
        return dict(artifact.decode(data, os.fspath(place)).weights)
    try:
        if place.suffix == ".safetensors":
            return dict(safetensors.numpy.load(data))
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # NumPy, zipfile and zlib raise many kinds on garbage
        raise fail(FileUnreadable(os.fspath(path), str(error))) from error


def match(weights: Mapping[str, Array], wanted: Mapping[str, Array]) -> Match:
    """Which of the weights fit those that a program wants, by path and shape."""
    common = [path for path in wanted if path in weights]
    fits = [path for path in common if weights[path].shape == wanted[path].shape]
    return Match(
        taken={path: weights[path] for path in fits},
        missing=tuple(path for path in wanted if path not in weights),
        unfit=tuple(path for path in common if path not in fits),
        unused=tuple(path for path in weights if path not in wanted),
    )
