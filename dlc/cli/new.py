"""`dlc new`: a working example with its data."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from dlc.cli.console import Console
from dlc.cli.options import common
from dlc.diagnostics import fail
from dlc.diagnostics.artifact import FileUnwritable, FolderOccupied

DEFAULT = "digits"


@click.command()
@click.argument("template", required=False, default=DEFAULT)
@click.argument("folder", required=False)
@common
@click.pass_obj
def command(console: Console, template: str, folder: str | None) -> None:
    """Writes the example TEMPLATE (digits) with its data into the empty FOLDER.

    Without FOLDER it makes one of the template's name.
    """
    known = {entry.name: entry for entry in _templates()}
    if template not in known:
        raise click.UsageError(f"there is no template {template}; there is {', '.join(known)}")
    target = Path(folder or template)
    files = sorted(known[template].iterdir(), key=lambda entry: entry.name)
    _write(target, files)
    program = next(f.name for f in files if f.name.endswith(".dl"))
    console.result("new", str(target), path=str(target), files=[f.name for f in files])
    console.note(f"now: cd {target} && dlc train {program} -o run")


def _templates() -> list[Traversable]:
    root = importlib.resources.files("dlc.templates")
    return [entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("_")]


def _write(target: Path, files: list[Traversable]) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise fail(FolderOccupied(str(target)))
        for file in files:
            (target / file.name).write_bytes(file.read_bytes())
    except OSError as error:
        raise fail(FileUnwritable(str(target), error.strerror or str(error))) from error
