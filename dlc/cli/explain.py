"""`dlc explain`: the long story of an error code."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import click

import dlc.diagnostics
from dlc.cli.console import Console, table
from dlc.cli.options import common
from dlc.diagnostics import CATALOG, Diagnostic


@click.command()
@click.argument("code", required=False)
@common
@click.pass_obj
def command(console: Console, code: str | None) -> None:
    """Tells what CODE means, why it is a mistake, and the way out; all codes without one."""
    catalog = whole_catalog()
    if code is None:
        rows = [(name, title(case)) for name, case in catalog.items()]
        if not console.json:
            console.result("codes", table(rows))
        for name, case in catalog.items() if console.json else ():
            _tell(console, name, case)
        return
    found = catalog.get(code.upper())
    if found is None:
        near = [name for name in catalog if name.startswith(code.upper()[:3])]
        there = f"; there is {', '.join(near)}" if near else "; `dlc explain` lists all"
        raise click.UsageError(f"there is no code {code}{there}")
    _tell(console, code.upper(), found)


def whole_catalog() -> dict[str, type[Diagnostic]]:
    """Every case of every part, sorted by code."""
    for module in pkgutil.iter_modules(dlc.diagnostics.__path__):
        importlib.import_module(f"dlc.diagnostics.{module.name}")
    return dict(sorted(CATALOG.items()))


def title(case: type[Diagnostic]) -> str:
    """The first sentence of the case's story."""
    return (inspect.getdoc(case) or "").split("\n\n")[0].replace("\n", " ")


def _tell(console: Console, code: str, case: type[Diagnostic]) -> None:
    story = inspect.getdoc(case) or ""
    example = f"\n\nFor example:\n\n{_indented(case.example)}" if case.example else ""
    console.result(
        "explanation",
        f"{case.severity}[{code}]: {story}{example}",
        code=code,
        severity=case.severity,
        title=title(case),
        story=story,
        example=case.example,
        exit_code=case.exit_code,
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n"))
