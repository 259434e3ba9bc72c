"""Compares dlc with other frameworks: training steps, inference, first step, memory.

    python benchmarks/steps.py [MODEL ...] [--peers torch] [--python PATH]

Each peer runs in a process of its own that sleeps while it is not its turn; the turns alternate in
rounds. All have the same data, initial weights and number of threads, and the losses of the first
steps have to agree before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import peers
from problem import model_names
from rounds import OURS, Settings, measure

from dlc.codegen.machine import host
from dlc.runtime.pool import available_processors

COLUMNS = (
    ("train", "training step", "µs"),
    ("infer_1", "inference of 1", "µs"),
    ("infer_batch", "inference of batch", "µs"),
)
SINGLE = (
    ("first_cold", "first step, empty cache", "s"),
    ("first_warm", "first step", "s"),
    ("memory", "peak memory", "MiB"),
)


def main() -> None:
    options = _options()
    others = [name for name in options.peers if name != OURS]
    theirs = options.python or os.environ.get("DLC_PEER_PYTHON") or sys.executable
    pythons = {OURS: sys.executable, **dict.fromkeys(others, theirs)}
    settings = Settings(options.rounds, options.seconds, options.threads, pythons)
    results = []
    for model in options.models or model_names():
        results.append(measure(model, others, settings))
        print(report(results[-1]), flush=True)
    if options.out:
        machine = {"machine": _machine(), "threads": options.threads, "rounds": options.rounds}
        options.out.write_text(json.dumps({**machine, "models": results}, indent=1) + "\n")


def report(result: dict[str, Any]) -> str:
    """A table of one model: times with how many times longer than ours they are."""
    found = result["peers"]
    lines = [f"{result['model']} {result['batch']}", _row("", found)]
    for key, title, unit in COLUMNS:
        medians = {name: figures[key]["median"] for name, figures in found.items()}
        lines.append(_row(f"{title}, median", _shown(medians, unit)))
        least = {name: figures[key]["min"] for name, figures in found.items()}
        lines.append(_row("  minimum", _shown(least, unit)))
    for key, title, unit in SINGLE:
        lines.append(_row(title, _shown({n: f[key] for n, f in found.items()}, unit)))
    return "\n".join(lines) + "\n"


def _shown(values: dict[str, float], unit: str) -> list[str]:
    digits = 2 if unit == "s" else 1 if unit == "µs" else 0
    ours = values[OURS]
    return [
        f"{value:,.{digits}f} {unit}" + ("" if name == OURS else f" ({value / ours:.2f})")
        for name, value in values.items()
    ]


def _row(title: str, cells: Iterable[str]) -> str:
    return f"  {title:<27}" + "".join(f"{cell:>24}" for cell in cells)


def _machine() -> dict[str, Any]:
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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(model_names()))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.7, help="of each turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--peers", nargs="*", default=["torch"], choices=sorted(peers.MODULES), metavar="PEER"
    )
    parser.add_argument(
        "--python", help="the Python that has the peers; else DLC_PEER_PYTHON, else this one"
    )
    parser.add_argument("--out", type=Path, help="where to write all figures as JSON")
    options = parser.parse_args()
    unknown = set(options.models) - set(model_names())
    if unknown:
        parser.error(f"there is no model {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    main()
