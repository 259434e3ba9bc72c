"""`dlc cache`: what is kept between runs."""

from __future__ import annotations

import click

from dlc.cli.console import Console
from dlc.cli.options import common


@click.group()
@common
def command() -> None:
    """The cache of compiled kernels; DLC_CACHE_DIR moves it, DLC_CACHE_SIZE bounds it in MiB."""


@command.command()
@common
@click.pass_obj
def info(console: Console) -> None:
    """Where the cache is, and how large."""
    from dlc.cache import info as read_info

    found = read_info()
    text = f"{found.directory}: {found.entries} entries, {found.bytes / 2**20:.1f} MiB"
    console.result(
        "cache",
        f"{text} of at most {found.limit_bytes / 2**20:.0f} MiB",
        directory=str(found.directory),
        entries=found.entries,
        bytes=found.bytes,
        limit_bytes=found.limit_bytes,
    )


@command.command()
@common
@click.pass_obj
def clear(console: Console) -> None:
    """Removes every entry; what is needed again is compiled again."""
    from dlc.cache import clear as remove_all
    from dlc.cache import info as read_info

    before = read_info()
    remove_all()
    console.result(
        "cleared", f"removed {before.entries} entries, {before.bytes / 2**20:.1f} MiB",
        entries=before.entries, bytes=before.bytes,
    )  # fmt: skip
