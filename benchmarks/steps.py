"""Compares dlc with other frameworks: training steps, inference, first step, memory.

    python benchmarks/steps.py [MODEL ...] [--peers torch jax] [--python PATH]

Each peer runs in a process of its own that sleeps while it is not its turn; the turns alternate in
rounds. All have the same data, initial weights and number of threads. The losses of the first
steps and the results of inference have to agree before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from peers import MODULES, OURS
from problem import model_names
from rounds import measure
from shown import best_peer, machine, microseconds, table
from turns import Settings

from dlc.runtime.peak import Peak, peak

TASKS = ("train", "infer_1", "infer_batch")


def main() -> None:
    options = _options()
    others = [name for name in options.peers if name != OURS]
    theirs = options.python or os.environ.get("DLC_PEER_PYTHON") or sys.executable
    pythons = {OURS: sys.executable, **dict.fromkeys(others, theirs)}
    settings = Settings(options.rounds, options.seconds, options.threads, pythons)
    limits = peak(options.threads)
    results = []
    for model in options.models or model_names():
        results.append(with_shares(measure(model, others, settings), limits))
        print(report(results[-1], limits), flush=True)
    if len(results) > 1:
        print(summary(results))
    if options.out:
        facts = {"machine": machine(), "threads": options.threads, "rounds": options.rounds}
        facts["peak"] = {"flops": limits.flops, "bytes": limits.bytes}
        options.out.write_text(json.dumps({**facts, "models": results}, indent=1) + "\n")


def with_shares(result: dict[str, Any], limits: Peak) -> dict[str, Any]:
    """The figures with each one's share of the machine's peak, and our lead over the best."""
    lead = {}
    for task in TASKS:
        timed = {n: f[task] for n, f in result["peers"].items() if task in f}
        for figures in timed.values():
            figures["of_peak"] = result["flops"][task] / figures["median"] * 1e6 / limits.flops
        best = best_peer({name: figures["median"] for name, figures in timed.items()})
        if best is not None:
            lead[task] = {"best": best, "ratio": timed[best]["median"] / timed[OURS]["median"]}
    return {**result, "lead": lead}


def report(result: dict[str, Any], limits: Peak) -> str:
    """A table of one model: a line for each peer, times with how many times ours they are."""
    found = result["peers"]
    batch, flops = result["batch"], result["flops"]["train"]
    groups = [(4, title) for title in ("training step", "inference of 1", f"inference of {batch}")]
    groups += [(2, "first step, s"), (2, "memory, MiB")]
    head = ("", *["median", "min", "x ours", "peak"] * 3, "cold", "warm", "peak", "growth")
    lead = [cell for task in TASKS for cell in ("", "", _ratio(result["lead"].get(task)), "")]
    lines = [_line(name, figures, found[OURS]) for name, figures in found.items()]
    return "\n".join(
        [
            f"{result['model']}, batch {batch}, {limits.threads} threads: a step is "
            f"{flops / 1e6:,.1f} MFLOP, the peak {limits.flops / 1e9:,.0f} GFLOP/s; losses "
            f"{result['losses'][0]:.4f} to {result['losses'][-1]:.4f}",
            table([head, *lines, ("best / ours", *lead, "", "", "", "")], groups),
            ", ".join(f"{name} {figures['version']}" for name, figures in found.items())
            + f"; between the turns other programs took {result['others']:.0%} of the processors",
            "",
        ]
    )


def _line(name: str, figures: dict[str, Any], ours: dict[str, Any]) -> tuple[str, ...]:
    cells = [name]
    for task in TASKS:
        timed = figures.get(task)
        if timed is None:
            cells += ["-", "", "", ""]
            continue
        cells += [microseconds(timed["median"]), microseconds(timed["min"])]
        cells += [
            f"{timed['median'] / ours[task]['median']:.2f}" if timed is not ours[task] else ""
        ]
        cells += [f"{timed['of_peak']:.0%}"]
    cells += [f"{figures[key]:.2f}" if key in figures else "-" for key in _FIRST]
    cells += [f"{figures[key]:,.0f}" for key in ("memory", "growth")]
    return tuple(cells)


_FIRST = ("first_cold", "first_warm")


def _ratio(lead: dict[str, Any] | None) -> str:
    return "" if lead is None else f"{lead['ratio']:.2f}"


def summary(results: list[dict[str, Any]]) -> str:
    """How many times faster than the best peer we are, model by model."""
    rows = [("best / ours", "training step", "inference of 1", "inference of the batch")]
    for result in results:
        leads = [result["lead"].get(task) for task in TASKS]
        cells = [f"{one['ratio']:.2f} ({one['best']})" if one else "-" for one in leads]
        rows.append((f"{result['model']} {result['batch']}", *cells))
    return table(rows, [])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(model_names()))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.7, help="of each turn")
    parser.add_argument("--threads", type=int, default=2)
    everyone = [name for name in MODULES if name != OURS]
    parser.add_argument(
        "--peers", nargs="*", default=everyone, choices=[*MODULES], metavar="PEER",
        help=f"those to compare with that are installed; all if not: {', '.join(everyone)}",
    )  # fmt: skip
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
