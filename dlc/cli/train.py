"""`dlc train`: runs a recipe of a program."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dlc.cli.console import Console
from dlc.cli.options import How, common, running, seed, sets


@click.command()
@click.argument("file")
@click.argument("recipe", required=False)
@click.option("--epochs", type=click.IntRange(0), help="Instead of the recipe's.")
@seed("Of weights, order and draws.")
@click.option("-o", "--output", metavar="DIR", help="The run's folder; runs/NAME-NUMBER if not.")
@click.option("--resume", metavar="DIR", help="Continue this run, bit for bit.")
@click.option("--weights", metavar="RUN", help="Begin with these: a run, an artifact, arrays.")
@click.option(
    "--save-every", type=click.IntRange(1), metavar="N", help="A checkpoint each N batches too."
)
@sets
@running
@common
@click.pass_obj
def command(
    console: Console,
    file: str,
    recipe: str | None,
    epochs: int | None,
    seed: int | None,
    output: str | None,
    resume: str | None,
    weights: str | None,
    save_every: int | None,
    sets: dict[str, object],
    how: How,
) -> int:
    """Runs RECIPE of FILE (its only one, if it is not named): trains, validates, saves, tests.

    Ctrl-C and SIGTERM finish the batch, save, and say how to go on.
    """
    if resume is not None and (output is not None or weights is not None):
        raise click.UsageError("--resume goes on as the run began: without -o and --weights")
    import dlc
    from dlc.api import Trainer, artifact_writer, checked_for
    from dlc.cli.watch import watchers
    from dlc.train.options import Options

    program = checked_for(file, sets, resume)
    console.diagnose(program.warnings)
    options = Options(
        epochs=epochs,
        seed=seed,
        folder=Path(output) if output is not None else None,
        resume=Path(resume) if resume is not None else None,
        weights=Path(weights) if weights is not None else None,
        callbacks=watchers(console),
        save_artifact=artifact_writer(program, native=not how.interpret),
        save_every=save_every,
        version=dlc.__version__,
    )
    trainer = Trainer(
        program, recipe, interpret=how.interpret, threads=how.threads, options=options
    )
    run = trainer.run()
    folder = os.fspath(run.folder) if run.folder is not None else ""
    console.result(
        "run", folder, path=folder, end=run.end, metrics=run.metrics, test=run.test,
        epochs=len(run.history),
    )  # fmt: skip
    if run.end == "interrupted":
        console.note(f"interrupted and saved; go on with: dlc train {file} --resume {folder}")
    return run.exit_code
