"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

import dlc
from dlc.cli.console import Console

if TYPE_CHECKING:
    from dlc.graph import Graph
    from dlc.runtime.executable import Executable
    from dlc.runtime.module import Module

Command = Callable[..., Any]


def common(command: Command) -> Command:
    """`--json`, `-q` and `-v`, which every command has; they act on the console."""
    for flags, text in (
        (("-v", "--verbose"), "Say more, and show where an internal error arose."),
        (("-q", "--quiet"), "No progress, no warnings."),
        (("--json",), "Results as JSON, one object a line."),
    ):
        option = click.option(
            *flags, is_flag=True, expose_value=False, is_eager=True, callback=_act, help=text
        )
        command = option(command)
    return command


def sets(command: Command) -> Command:
    """`--set NAME=VALUE`, as a dictionary called `sets`."""
    return click.option(
        "--set", "sets", multiple=True, metavar="HYPER=VALUE", callback=_pairs,
        help="The value of a hyper; may be given several times.",
    )(command)  # fmt: skip


def sizes(command: Command) -> Command:
    """`--size AXIS=N`, as a dictionary called `sizes`."""
    return click.option(
        "--size", "sizes", multiple=True, metavar="AXIS=N", callback=_numbers,
        help="A run-time size, by its axis: N=16.",
    )(command)  # fmt: skip


def threads(command: Command) -> Command:
    """`--threads N`."""
    return click.option(
        "--threads", type=click.IntRange(1, 1024), metavar="N",
        help="Threads to run on; results do not depend on it.",
    )(command)  # fmt: skip


@dataclass(frozen=True, slots=True)
class How:
    """How programs are to run."""

    interpret: bool
    threads: int | None

    def load(self, artifact: str | os.PathLike[str]) -> Module:
        """The module of an artifact or a run. Raises DlcError."""
        return dlc.load(artifact, interpret=self.interpret, threads=self.threads)

    def build(self, graph: Graph) -> Executable:
        """The program of a graph. Raises DlcError."""
        from dlc.runtime.build import build_executable

        return build_executable(graph, interpret=self.interpret, threads=self.threads)


def running(command: Command) -> Command:
    """`--interpret` and `--threads N`, as a `How` called `how`."""

    @wraps(command)
    def wrapped(*arguments: Any, interpret: bool, threads: int | None, **options: Any) -> Any:
        return command(*arguments, how=How(interpret, threads), **options)

    option = click.option(
        "--interpret", is_flag=True, help="Run in NumPy, by the reference, without native code."
    )
    return threads(option(wrapped))


def artifact(command: Command) -> Command:
    """The argument ARTIFACT: a file, or a run that holds one."""
    return click.argument("artifact")(command)


def seed(help: str) -> Callable[[Command], Command]:
    """`--seed N`."""
    return click.option("--seed", type=int, metavar="N", help=help)


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a dictionary. Raises click.UsageError."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.strip().isidentifier()):
            raise click.UsageError(f"{option} {text}: expected NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def value_of(text: str) -> object:
    """A number, bool, list of these, or else the text itself."""
    if text in ("true", "false"):
        return text == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {"inf": float("inf"), "-inf": float("-inf")}.get(text, text)
    return value if isinstance(value, int | float | str | list) else text


def _pairs(_context: click.Context, _option: click.Parameter, texts: Any) -> dict[str, object]:
    return {name: value_of(value) for name, value in pairs(texts, "--set").items()}


def _numbers(_context: click.Context, _option: click.Parameter, texts: Any) -> dict[str, int]:
    found = pairs(texts, "--size")
    for name, text in found.items():
        if not text.isdecimal():
            raise click.UsageError(f"--size {name}={text}: expected a number")
    return {name: int(text) for name, text in found.items()}


def _act(context: click.Context, option: click.Parameter, on: bool) -> None:
    console = context.find_object(Console)
    if on and console is not None and option.name is not None:
        if option.name == "json":
            console.json = True
        elif option.name == "quiet":
            console.quiet = True
        else:
            console.verbose = True
