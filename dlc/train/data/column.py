"""A column of data as it was read, with all that is needed to name the place of a value."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlc.diagnostics.record import record

Array = np.ndarray[Any, Any]


@record
class Column:
    """One named array; `values` may be mapped from a file, in any byte order and layout."""

    name: str
    values: Array
    file: str
    """Where it was read, as the user knows it; `data` for an array from Python."""
    lines: Array | None = None
    """For each row its line in a text file, counted from 1."""
    headers: tuple[str, ...] = ()
    """The csv columns that its last axis (or it alone) was made of."""
    classes: tuple[str, ...] | None = None
    """The names that the numbers stand for, where the reader knows them."""
    members: tuple[str, ...] | None = None
    """For each row the file that it is, in a folder of images."""

    def place(self, index: tuple[int, ...], row_dim: int | None = 0) -> str:
        """An element's place in words: the file, then the row from 0, or the line of a text."""
        if row_dim is None or not index:
            return f"{self.file}, {self.name}[{', '.join(map(str, index))}]"
        row = index[row_dim]
        if self.members is not None:
            return f"{self.file}/{self.members[row]}"
        if self.lines is not None:
            header = self.headers[index[-1] if len(self.headers) > 1 else 0]
            return f"{self.file}, line {self.lines[row]}, column {header!r}"
        inside = "" if len(index) == 1 else f" at [{', '.join(map(str, index))}]"
        return f"{self.file}, {self.name}, row {row}{inside} (rows from 0)"
