"""`dlc doctor`: what dlc finds on this machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import dlc
from dlc.cli.console import Console, table
from dlc.cli.options import common

PACKAGES = ("numpy", "numba", "llvmlite", "lark", "safetensors", "click", "rich", "Pillow")
OPTIONAL = ("Pillow",)


@click.command()
@common
@click.pass_obj
def command(console: Console) -> int:
    """Shows versions, processor, threads, cache and data folders; exits 5 if something is amiss."""
    rows = [*_versions(), *_machine(), *_folders()]
    rows += _peak() if console.verbose else ()
    if console.json:
        for name, value, fine in rows:
            console.result("finding", "", name=name, value=value, fine=fine)
    else:
        marked = [(name, value, "" if fine else "  <-- amiss") for name, value, fine in rows]
        console.result("findings", table(marked))
    return 0 if all(fine for _, _, fine in rows) else 5


Finding = tuple[str, str, bool]


def _versions() -> Iterator[Finding]:
    yield "dlc", f"{dlc.__version__} in {Path(dlc.__file__).parent}", True
    yield "python", f"{platform.python_version()} ({sys.executable})", sys.version_info >= (3, 11)
    for package in PACKAGES:
        try:
            yield package, importlib.metadata.version(package), True
        except importlib.metadata.PackageNotFoundError:
            yield package, "not installed", package in OPTIONAL


def _machine() -> Iterator[Finding]:
    from dlc.codegen.machine import host
    from dlc.runtime.pool import default_threads

    known = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")
    yield "system", f"{platform.system()} {platform.machine()}", known
    machine = host()
    yield "processor", f"{machine.cpu}, code for {machine.name}, {machine.lanes} lanes", True
    threads = default_threads()
    yield "threads", f"{threads} of {os.cpu_count()} processors", True


def _peak() -> Iterator[Finding]:
    from dlc.runtime.peak import peak

    for threads in dict.fromkeys((1, peak().threads)):
        limit = peak(threads)
        rates = (
            f"{limit.flops / 1e9:,.0f} GFLOP/s, a copy out of cache {limit.bytes / 1e9:,.1f} GB/s"
        )
        yield "peak", f"{threads} thread{'s' if threads > 1 else ''}: {rates}", True


def _folders() -> Iterator[Finding]:
    from platformdirs import user_cache_dir

    from dlc.cache import directory

    configured = os.environ.get("DLC_CACHE_DIR")
    wanted = Path(configured or user_cache_dir("dlc")).absolute()
    place = directory()
    kept = place == wanted
    note = "" if kept else f", for one process only: cannot write into {wanted}"
    yield "cache", f"{place}{note}", kept or not configured
    for folder in filter(None, os.environ.get("DLC_DATA", "").split(os.pathsep)):
        yield "data", folder, Path(folder).is_dir()
