"""`dlc cost`: parameters, operations, bytes and memory, by layer, without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from dlc.cli.console import Console, table
from dlc.cli.options import common, sets, sizes

if TYPE_CHECKING:
    from dlc.graph import Graph
    from dlc.runtime.memory import Memory
    from dlc.semantics.program import Program

HEAD = ("layer", "parameters", "FLOPs", "bytes")


@click.command()
@click.argument("file")
@click.option("--depth", type=click.IntRange(0), default=3, help="Parts of paths that are shown.")
@sizes
@sets
@common
@click.pass_obj
def command(
    console: Console, file: str, sizes: dict[str, int], depth: int, sets: dict[str, object]
) -> None:
    """Tells what the models of FILE cost for one row, and its training steps for one batch."""
    from dlc.semantics import check_file

    program = check_file(file, sets=sets)
    for name, model in program.models.items():
        _tell(console, f"model {name}", model.graph, {}, sizes, depth)
    for name, recipe in program.recipes.items():
        for step in recipe.steps:
            title = f"train {name}, step {step.name}" if step.name else f"train {name}"
            _tell(console, title, step.graph, _batch(program, name), sizes, depth)


def _tell(
    console: Console,
    title: str,
    graph: Graph,
    usual: Mapping[str, int],
    given: Mapping[str, int],
    depth: int,
) -> None:
    from dlc.codegen.machine import host
    from dlc.codegen.program import generate
    from dlc.reference.interpreter import all_symbols
    from dlc.runtime.cost import cost_by_layer
    from dlc.runtime.memory import memory_of
    from dlc.transform.pipeline import lower

    graph = lower(graph)
    sizes = {symbol: given.get(symbol, usual.get(symbol, 1)) for symbol in all_symbols(graph)}
    rows: dict[str, list[int]] = {}
    for layer in cost_by_layer(graph, sizes):
        row = rows.setdefault(".".join(layer.path.split(".")[:depth]), [0, 0, 0])
        for place, number in enumerate((layer.parameters, layer.flops, layer.bytes)):
            row[place] += number
    total = [sum(column) for column in zip(*rows.values(), strict=True)] or [0, 0, 0]
    memory = memory_of(generate(graph, host()).plan, sizes)
    where = ", ".join(f"{name} = {number}" for name, number in sizes.items())
    lines = [HEAD, *((path or "(outside)", *map(_shown, row)) for path, row in rows.items())]
    lines.append(("total", *map(_shown, total)))
    text = table(lines, right=frozenset((1, 2, 3)))
    console.result(
        "cost",
        f"{title}{f' ({where})' if where else ''}\n{text}\n{_memory_line(memory)}\n",
        program=title,
        sizes=sizes,
        layers=[dict(zip(_KEYS, (path, *row), strict=True)) for path, row in rows.items()],
        parameters=total[0],
        flops=total[1],
        bytes=total[2],
        peak_bytes=memory.peak,
        memory=asdict(memory),
    )


def _memory_line(memory: Memory) -> str:
    parts = ", ".join(f"{name} {_shown(count)}" for name, count in asdict(memory).items())
    return f"peak memory {_shown(memory.peak)} bytes: {parts}"


_KEYS = ("path", "parameters", "flops", "bytes")


def _shown(number: int) -> str:
    return f"{number:,}"


def _batch(program: Program, recipe: str) -> dict[str, int]:
    return dict(program.recipes[recipe].batch)
