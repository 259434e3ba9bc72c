"""How the benchmarks write their figures: tables, times, the machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers import OURS

from dlc.codegen.machine import host
from dlc.runtime.pool import available_processors

GAP, APART = "  ", " | "
"""Between columns, and between groups of them."""


def table(rows: Sequence[Sequence[str]], groups: Sequence[tuple[int, str]]) -> str:
    """Rows in columns, all but the first flush right; `groups` have a title over some columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    starts, place = {1} if groups else set(), 1
    for count, _ in groups:
        place += count
        starts.add(place)
    head = [" " * widths[0]] if groups else []
    place = 1
    for count, title in groups:
        inside = widths[place : place + count]
        wanted = len(title) - sum(inside) - len(GAP) * (count - 1)
        widths[place] += max(0, wanted)
        inside = widths[place : place + count]
        head.append(title.center(sum(inside) + len(GAP) * (count - 1)))
        place += count
    lines = [APART.join(head).rstrip()] if groups else []
    for row in rows:
        text = row[0].ljust(widths[0])
        for k, cell in enumerate(row[1:], 1):
            text += (APART if k in starts else GAP) + cell.rjust(widths[k])
        lines.append(text.rstrip(" |"))
    return "\n".join(lines)


def microseconds(number: float) -> str:
    """A time in the unit that suits it."""
    if number >= 1e4:
        return f"{number / 1e3:,.1f} ms"
    return f"{number:,.{1 if number < 100 else 0}f} µs"


def best_peer(medians: Mapping[str, float]) -> str | None:
    """The fastest of the others."""
    others = [name for name in medians if name != OURS]
    return min(others, key=lambda name: medians[name]) if others else None


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {
        "processor": _processor(),
        "level": host().name,
        "processors": available_processors(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
