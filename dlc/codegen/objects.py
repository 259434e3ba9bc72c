"""The objects of kernels by content: from the cache, or compiled where it lacks them.

Numba is imported only when an object is missing: a program that was compiled before starts
without it.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import time
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from dlc import cache
from dlc.codegen.machine import Machine
from dlc.codegen.workers import Workers
from dlc.memory import no_collection
from dlc.ops.late import Late

metadata = Late("importlib.metadata")

KIND = "kernels"
"""The kind of the entries in the cache."""
PARALLEL_FROM = 8
"""Fewer missing kernels than this are compiled here: starting another process takes as long."""


@dataclass(slots=True)
class CompileTimes:
    """What the compilations of this process took."""

    kernels: int = 0
    seconds: float = 0.0
    hits: int = 0
    each: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds by key, of the kernels compiled in this process."""


TIMES = CompileTimes()


def kernel_key(text: str, machine: Machine, *, checked: bool = False) -> str:
    """The name of a kernel's object: of its text without comments, the machine and all versions."""
    versions = (
        f"{_revision()} {metadata.version('numba')} {llvmlite.__version__} {llvm.llvm_version_info}"
    )
    target = f"{machine.name} {machine.lanes} {machine.cpu} {machine.features} {machine.triple}"
    whole = "\n".join((versions, target, str(checked), plain(text)))
    return hashlib.sha256(whole.encode()).hexdigest()


@lru_cache(maxsize=1)
def _revision() -> str:
    """A hash of this layer itself, so that objects that another form of it made do not count."""
    whole = hashlib.sha256()
    folder = Path(__file__).parent
    for path in (
        folder / "compile.py",
        folder / "front_end.py",
        *sorted(folder.glob("vector/*.py")),
    ):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def plain(text: str) -> str:
    """Kernel text without comments, blank lines and trailing spaces."""
    if "#" not in text:
        return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def compile_all(
    texts: Mapping[str, str], machine: Machine, *, workers: int = 2, checked: bool = False
) -> dict[str, bytes]:
    """The objects of several kernels by the caller's keys; equal texts are compiled once.

    Objects come from the cache where it has them. The others are compiled here and, from
    `PARALLEL_FROM` on, in `workers` - 1 more processes. Raises CompileError.
    """
    names = {key: kernel_key(text, machine, checked=checked) for key, text in texts.items()}
    found: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for key, name in names.items():
        if name in found or name in missing:
            continue
        data = cache.get(KIND, name)
        if data is None or not data.startswith(b"\x7fELF"):
            missing[name] = texts[key]
        else:
            found[name] = data
            TIMES.hits += 1
    found |= _compile_missing(missing, machine, workers, checked=checked)
    return {key: found[name] for key, name in names.items()}


def cached_objects(keys: Iterable[str]) -> dict[str, bytes] | None:
    """The objects of kernels by key; None if the cache lacks one of them."""
    found: dict[str, bytes] = {}
    for key in keys:
        data = cache.get(KIND, key)
        if data is None or not data.startswith(b"\x7fELF"):
            return None
        found[key] = data
    TIMES.hits += len(found)
    return found


def _compiler() -> Any:
    """The compiler, imported when it is first needed: that takes a second."""
    return importlib.import_module("dlc.codegen.compile")


def _compile_missing(
    missing: Mapping[str, str], machine: Machine, workers: int, *, checked: bool
) -> dict[str, bytes]:
    def one(name: str) -> bytes:
        start = time.perf_counter()
        code: bytes = _compiler().compile_kernel(missing[name], machine, checked=checked)
        TIMES.each[name] = time.perf_counter() - start
        return code

    start = time.perf_counter()
    # The longest first, so that no process waits for a late long one.
    order = sorted(missing, key=lambda name: -len(missing[name]))
    others = min(workers - 1, len(order) - 1) if len(order) >= PARALLEL_FROM else 0
    tasks = {name: missing[name] for name in order}
    with no_collection():
        done = Workers(machine, others, checked=checked).run(tasks, one)
    for name, code in done.items():
        cache.put(KIND, name, code)
    TIMES.kernels += len(done)
    TIMES.seconds += time.perf_counter() - start
    return done
