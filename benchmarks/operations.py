"""Single operations: each as a `.dl` text and as a function of PyTorch, timed in turn."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from operands import draw
from peers import OURS
from shown import machine
from turns import NotInstalled, Others, Process, Settings, in_turn

from dlc.diagnostics import Source
from dlc.reference.interpreter import interpret
from dlc.runtime.peak import Peak, peak
from dlc.semantics import check_file
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

AGREEMENT = 1e-4
OTHER = "torch"
BUSY = 0.05
"""The share of the processors that others may take without a remark."""
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
"""Freed memory stays with the process: pages of large results are not asked for at each run."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One case. The model of the text is called Single; the arrays are its inputs, in order."""

    name: str
    text: str
    arrays: tuple[tuple[str, tuple[int, ...], str, int], ...]
    """Name, shape, dtype, and below what integers are drawn."""
    torch: str
    """The function of `peers.torch_operations`."""
    options: dict[str, Any]
    flops: int = 0
    bytes: int = 0
    """Of the arrays that are read and written."""
    draws: bool = False
    """Whether results are random, so that nothing can be compared."""
    updates: tuple[tuple[str, str], ...] = ()
    """Results that are the next values of inputs, which are kept by the program."""


def measure(operations: Iterable[Operation], settings: Settings) -> Iterator[dict[str, Any]]:
    """The times of each operation, for us and for PyTorch where it is installed."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        processes: dict[str, Process] = {}
        for name in settings.pythons:
            try:
                started = Process("single.py", name, [place], settings, KEEP_MEMORY)
            except NotInstalled as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            processes[name] = stack.enter_context(started)
        for operation in operations:
            yield _measured(operation, processes, settings)


def _measured(
    operation: Operation, processes: dict[str, Process], settings: Settings
) -> dict[str, Any]:
    files = {n: p.ask("prepare", **asdict(operation))["file"] for n, p in processes.items()}
    wrong = [] if operation.draws else _wrong(operation, files)
    others = Others()
    times = in_turn(processes, {"do": "time"}, settings, others)
    facts = {"name": operation.name, "flops": operation.flops, "bytes": operation.bytes}
    return {**facts, "wrong": wrong, "others": others.share, "peers": times}


def _wrong(operation: Operation, files: dict[str, str]) -> list[str]:
    """Whose results are not those of the interpreter, which is asked where any two differ."""
    results = {name: np.load(file) for name, file in files.items()}
    ours = results[OURS]
    if all(_apart(result, ours) <= AGREEMENT for result in results.values()):
        return []
    graph = check_file(Source("single.dl", operation.text)).models["Single"].graph
    feeds = {
        name: np.asarray(a, "f8" if a.dtype == "f4" else a.dtype)
        for name, a in draw(operation.arrays).items()
    }
    want = interpret(widen(lower(graph)), feeds)["out"]
    return [name for name, result in results.items() if not _apart(result, want) <= AGREEMENT]


def _apart(result: Any, like: Any) -> float:
    return float(np.abs(result - like).max() / max(np.abs(like).max(), 1e-30))


def options_of(description: str, *, seeded: bool = False) -> argparse.Namespace:
    """What the command was given; `seeded` ones can draw their cases."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("pattern", nargs="?", default="", help="only cases whose name has this")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="of each turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="without PyTorch")
    parser.add_argument("--python", help="the Python that has PyTorch; else DLC_PEER_PYTHON")
    parser.add_argument("--out", type=Path, help="where to write all figures as JSON")
    if seeded:
        parser.add_argument("--random", type=int, metavar="SEED", help="draw shapes by this seed")
    return parser.parse_args()


def run(operations: Iterable[Operation], options: argparse.Namespace, table: Any) -> None:
    """Measures the operations asked for and prints a line for each; `table` makes the lines."""
    theirs = options.python or os.environ.get("DLC_PEER_PYTHON") or sys.executable
    pythons = {OURS: sys.executable, **({} if options.alone else {OTHER: theirs})}
    settings = Settings(options.rounds, options.seconds, options.threads, pythons)
    limits = peak(options.threads)
    chosen = [o for o in operations if re.search(options.pattern, o.name)]
    if not chosen:
        raise SystemExit(f"there is no case {options.pattern}")
    shown = table(limits, max(30, *(len(o.name) for o in chosen)))
    print(shown.head(), flush=True)
    results = []
    for result in measure(chosen, settings):
        results.append(shown.with_rates(result))
        print(shown.line(results[-1]), flush=True)
    if options.out:
        facts = {"machine": machine(), "threads": options.threads, "peak": asdict(limits)}
        options.out.write_text(json.dumps({**facts, "cases": results}, indent=1) + "\n")
    if any(OURS in result["wrong"] for result in results):
        raise SystemExit(f"{OURS} is wrong")


class Table:
    """Lines of a table that is printed as the figures come."""

    def __init__(self, limits: Peak, width: int) -> None:
        self.limits, self.width = limits, width

    def cells(self, name: str, cells: Iterable[str]) -> str:
        return f"{name:<{self.width}}" + "".join(f"  {cell:>9}" for cell in cells)


def told(result: dict[str, Any]) -> str:
    """Remarks on a line: wrong results, and other programs that ran meanwhile."""
    remarks = [f"{name} is wrong" for name in result["wrong"]]
    remarks += [f"others {result['others']:.0%}"] if result["others"] > BUSY else []
    return "".join(f"  {remark}" for remark in remarks)
