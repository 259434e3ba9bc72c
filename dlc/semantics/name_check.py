"""Names in bodies that nothing calls, and names that nothing uses."""

from __future__ import annotations

from dlc.semantics.machine import Machine
from dlc.semantics.scope import FileScope


def check_names(machine: Machine, files: list[FileScope], main: FileScope) -> None:
    """Report unknown names in every body, and warn of unused ones."""
