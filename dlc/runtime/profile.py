"""Where the time of a program goes: by kernel, and by line of the sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import median

from dlc.diagnostics.record import record
from dlc.runtime.compiled import NativeExecutable, RowTime
from dlc.runtime.executable import Array
from dlc.schedule.plan import Work

Place = tuple[str, int]
"""File and line."""
Arguments = tuple[Mapping[str, Array], Mapping[str, int]]
"""Feeds and sizes of a run."""


@record
class KernelTime:
    """One row of a plan over several runs."""

    label: str
    seconds: float
    """The median, waiting for other threads included."""
    least: float
    waiting: float
    """The share of its time in which threads wait for others."""
    flops: int
    bytes: int
    lines: Mapping[Place, float]
    """What share of it comes from each line, by operations."""


@record
class LineTime:
    """The shares of a line in kernels."""

    seconds: float
    flops: float
    bytes: float


def profile(
    program: NativeExecutable, arguments: Callable[[int], Arguments], runs: int
) -> tuple[KernelTime, ...]:
    """The kernels in the order of the plan; `arguments` gives those of each run."""
    tables = [program.profile(*arguments(number)) for number in range(runs)]
    return tuple(_kernel_time(times) for times in zip(*tables, strict=True))


def by_line(kernels: Iterable[KernelTime]) -> dict[Place, LineTime]:
    """What each line takes; what has no line in a source stands nowhere."""
    found: dict[Place, LineTime] = {}
    for kernel in kernels:
        for place, share in kernel.lines.items():
            old = found.get(place, LineTime(0.0, 0.0, 0.0))
            found[place] = LineTime(
                old.seconds + share * kernel.seconds,
                old.flops + share * kernel.flops,
                old.bytes + share * kernel.bytes,
            )
    return found


def _kernel_time(times: tuple[RowTime, ...]) -> KernelTime:
    row, sizes = times[-1].row, times[-1].sizes
    seconds = [time.work_seconds + time.wait_seconds for time in times]
    waiting = sum(time.wait_seconds for time in times)
    return KernelTime(
        row.label,
        median(seconds),
        min(seconds),
        waiting / sum(seconds) if waiting else 0.0,
        row.work.flops.value(sizes),
        row.work.bytes.value(sizes),
        _shares(row.work, sizes),
    )


def _shares(work: Work, sizes: Mapping[str, int]) -> dict[Place, float]:
    """By operations; lines are alike where none has any."""
    flops = {(place.file, place.line): place.flops.value(sizes) for place in work.lines}
    total = sum(flops.values())
    return {place: n / total if total else 1 / len(flops) for place, n in flops.items()}
