"""`dlc predict`: the results of a model for data in files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from dlc.cli.console import Console
from dlc.cli.options import How, artifact, common, pairs, running, seed, sizes
from dlc.graph import FLOATS

if TYPE_CHECKING:
    from dlc.runtime.executable import Port


@click.command()
@artifact
@click.argument("inputs", nargs=-1)
@click.option("-o", "--output", metavar="OUT", help="Where to write: .npy, .npz, .csv or .png.")
@click.option("--model", metavar="NAME", help="The model, where there are several.")
@click.option(
    "--input", "names", multiple=True, metavar="INPUT=COLUMN",
    help="What an input is called in the file; several csv columns with commas.",
)  # fmt: skip
@seed("For a model that draws random numbers.")
@sizes
@running
@common
@click.pass_obj
def command(
    console: Console,
    artifact: str,
    inputs: tuple[str, ...],
    output: str | None,
    model: str | None,
    names: tuple[str, ...],
    seed: int | None,
    sizes: dict[str, int],
    how: How,
) -> None:
    """Runs ARTIFACT (a .dlm file or a run's folder) on INPUTS.

    INPUTS is a file of arrays (.npy, .npz), a table (.csv), or pictures of one size (.png, .jpg),
    which become one batch; a model that only draws takes none, but `--size N=16`. Without -o a line
    of numbers is printed for each row, after its class where the training had labels of classes; to
    .png go results that are pictures, as one sheet.
    """
    from dlc.cli.classes import classes_of
    from dlc.cli.files import feeds_of, rows_of, write_results
    from dlc.runtime.module import Outputs

    if output is not None and os.path.realpath(output) in map(os.path.realpath, inputs):
        raise click.UsageError(f"-o {output} would write over the input")
    net = how.load(artifact)
    chosen = net.only(model)
    if chosen.inputs and not inputs:
        raise click.UsageError(f"{chosen.signature} needs INPUTS")
    columns, known = _columns(names), [port.name for port in chosen.inputs]
    for name in sorted(columns.keys() - {*known}):
        raise click.UsageError(f"--input {name}: the model takes {', '.join(known) or 'no inputs'}")
    feeds: dict[str, object] = dict(sizes)
    if inputs:
        trained = _trained(net.contents.facts.get("columns", {}))
        feeds.update(feeds_of(chosen.inputs, inputs, columns, trained))
    if seed is not None:
        feeds["seed"] = seed
    result = chosen(**feeds)
    results = result.named() if isinstance(result, Outputs) else {chosen.outputs[0].name: result}
    if output is not None:
        write_results(output, results)
        shapes = {name: array.shape for name, array in results.items()}
        console.result("written", output, path=output, shapes=shapes)
        return
    classes = {
        port.name: classes_of(results[port.name], *labels)
        for port in chosen.outputs
        if (labels := _labels(net.contents.facts, port)) is not None
    }
    rows = rows_of(results)
    for number, row in enumerate(rows):
        told = {name: found[number] for name, found in classes.items() if len(found) == len(rows)}
        parts = [str(one) for one in told.values()]
        parts.append(" ".join(_shown(value) for value in row.values()))
        plain = {name: one.plain() for name, one in told.items()}
        more = {"classes": plain} if plain else {}
        console.result("row", "  ".join(parts), row=number, results=row, **more)


def _columns(texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(text.split(",")) for name, text in pairs(texts, "--input").items()}


def _trained(facts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What the data of the training called each input."""
    return {name: (c,) if isinstance(c, str) else tuple(c) for name, c in facts.items()}


def _labels(facts: Mapping[str, Any], port: Port) -> tuple[Sequence[str], bool] | None:
    """The names of a result's classes, and whether it is their logits; None for other results."""
    label = (
        facts.get("labels", {}).get(port.type.axes[-1].name) if len(port.type.dims) == 2 else None
    )
    if label is None or port.type.dtype not in FLOATS:
        return None
    return facts.get("classes", {}).get(label["column"], ()), label["softmax"]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
