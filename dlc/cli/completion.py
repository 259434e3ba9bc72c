"""`dlc completion`: a script that completes commands in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dlc.cli.console import Console
from dlc.cli.options import common

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@common
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Prints the script for SHELL: `eval "$(dlc completion bash)"` in its start-up file."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, "dlc", "_DLC_COMPLETE").source()
    context.ensure_object(Console).result("completion", script, shell=shell, script=script)
