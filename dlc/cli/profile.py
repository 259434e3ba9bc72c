"""`dlc profile`: where the time of a training step or of inference goes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from dlc.cli.console import Console, table
from dlc.cli.options import common, sets, sizes, threads
from dlc.cli.rehearsals import checked, described, factory_of, rate, shown_time

if TYPE_CHECKING:
    from dlc.diagnostics import Source
    from dlc.runtime.peak import Peak
    from dlc.runtime.profile import KernelTime, LineTime
    from dlc.train.rehearsal import Rehearsal

WARM_UP = 10
SMALL = 0.004
"""Kernels that take less of the time than this are summed up, unless `-v` asks for all."""
WIDEST = 60
LINE_HEAD = ("time", "share", "GFLOP/s", "of peak", "GB/s")
HEAD = ("time", "min", "share", "waits", "GFLOP/s", "of peak", "GB/s", "line", "computes")


@click.command()
@click.argument("file")
@click.argument("recipe", required=False)
@click.option("--infer", is_flag=True, help="The models' inference instead of training.")
@click.option("--model", metavar="NAME", help="With --infer: only this model.")
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Instead of the recipe's.")
@click.option("--steps", type=click.IntRange(1), default=30, help="Runs to measure; 30 if not.")
@sizes
@threads
@sets
@common
@click.pass_obj
def command(
    console: Console,
    file: str,
    recipe: str | None,
    infer: bool,
    model: str | None,
    batch: int | None,
    steps: int,
    sizes: dict[str, int],
    threads: int | None,
    sets: dict[str, object],
) -> None:
    """Runs some steps of RECIPE of FILE and tells the time of every kernel and source line.

    Runs on the recipe's data where it is there, else on drawn numbers; nothing is saved. Times are
    medians; `waits` is the share in which threads wait for others, `of peak` is the share of the
    multiply-adds that this machine can do, as measured. `-v` shows every kernel.
    """
    from dlc.runtime.peak import peak
    from dlc.train.rehearsal import inference, training
    from dlc.train.setup import recipe_of

    program, factory = checked(console, file, sets), factory_of(threads)
    if not infer:
        found = training(program, recipe_of(program, recipe), factory, rows=batch, sizes=sizes)
    elif model is not None and model not in program.models:
        raise click.UsageError(f"there is no model {model}: {', '.join(program.models)}")
    else:
        models = [m for name, m in program.models.items() if model in (None, name)]
        found = tuple(inference(program, m, factory, rows=batch, sizes=sizes) for m in models)
    limits = peak(threads)
    for rehearsal in found:
        _measure(console, rehearsal, steps, limits, (program.source, *program.sources))


def _measure(
    console: Console, rehearsal: Rehearsal, steps: int, peak: Peak, sources: Sequence[Source]
) -> None:
    from dlc.runtime.compiled import NativeExecutable
    from dlc.runtime.profile import by_line, profile

    assert isinstance(rehearsal.executable, NativeExecutable)
    seconds = [_timed(rehearsal, number) for number in range(WARM_UP + steps)][WARM_UP:]
    kernels = profile(rehearsal.executable, rehearsal.arguments, steps)
    total = sum(kernel.seconds for kernel in kernels)
    lines = by_line(kernels)
    console.result(
        "profile",
        "\n".join(
            [
                *_headline(rehearsal, median(seconds), min(seconds), kernels, peak),
                "",
                _kernel_table(kernels, total, peak, every=console.verbose),
                "",
                *_listing(lines, total, peak, sources),
                "",
            ]
        ),
        program=rehearsal.title,
        sizes=rehearsal.sizes,
        real_data=rehearsal.real,
        threads=peak.threads,
        steps=steps,
        seconds={"median": median(seconds), "min": min(seconds)},
        peak={"flops": peak.flops, "bytes": peak.bytes},
        kernels=[_plain(kernel, total, peak) for kernel in kernels],
        lines=[
            {"file": file, "line": line, **_rates(spent, total, peak)}
            for (file, line), spent in sorted(lines.items())
        ],
    )


def _timed(rehearsal: Rehearsal, number: int) -> float:
    feeds, sizes = rehearsal.arguments(number)
    start = time.perf_counter()
    rehearsal.executable.run(feeds, sizes)
    return time.perf_counter() - start


def _headline(
    rehearsal: Rehearsal, typical: float, least: float, kernels: Sequence[KernelTime], peak: Peak
) -> Iterator[str]:
    yield described(rehearsal, peak.threads)
    flops = sum(kernel.flops for kernel in kernels)
    yield (
        f"{shown_time(typical)} a run, {shown_time(least)} at least: {len(kernels)} kernels, "
        f"{rate(flops, typical)} GFLOP/s, {flops / typical / peak.flops:.0%} of the peak"
    )
    yield (
        f"this machine's peak: {peak.flops / 1e9:,.0f} GFLOP/s, and {peak.bytes / 1e9:,.1f} GB/s "
        f"of a copy out of cache"
    )


def _kernel_table(kernels: Sequence[KernelTime], total: float, peak: Peak, *, every: bool) -> str:
    order = sorted(kernels, key=lambda kernel: -kernel.seconds)
    large = [kernel for kernel in order if every or kernel.seconds >= SMALL * total]
    rows: list[tuple[str, ...]] = [HEAD]
    for kernel in large:
        of_peak = kernel.flops / kernel.seconds / peak.flops if kernel.seconds else 0.0
        rows.append(
            (
                shown_time(kernel.seconds),
                shown_time(kernel.least),
                f"{kernel.seconds / total:.1%}",
                f"{kernel.waiting:.0%}",
                rate(kernel.flops, kernel.seconds),
                f"{of_peak:.0%}",
                rate(kernel.bytes, kernel.seconds),
                ", ".join(dict.fromkeys(str(line) for _, line in kernel.lines)),
                short(kernel.label, WIDEST),
            )
        )
    rest = order[len(large) :]
    if rest:
        spent = sum(kernel.seconds for kernel in rest)
        least = sum(kernel.least for kernel in rest)
        one = (shown_time(spent), shown_time(least), f"{spent / total:.1%}", "", "", "", "", "")
        rows.append((*one, f"{len(rest)} smaller ones"))
    return table(rows, right=frozenset(range(8)))


def short(label: str, width: int) -> str:
    """What a kernel computes without its axes, each instance named once: `conv_0 dot, where`."""
    parts = re.sub(r"\[[^\]]*\]", "", label).split(", ")
    words: list[str] = []
    last = ""
    for part in dict.fromkeys(parts):
        path, _, op = part.rpartition(" ")
        words.append(part if path != last else op)
        last = path
    text = ", ".join(words)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _listing(
    lines: Mapping[tuple[str, int], LineTime],
    total: float,
    peak: Peak,
    sources: Sequence[Source],
) -> Iterator[str]:
    """The sources that take time, each line with what it takes."""
    from dlc.runtime.profile import LineTime

    told = 0.0
    rows: list[tuple[str, ...]] = []
    for source in {source.path: source for source in sources}.values():
        if not any(file == source.path for file, _ in lines):
            continue
        rows.append((*LINE_HEAD, "", source.path))
        for number, text in enumerate(source.text.splitlines(), 1):
            spent = lines.get((source.path, number))
            told += spent.seconds if spent else 0.0
            rows.append((*_line_cells(spent, total, peak), str(number), f"| {text}"))
    if total - told > SMALL * total:
        rest = LineTime(total - told, 0, 0)
        rows.append((*_line_cells(rest, total, peak), "", "| (elsewhere)"))
    yield table(rows, right=frozenset(range(6)))


def _line_cells(spent: LineTime | None, total: float, peak: Peak) -> tuple[str, ...]:
    if spent is None or not spent.seconds:
        return ("",) * len(LINE_HEAD)
    return (
        shown_time(spent.seconds),
        f"{spent.seconds / total:.1%}",
        rate(spent.flops, spent.seconds),
        f"{spent.flops / spent.seconds / peak.flops:.0%}" if spent.flops else "",
        rate(spent.bytes, spent.seconds),
    )


def _plain(kernel: KernelTime, total: float, peak: Peak) -> dict[str, Any]:
    return {
        "computes": kernel.label,
        "min_seconds": kernel.least,
        "waiting": kernel.waiting,
        **_rates(kernel, total, peak),
        "lines": [
            {"file": file, "line": line, "share": share}
            for (file, line), share in kernel.lines.items()
        ],
    }


def _rates(spent: KernelTime | LineTime, total: float, peak: Peak) -> dict[str, float]:
    seconds = spent.seconds or float("inf")
    return {
        "seconds": spent.seconds,
        "share": spent.seconds / total,
        "flops": spent.flops,
        "bytes": spent.bytes,
        "flops_per_second": spent.flops / seconds,
        "bytes_per_second": spent.bytes / seconds,
        "share_of_peak": spent.flops / seconds / peak.flops,
        "share_of_copy": spent.bytes / seconds / peak.bytes,
    }
