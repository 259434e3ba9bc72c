"""`dlc eval`: the metrics of a trained model on its test data."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dlc.cli.console import Console
from dlc.cli.options import How, artifact, common, running
from dlc.diagnostics import Source, fail
from dlc.diagnostics.artifact import ArtifactDamaged
from dlc.diagnostics.record import replaced

if TYPE_CHECKING:
    from dlc.runtime.artifact import Contents
    from dlc.semantics.program import Program


@click.command()
@artifact
@click.option("--data", metavar="DIR", help="Where its data files lie, besides DLC_DATA.")
@click.option(
    "--recipe", metavar="NAME", help="Whose steps and data; that which trained it if not."
)
@click.option("--on", type=click.Choice(["test", "validation"]), default="test", help="The rows.")
@running
@common
@click.pass_obj
def command(
    console: Console,
    artifact: str,
    data: str | None,
    recipe: str | None,
    on: Literal["test", "validation"],
    how: How,
) -> None:
    """Tells the metrics of ARTIFACT (a run's folder or a .dlm file) on its recipe's test data."""
    from dlc.runtime.weights import artifact_path
    from dlc.train.evaluation import evaluate, source_of
    from dlc.train.setup import recipe_of

    path = artifact_path(artifact)
    net = how.load(path)
    contents = net.contents
    program = _program(contents, Path(data) if data is not None else _home(path))
    found = recipe_of(program, recipe or contents.facts.get("recipe"))
    if source_of(found, on) is None:
        other: Literal["test", "validation"] = "validation" if on == "test" else "test"
        instead = (
            f"try --on {other}" if source_of(found, other) else "give it test = or validation ="
        )
        raise click.UsageError(f"the recipe {found.name} has no {on} data; {instead}")
    metrics = evaluate(
        program,
        found.name,
        on,
        compile_graph=how.build,
        weights=contents.weights,
        models=lambda name: net.models[name].prepare(),
        classes=contents.facts.get("classes"),
        seed=contents.facts.get("seed", found.seed),
        epochs=contents.facts.get("epochs", 0),
    )
    text = "\n".join(f"{name} {value:.6g}" for name, value in metrics.items())
    console.result("metrics", text, on=on, recipe=found.name, metrics=metrics)


def _home(path: Path) -> Path:
    """The folder whose data a run was trained on, else that of the artifact."""
    try:
        manifest = json.loads((path.parent / "manifest.json").read_text())
        return Path(manifest["file"]).parent
    except (OSError, ValueError, KeyError, TypeError):
        return path.parent


def _program(contents: Contents, folder: Path) -> Program:
    """The program that the artifact was made of, its data looked up in `folder`."""
    from dlc.semantics import check_file

    with tempfile.TemporaryDirectory() as place:
        for name, text in contents.sources.items():
            target = Path(place) / _inside(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        main = _inside(next(iter(contents.sources)))
        program: Program = check_file(Path(place) / main, sets=contents.hypers)
    source = Source(str(folder / main), program.source.text)
    return replaced(program, source=source)


def _inside(name: str) -> str:
    """A relative path that cannot leave the folder it is written into."""
    parts = Path(name).parts
    if not parts or ".." in parts or Path(name).is_absolute():
        raise fail(ArtifactDamaged(name, "its source lies outside its folder"))
    return name
