"""What `dlc profile` and `dlc bench` run, and how they write times."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dlc.cli.console import Console

if TYPE_CHECKING:
    from dlc.runtime.executable import Factory
    from dlc.semantics.program import Program
    from dlc.train.rehearsal import Rehearsal


def checked(console: Console, file: str, sets: dict[str, object]) -> Program:
    """The program of a file; tells its warnings. Raises DlcError."""
    from dlc.semantics import check_file

    program = check_file(file, sets=sets)
    console.diagnose(program.warnings)
    return program


def factory_of(threads: int | None) -> Factory:
    """What makes native programs."""
    from dlc.runtime.build import build_executable

    return partial(build_executable, threads=threads)


def described(rehearsal: Rehearsal, threads: int) -> str:
    """A headline: what runs, its sizes, on what."""
    sizes = [f"{name} = {size}" for name, size in rehearsal.sizes.items()]
    count = f"{threads} thread{'s' if threads > 1 else ''}"
    data = "the recipe's data" if rehearsal.real else "drawn numbers"
    return f"{rehearsal.title} ({', '.join([*sizes, count, data])})"


def shown_time(seconds: float) -> str:
    """A time with three digits: `3.21 ms`."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{_three(seconds / scale)} {unit}"
    return f"{_three(seconds * 1e6)} µs"


def rate(count: float, seconds: float) -> str:
    """Thousand millions a second; nothing for a count of 0."""
    return _three(count / seconds / 1e9) if count and seconds else ""


def _three(number: float) -> str:
    digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:,.{digits}f}"
