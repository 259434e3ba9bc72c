"""`dlc compile`: a program to an artifact, or to one of the stages in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dlc.cli.console import Console
from dlc.cli.options import common, sets

if TYPE_CHECKING:
    from dlc.graph import Graph
    from dlc.semantics.program import Program

STAGES = ("tree", "graph", "transformed", "kernels", "llvm", "asm")


@click.command()
@click.argument("file")
@click.option("-o", "--output", metavar="M.dlm", help="The artifact; FILE's name with .dlm if not.")
@click.option("--weights", metavar="RUN", help="A run, an artifact, or arrays by path.")
@click.option("--emit", type=click.Choice(STAGES), help="Print this stage instead.")
@click.option("--model", metavar="NAME", help="Emit only this model.")
@click.option("--step", metavar="RECIPE[.STEP]", help="Emit a training step instead of models.")
@click.option("--seed", type=int, default=0, help="Draws the weights that are not given.")
@sets
@common
@click.pass_obj
def command(
    console: Console,
    file: str,
    output: str | None,
    weights: str | None,
    emit: str | None,
    model: str | None,
    step: str | None,
    seed: int,
    sets: dict[str, object],
) -> None:
    """Compiles FILE to an artifact that runs without it, or prints a stage of its compilation."""
    if emit == "tree":
        _emit_tree(console, file)
        return
    from dlc.semantics import check_file

    if output is not None and Path(output).suffix != ".dlm":
        raise click.UsageError(f"an artifact's name ends in .dlm; {output} does not")
    program = check_file(file, sets=sets)
    console.diagnose(program.warnings)
    if emit is None:
        _write(console, program, Path(output or Path(file).with_suffix(".dlm").name), weights, seed)
        return
    for name, graph in _chosen(program, model, step).items():
        text = _EMITTERS[emit](graph)
        console.result(emit, text.rstrip("\n"), name=name, text=text)


def _write(console: Console, program: Program, path: Path, weights: str | None, seed: int) -> None:
    import dlc
    from dlc.api import with_native, with_weights
    from dlc.runtime.artifact import encode
    from dlc.runtime.container import write_bytes
    from dlc.runtime.weights import match, read_weights

    contents = with_weights(program, weights, seed)
    if weights is not None:
        console.note(match(read_weights(weights), contents.weights).report)
    else:
        console.note(f"no --weights: every parameter has its initial value, drawn by seed {seed}")
    data = encode(with_native(contents), writer=dlc.__version__)
    write_bytes(path, data)
    models = [*contents.graphs]
    console.result("compiled", str(path), path=str(path), bytes=len(data), models=models)


def _chosen(program: Program, model: str | None, step: str | None) -> dict[str, Graph]:
    if step is not None:
        recipe, _, name = step.partition(".")
        if recipe not in program.recipes:
            raise click.UsageError(f"there is no recipe {recipe}: {', '.join(program.recipes)}")
        steps = program.recipes[recipe].steps
        found = {f"{recipe}.{s.name}": s.graph for s in steps if name in ("", s.name)}
        if not found:
            raise click.UsageError(f"there is no step {name}: {', '.join(s.name for s in steps)}")
        return found
    if model is not None and model not in program.models:
        raise click.UsageError(f"there is no model {model}: {', '.join(program.models)}")
    return {n: m.graph for n, m in program.models.items() if model in (None, n)}


def _emit_tree(console: Console, file: str) -> None:
    from dlc.syntax import parse, read_source

    text = "\n".join(_tree(parse(read_source(file)), "", 0))
    console.result("tree", text, name=file, text=text)


def _tree(value: object, label: str, depth: int) -> Iterator[str]:
    """A line for each node of the syntax tree, what belongs to it below it."""
    from dlc.diagnostics.record import names_of
    from dlc.syntax.tree import Node

    indent = "  " * depth
    if isinstance(value, tuple):
        for item in value:
            yield from _tree(item, label, depth)
    elif isinstance(value, Node):
        yield f"{indent}{label}{type(value).__name__}"
        for name in names_of(type(value)):
            if name != "span":
                yield from _tree(value.__getattribute__(name), f"{name}: ", depth + 1)
    elif value is not None:
        yield f"{indent}{label}{value!r}"


def _graph_text(graph: Graph) -> str:
    from dlc.reference.text import print_graph

    return print_graph(graph)


def _transformed_text(graph: Graph) -> str:
    from dlc.transform.pipeline import lower

    return _graph_text(lower(graph))


def _kernels_text(graph: Graph) -> str:
    from dlc.codegen.machine import host
    from dlc.runtime.build import generated_of

    generated = generated_of(graph, host())
    return "\n\n".join(generated.readable[key].strip("\n") for key in generated.plan.kernels)


def _machine_text(graph: Graph, form: Literal["llvm", "asm"]) -> str:
    from dlc.codegen.compile import show_kernel
    from dlc.codegen.machine import host
    from dlc.runtime.build import generated_of

    generated = generated_of(graph, host())
    texts = [show_kernel(generated.texts[key], host(), form) for key in generated.plan.kernels]
    return "\n\n".join(texts)


_EMITTERS: dict[str, Callable[[Graph], str]] = {
    "graph": _graph_text,
    "transformed": _transformed_text,
    "kernels": _kernels_text,
    "llvm": lambda graph: _machine_text(graph, "llvm"),
    "asm": lambda graph: _machine_text(graph, "asm"),
}
