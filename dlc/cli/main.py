"""`dlc`: finds the command, and turns whatever it raises into a message and an exit code."""

from __future__ import annotations

import difflib
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import click

import dlc
from dlc.cli.console import Console, OutputLost, PipeClosed
from dlc.cli.options import common
from dlc.diagnostics import DlcError
from dlc.diagnostics.artifact import FileUnwritable

OK, USAGE, INTERNAL, INTERRUPTED, PIPE, TERMINATED = 0, 2, 70, 130, 141, 143
COMMANDS = {
    "new": "A working example with its data, in an empty folder.",
    "check": "All mistakes of programs, without running them.",
    "fmt": "Programs in the one layout, comments kept.",
    "explain": "The long story of an error code.",
    "compile": "A program to an artifact, or the stages in between.",
    "train": "Runs a recipe of a program.",
    "eval": "The metrics of a trained model on its test data.",
    "predict": "The results of a model for data in files.",
    "profile": "Where the time of a step goes, by kernel and by line.",
    "bench": "The times of a training step and of inference.",
    "cost": "Parameters, operations, bytes and memory, by layer.",
    "inspect": "What an artifact holds.",
    "cache": "The cache of compiled kernels.",
    "doctor": "What dlc finds on this machine.",
    "completion": "A script that completes commands in a shell.",
}


class Terminated(BaseException):
    """SIGTERM arrived."""


class Commands(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of a user's first day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"dlc.cli.{cmd_name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument; a misspelt one is told with the nearest."""
        near = difflib.get_close_matches(args[0], COMMANDS, 1)
        if args[0] not in COMMANDS and near and not ctx.resilient_parsing:
            ctx.fail(f"there is no command {args[0]}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(context: click.Context, _option: click.Parameter, on: bool) -> None:
    if on and not context.resilient_parsing:
        console = context.ensure_object(Console)
        console.result("version", f"dlc {dlc.__version__}", dlc=dlc.__version__)
        context.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 the program has errors, 2 usage, 3 data, 4 training failed, "
    "5 device or environment, 70 internal error, 130 and 143 after a signal.",
)
@common
@click.option(
    "--version", is_flag=True, expose_value=False, callback=_version, help="The version of dlc."
)
def cli() -> None:
    """A deep-learning compiler: one small text file in, native training and inference out."""


def main() -> None:
    """The entry point of the process."""
    gc.set_threshold(100_000)  # trees and graphs are no garbage: searching them costs a sixth
    signal.signal(signal.SIGTERM, _terminate)
    code = run(sys.argv[1:])
    gc.freeze()  # what the process ends with is not searched for garbage
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and gives its exit code; raises nothing."""
    console = Console()
    try:
        code = cli.main(list(arguments), prog_name="dlc", standalone_mode=False, obj=console)
        sys.stdout.flush()
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        return _misused(console, error)
    except DlcError as error:
        console.diagnose(error.diagnostics)
        return error.exit_code
    except (BrokenPipeError, PipeClosed):
        _close_stdout()
        return PIPE
    except OutputLost as error:
        _close_stdout()
        console.json = False
        console.diagnose([FileUnwritable("the results", str(error))])
        return FileUnwritable.exit_code
    except KeyboardInterrupt:
        console.note("interrupted")
        return INTERRUPTED
    except Terminated:
        console.note("terminated")
        return TERMINATED
    except Exception as error:  # the one place where a bug of dlc ends
        return _internal(console, error)
    return code if isinstance(code, int) else OK


def _misused(console: Console, error: click.ClickException) -> int:
    if console.json:
        console.result("usage", "", message=error.format_message())
    else:
        error.show()
    return USAGE


def _internal(console: Console, error: Exception) -> int:
    import platform
    import traceback

    story = "".join(traceback.format_exception(error))
    facts = f"dlc {dlc.__version__}, Python {platform.python_version()}, {platform.platform()}"
    report = f"{facts}\n{' '.join(sys.argv)}\n\n{story}"
    what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    if console.verbose or os.environ.get("DLC_DEBUG"):
        print(story, file=sys.stderr)
    path = _written(report)
    console.result("internal", "", message=what, report=path) if console.json else None
    print(
        f"internal error: {what}\nThis is a bug in dlc, not in your program. "
        f"Please report it with {path or 'the text of -v'} and the program that shows it.",
        file=sys.stderr,
    )
    return INTERNAL


def _written(report: str) -> str | None:
    import tempfile

    try:
        handle, path = tempfile.mkstemp(prefix="dlc-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(report)
    except OSError:
        return None
    return path


def _close_stdout() -> None:
    """Lets the interpreter end without a second complaint about the closed pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _terminate(_number: int, _frame: FrameType | None) -> Any:
    raise Terminated


if __name__ == "__main__":
    main()
