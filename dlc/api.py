"""What a Python program imports: compile a file, train it, call the result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import dlc
from dlc.runtime.artifact import Contents
from dlc.runtime.assemble import contents_of, initial_weights
from dlc.runtime.build import build_executable, native_files
from dlc.runtime.executable import Array
from dlc.runtime.module import Module
from dlc.runtime.stored import stored_program
from dlc.runtime.weights import match, read_weights
from dlc.semantics import check_file
from dlc.semantics.program import Program

Path = str | os.PathLike[str]


def compile(
    path: Path,
    *,
    weights: Path | Mapping[str, Array] | None = None,
    sets: Mapping[str, object] | None = None,
    seed: int = 0,
    interpret: bool = False,
    threads: int | None = None,
) -> Module:
    """The compiled program of a `.dl` file.

    `weights` are those of a run, an artifact or a file of arrays by path; parameters that they
    lack, or all without them, have their initial values, drawn by `seed`. `sets` gives hypers
    other values. `interpret` runs in NumPy. Raises DlcError with all mistakes of the file.
    """
    program = check_file(path, sets=sets or {})
    contents = with_weights(program, weights, seed)
    contents = contents if interpret else with_native(contents)
    return module_of(contents, interpret=interpret, threads=threads)


def with_weights(
    program: Program, weights: Path | Mapping[str, Array] | None, seed: int = 0
) -> Contents:
    """The artifact of a program with weights from a file or given; missing ones are drawn."""
    values = initial_weights(program, seed)
    if weights is not None:
        given = weights if isinstance(weights, Mapping) else read_weights(weights)
        values |= match(given, values).taken
    return contents_of(program, values)


def with_native(contents: Contents) -> Contents:
    """The artifact with native programs of its models for this machine's level."""
    return replace(contents, native=native_files(contents.graphs))


def module_of(contents: Contents, *, interpret: bool = False, threads: int | None = None) -> Module:
    """The object to call for an artifact's contents."""
    return Module(
        contents,
        partial(build_executable, interpret=interpret, threads=threads),
        reopen=partial(dlc.load, interpret=interpret, threads=threads),
        writer=dlc.__version__,
        stored=partial(stored_program, {} if interpret else contents.native, threads=threads),
    )
