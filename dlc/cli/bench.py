"""`dlc bench`: the times of a training step and of inference."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from dlc.cli.console import Console, table
from dlc.cli.options import common, sets, sizes, threads
from dlc.cli.rehearsals import checked, factory_of, rate, shown_time

if TYPE_CHECKING:
    from dlc.runtime.module import Module
    from dlc.runtime.peak import Peak
    from dlc.train.rehearsal import Rehearsal

WARM_UP, LEAST_RUNS = 10, 5


@click.command()
@click.argument("file")
@click.argument("recipe", required=False)
@click.option("--batch", type=click.IntRange(1), metavar="N", help="Instead of the recipe's.")
@click.option("--seconds", type=click.FloatRange(0), default=1.0, help="For each; 1 if not.")
@sizes
@threads
@sets
@common
@click.pass_obj
def command(
    console: Console,
    file: str,
    recipe: str | None,
    batch: int | None,
    seconds: float,
    sizes: dict[str, int],
    threads: int | None,
    sets: dict[str, object],
) -> None:
    """Times the training steps of RECIPE of FILE and the inference of its models.

    A training step is loss, gradients and update of one batch that lies in memory; inference is a
    call from Python, of one row and of a batch. The first step is timed from the process's start.
    """
    from dlc.api import module_of, with_weights
    from dlc.codegen.objects import TIMES
    from dlc.runtime.peak import peak
    from dlc.train.rehearsal import inference, training
    from dlc.train.setup import recipe_of

    program, factory = checked(console, file, sets), factory_of(threads)
    steps: tuple[Rehearsal, ...] = ()
    if program.recipes:
        chosen = recipe_of(program, recipe)
        steps = training(program, chosen, factory, rows=batch, sizes=sizes)
        for step in steps:
            step.run(0)
        begun = since_start()
        console.result(
            "first",
            f"first step after {shown_time(begun)}: {TIMES.kernels} kernels compiled in "
            f"{shown_time(TIMES.seconds)}, {TIMES.hits} from the cache",
            seconds=begun,
            compiled=TIMES.kernels,
            compile_seconds=TIMES.seconds,
            cached=TIMES.hits,
        )
    limits = peak(threads)
    timed = [(f"{step.title}, step", step, _step(step)) for step in steps]
    net = module_of(with_weights(program, None), threads=threads)
    usual = batch or next((step.rows for step in steps), None)
    for model in program.models.values():
        for rows in dict.fromkeys((1, usual)):
            found = inference(program, model, factory, rows=rows, sizes=sizes)
            timed.append((found.title, found, _call(net, model.name, found)))
    results = [_measured(title, one, call, seconds, limits) for title, one, call in timed]
    if console.json:
        for result in results:
            console.result("timing", "", threads=limits.threads, peak=limits.flops, **result)
    else:
        console.result("timings", _report(results, limits))


def since_start() -> float:
    """Seconds since this process began."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    import os

    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _step(rehearsal: Rehearsal) -> Callable[[int], object]:
    return rehearsal.run


def _call(net: Module, name: str, rehearsal: Rehearsal) -> Callable[[int], object]:
    """The call that a user of the model writes."""
    model = net.models[name]
    feeds, free = rehearsal.arguments(0)
    inputs = [feeds[port.name] for port in model.inputs]
    return lambda _: model(*inputs, **free)


def _measured(
    title: str, rehearsal: Rehearsal, call: Callable[[int], object], seconds: float, peak: Peak
) -> dict[str, Any]:
    from dlc.runtime.cost import flops_in
    from dlc.transform.pipeline import lower

    for number in range(WARM_UP):
        call(number)
    times: list[float] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or len(times) < LEAST_RUNS:
        start = time.perf_counter()
        call(WARM_UP + len(times))
        times.append(time.perf_counter() - start)
    typical, flops = median(times), flops_in(lower(rehearsal.graph), rehearsal.sizes)
    return {
        "what": title,
        "rows": rehearsal.rows,
        "sizes": rehearsal.sizes,
        "real_data": rehearsal.real,
        "runs": len(times),
        "median": typical,
        "min": min(times),
        "rows_per_second": rehearsal.rows / typical,
        "flops": flops,
        "flops_per_second": flops / typical,
        "share_of_peak": flops / typical / peak.flops,
    }


def _report(results: list[dict[str, Any]], peak: Peak) -> str:
    rows = [("", "rows", "median", "min", "rows/s", "GFLOP/s", "of peak")]
    rows += [
        (
            result["what"],
            str(result["rows"]),
            shown_time(result["median"]),
            shown_time(result["min"]),
            f"{result['rows_per_second']:,.0f}",
            rate(result["flops"], result["median"]),
            f"{result['share_of_peak']:.0%}",
        )
        for result in results
    ]
    threads = f"{peak.threads} thread{'s' if peak.threads > 1 else ''}"
    limit = f"on {threads}, whose peak is {peak.flops / 1e9:,.0f} GFLOP/s"
    return f"{table(rows, right=frozenset(range(1, 7)))}\n{limit}"
