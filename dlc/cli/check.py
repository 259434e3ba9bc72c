"""`dlc check`: all mistakes of programs, without running them."""

from __future__ import annotations

import click

from dlc.cli.console import Console
from dlc.cli.options import common, sets
from dlc.diagnostics import Diagnostic, DlcError
from dlc.diagnostics.placed import counted


@click.command()
@click.argument("files", nargs=-1, required=True)
@sets
@common
@click.pass_obj
def command(console: Console, files: tuple[str, ...], sets: dict[str, object]) -> int:
    """Reports all mistakes and warnings of FILES, without running them."""
    found: list[Diagnostic] = []
    code = 0
    for file in files:
        diagnostics, status = _checked(file, sets)
        console.diagnose(diagnostics)
        found += diagnostics
        code = max(code, status)
    errors = sum(d.severity == "error" for d in found)
    warnings = len(found) - errors
    counts = f"{counted(errors, 'error', 'errors')}, {counted(warnings, 'warning', 'warnings')}"
    console.result(
        "summary",
        f"{counted(len(files), 'file', 'files')}: {counts}",
        files=len(files),
        errors=errors,
        warnings=warnings,
    )
    return code


def _checked(file: str, sets: dict[str, object]) -> tuple[tuple[Diagnostic, ...], int]:
    from dlc.semantics import check_file

    try:
        return check_file(file, sets=sets).warnings, 0
    except DlcError as error:
        return error.diagnostics, error.exit_code
