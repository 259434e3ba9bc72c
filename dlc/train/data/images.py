"""Folders of images: one subfolder a class."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlc.diagnostics import DlcError, fail
from dlc.diagnostics.files import FileDamaged, ImageMismatch, NoClasses, PillowMissing
from dlc.graph import TensorType
from dlc.ops.late import Late
from dlc.train.data.column import Array, Column
from dlc.train.data.find import check_memory, reason

if TYPE_CHECKING:
    from PIL import Image
else:
    Image = Late("PIL.Image")

HAVE_PILLOW = find_spec("PIL") is not None
"""It is an optional package."""
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
)
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_images(
    path: Path, image: str, label: str | None, type: TensorType, rows: str
) -> dict[str, Column]:
    """Column `image` (u8, axes as `type` lists them) and `label` (i32, sorted class folders).

    `type` is the step's type of the image: the axis `rows`, two of the picture, and perhaps one of
    its colours. Raises DlcError: E0703, E0704, E0728, E0729, E0734.
    """
    if not HAVE_PILLOW:
        raise fail(PillowMissing(str(path)))
    classes, files = _members(path)
    channel, mode = channel_of(type, rows)
    members = tuple(f"{classes[c]}/{f.name}" for c, f in files)
    first = decode(files[0][1], mode)
    check_memory(path, first.size * len(files))
    pictures = np.empty((len(files), *first.shape), np.uint8)
    for i, (_, file) in enumerate(files):
        picture = decode(file, mode)
        if picture.shape != first.shape:
            raise fail(ImageMismatch(str(file), _size(picture), str(files[0][1]), _size(first)))
        pictures[i] = picture
    columns = {image: Column(image, laid_out(pictures, channel), str(path), members=members)}
    if label is not None:
        numbers = np.array([c for c, _ in files], np.int32)
        columns[label] = Column(label, numbers, str(path), classes=classes, members=members)
    return columns


def _members(path: Path) -> tuple[tuple[str, ...], list[tuple[int, Path]]]:
    if not path.is_dir():
        raise fail(NoClasses(str(path), "it is not a folder"))
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    files = [
        (c, file)
        for c, folder in enumerate(folders)
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in SUFFIXES
    ]
    if not files:
        raise fail(NoClasses(str(path), "it has no folder of images"))
    return tuple(f.name for f in folders), files


def channel_of(type: TensorType, rows: str) -> tuple[int | None, str]:
    """The place of the colours among the axes of one picture, None without, and Pillow's mode.

    Of three axes the one called `C` is that of the colours, else the one of size 1, 3 or 4.
    """
    dims = [(a.name, n.constant) for a, n in type.dims if a.name != rows]
    if len(dims) < 3:
        return None, "L"
    named = [i for i, (name, _) in enumerate(dims) if name == "C"]
    sized = [i for i, (_, size) in enumerate(dims) if size in MODES]
    place = (named or sized or [0])[0]
    return place, MODES.get(dims[place][1] or 3, "RGB")


def decode(file: Path, mode: str) -> Array:
    """One picture as u8, rows first, colours last where the mode has several.

    Raises DlcError (E0703, E0704).
    """
    try:
        with Image.open(file) as picture:
            check_memory(file, picture.width * picture.height * 4)
            return np.asarray(picture.convert(mode), np.uint8)
    except DlcError:
        raise
    except Exception as error:  # decoders raise many kinds on garbage
        raise fail(FileDamaged(str(file), "image", reason(error))) from error


def laid_out(pictures: Array, channel: int | None) -> Array:
    """A batch of pictures with its colours at the place among the axes of one picture."""
    if channel is None:
        return pictures
    if pictures.ndim == 3:
        return np.expand_dims(pictures, channel + 1)
    return np.moveaxis(pictures, -1, channel + 1)


def _size(picture: Array) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]} (width x height)"
