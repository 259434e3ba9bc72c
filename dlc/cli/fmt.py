"""`dlc fmt`: programs in the one layout."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import click

from dlc.cli.console import Console
from dlc.cli.options import common
from dlc.diagnostics import DlcError, Source

STDIN = "-"


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 if it would.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@common
@click.pass_obj
def command(console: Console, files: tuple[str, ...], only_check: bool, diff: bool) -> int:
    """Lays FILES out in the one way, in place; `-` formats stdin to stdout."""
    code = 0
    for file in files:
        try:
            changed = _formatted(console, file, keep=only_check or diff, diff=diff)
        except DlcError as error:
            console.diagnose(error.diagnostics)
            code = max(code, error.exit_code)
            continue
        code = max(code, int(changed and only_check))
    return code


def _formatted(console: Console, file: str, *, keep: bool, diff: bool) -> bool:
    from dlc.runtime.container import write_bytes
    from dlc.syntax import read_source
    from dlc.syntax.formatter import format_source

    source = Source("<stdin>", sys.stdin.read()) if file == STDIN else read_source(file)
    text = format_source(source)
    changed = text != source.text
    if diff:
        old, new = (t.splitlines(keepends=True) for t in (source.text, text))
        lines = "".join(difflib.unified_diff(old, new, source.path, source.path))
        console.result("diff", lines.rstrip("\n"), path=source.path, diff=lines)
    elif keep or (file != STDIN and console.json):
        words = ("would change" if keep else "changed") if changed else "unchanged"
        shown = f"{words}: {source.path}" if changed else ""
        console.result("formatted", shown, path=source.path, changed=changed)
    elif file == STDIN:
        console.result("formatted", text.rstrip("\n"), path=source.path, text=text, changed=changed)
    if changed and not keep and file != STDIN:
        write_bytes(Path(file), text.encode())
        console.note(f"changed: {file}")
    return changed
