"""Where files of data are looked for, how large they may be, and their hashes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dlc.diagnostics import Span, fail
from dlc.diagnostics.files import FileMissing, FileTooLarge, FileUnreadable
from dlc.memory import memory_bytes

MNIST = (
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
)  # fmt: skip
MNIST_ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist"
BLOCK = 1 << 20


def find(name: str, beside: Path, at: Span | None = None) -> Path:
    """The file or folder `name`: absolute, beside the `.dl` file, or in a folder of DLC_DATA.

    Raises DlcError (E0701) that lists the places where it was looked for.
    """
    folders = [beside, *_data_folders()]
    for folder in folders:
        for spelling in _spellings(name):
            path = folder / spelling
            if path.exists():
                return path
    looked = dict.fromkeys(str((folder / name).absolute()) for folder in folders)
    raise fail(FileMissing(name, tuple(looked), _advice(name, beside.absolute()), at))


def check_memory(path: Path, bytes: int) -> None:
    """Raises DlcError (E0704) if `bytes` of values would not fit into memory."""
    limit = memory_bytes()
    if bytes > limit:
        raise fail(FileTooLarge(str(path), bytes, limit))


def sha256_of(path: Path) -> str:
    """The hash of a file, or of all files of a folder with their names.

    Raises DlcError (E0702) where one cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            for member in sorted(p for p in path.rglob("*") if p.is_file()):
                digest.update(str(member.relative_to(path)).encode() + b"\0")
                digest.update(sha256_of(member).encode())
            return digest.hexdigest()
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise fail(FileUnreadable(str(path), reason(error))) from error
    return digest.hexdigest()


def reason(error: BaseException) -> str:
    """The words of the system or of NumPy, in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(text.split()) or type(error).__name__


def _data_folders() -> list[Path]:
    return [Path(p) for p in os.environ.get("DLC_DATA", "").split(os.pathsep) if p]


def _spellings(name: str) -> tuple[str, str]:
    return (name, name[: -len(".gz")] if name.endswith(".gz") else f"{name}.gz")


def _advice(name: str, beside: Path) -> str:
    stem = Path(name).name.removesuffix(".gz")
    put = (
        f"put it at {os.path.normpath(beside / name)}, or set DLC_DATA to a folder that has {name}"
    )
    return f"get it from {MNIST_ADDRESS}/{stem}.gz and {put}" if stem in MNIST else put
