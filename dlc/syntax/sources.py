"""Reading `.dl` files."""

from __future__ import annotations

import os
from pathlib import Path

from dlc.diagnostics import Source, fail
from dlc.diagnostics import text as texts

MAX_BYTES = 8 * 10**6


def read_source(path: str | os.PathLike[str]) -> Source:
    """The text of a file, with lines that end in LF and without a byte order mark.

    Raises DlcError if the file cannot be read, is not UTF-8, or is larger than 8 MB.
    """
    shown = os.fspath(path)
    try:
        with Path(shown).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
            size = len(data) if len(data) <= MAX_BYTES else os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail(texts.FileUnreadable(shown, (reason or str(error)).lower())) from None
    if len(data) > MAX_BYTES:
        raise fail(texts.FileTooLarge(shown, max(size, len(data)), MAX_BYTES))
    try:
        return Source(shown, data.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fail(texts.FileNotText(shown, line)) from None
