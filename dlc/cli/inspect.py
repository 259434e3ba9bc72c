"""`dlc inspect`: what an artifact holds."""

from __future__ import annotations

import os

import click

import dlc
from dlc.cli.console import Console, table
from dlc.cli.options import artifact, common


@click.command()
@artifact
@click.option("--source", is_flag=True, help="Print the source that it was made of.")
@common
@click.pass_obj
def command(console: Console, artifact: str, source: bool) -> None:
    """Shows what ARTIFACT (a .dlm file or a run's folder) holds."""
    from dlc.reference.feeds import written
    from dlc.runtime.artifact import manifest_of
    from dlc.runtime.container import read_bytes, unpack
    from dlc.runtime.weights import artifact_path

    path = artifact_path(artifact)
    data = read_bytes(path)
    entries = unpack(data, os.fspath(path))
    manifest = manifest_of(entries, os.fspath(path))
    if source:
        for name in manifest["sources"]:
            text = entries[f"source/{name}"].decode()
            console.result("source", text.rstrip("\n"), path=name, text=text)
        return
    net = dlc.load(data)
    lines = [
        f"{path}: {manifest['name']}, form {manifest['form']}, by dlc {manifest['dlc']}, "
        f"{len(data):,} bytes",
        "",
        *net.signature.splitlines(),
        "",
        table([(name, written(array)) for name, array in net.params.types.items()]),
    ]
    console.result(
        "artifact",
        "\n".join(lines).rstrip(),
        path=os.fspath(path),
        bytes=len(data),
        manifest=manifest,
        params={name: written(type) for name, type in net.params.types.items()},
        entries={name: len(entry) for name, entry in entries.items()},
    )
