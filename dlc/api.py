"""What a Python program imports: compile a file, train it, call the result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlc
from dlc.diagnostics.record import replaced
from dlc.ops.late import Late
from dlc.runtime import artifact
from dlc.runtime.artifact import Contents
from dlc.runtime.assemble import contents_of, initial_weights
from dlc.runtime.build import build_executable, native_files
from dlc.runtime.executable import Array
from dlc.runtime.module import Module
from dlc.runtime.stored import stored_program
from dlc.runtime.weights import artifact_path, match, read_weights
from dlc.semantics import check_file
from dlc.semantics.program import Program
from dlc.train import loop
from dlc.train.folder import read_manifest
from dlc.train.options import Callback, Options, Run

if TYPE_CHECKING:
    from dlc.train import progress as bars
else:
    bars = Late("dlc.train.progress")

PathLike = str | os.PathLike[str]
Weights = PathLike | Mapping[str, Array]
"""A run's folder, an artifact, a file of arrays by path, or the arrays themselves."""
Columns = Mapping[str, Any]
"""Arrays by the names of a step's parameters: anything that is array-like."""


def compile(
    path: PathLike,
    *,
    weights: Weights | None = None,
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


class Trainer(loop.Trainer):
    """One training of one recipe of a `.dl` file, the loop in the user's hands.

        for record in dlc.Trainer("lenet.dl", data={"image": x, "label": y}, epochs=3):
            print(record.epoch, record.train["loss"])

    `data`, `validation` and `test` are arrays by column and go before the recipe's own sources.
    `folder` is the run's folder, which keeps manifest, metrics, checkpoints and artifact; None
    keeps nothing. `resume` names the folder of a run to continue bit for bit. Raises DlcError for
    mistakes in the file (E0xxx), the data (E07xx) and folders (E08xx).
    """

    def __init__(
        self,
        path: PathLike | Program,
        recipe: str | None = None,
        *,
        data: Columns | None = None,
        validation: Columns | None = None,
        test: Columns | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        sets: Mapping[str, object] | None = None,
        weights: Weights | None = None,
        folder: PathLike | None = None,
        resume: PathLike | None = None,
        callbacks: Sequence[Callback] = (),
        interpret: bool = False,
        threads: int | None = None,
        options: Options | None = None,
    ) -> None:
        if not isinstance(path, Program):
            path = checked_for(path, sets or {}, resume)
        program = path
        options = options or Options(
            epochs=epochs,
            seed=seed,
            folder=_path(folder),
            keep=folder is not None or resume is not None,
            resume=_path(resume),
            weights=Path(weights) if isinstance(weights, str | os.PathLike) else weights,
            callbacks=tuple(callbacks),
            save_artifact=artifact_writer(program, native=not interpret),
            version=dlc.__version__,
        )
        super().__init__(
            program,
            recipe,
            compile_graph=partial(
                build_executable, interpret=interpret, threads=threads, compiling=self._compiling
            ),
            data=data,
            validation=validation,
            test=test,
            options=options,
        )


def checked_for(
    path: PathLike, sets: Mapping[str, object], resume: PathLike | None = None
) -> Program:
    """The program of a file; a run that goes on keeps the hypers that it began with."""
    kept = read_manifest(Path(resume))["hypers"] if resume is not None else {}
    return check_file(path, sets={**kept, **sets})


def train(
    path: PathLike | Program,
    recipe: str | None = None,
    *,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> Run:
    """Trains a recipe of a `.dl` file to its end, showing how it goes; takes what `Trainer` takes.

    Gives history, metrics and `params` for `dlc.compile(path, weights=run.params)`; a partial run
    if it is interrupted. Raises DlcError as `Trainer` does, and E0801 where the loss is not finite.
    """
    shown = (bars.Progress(), *callbacks) if progress else tuple(callbacks)
    return Trainer(path, recipe, callbacks=shown, **settings).run()


def artifact_writer(program: Program, *, native: bool) -> Any:
    """What training calls to write its artifact; models are compiled at the first call."""
    compiled: dict[str, bytes] = {}

    def write(path: Path, weights: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
        contents = contents_of(program, weights, facts)
        if native and not compiled:
            compiled.update(native_files(contents.graphs))
        artifact.save(replaced(contents, native=compiled), path, writer=dlc.__version__)

    return write


def with_weights(program: Program, weights: Weights | None, seed: int = 0) -> Contents:
    """The artifact of a program with weights from a file or given; missing ones are drawn."""
    values = initial_weights(program, seed)
    facts: Mapping[str, Any] = {}
    if weights is not None and not isinstance(weights, Mapping):
        place = artifact_path(weights)
        facts = artifact.load(place).facts if place.suffix == artifact.SUFFIX else {}
        weights = read_weights(place)
    values |= match(weights or {}, values).taken
    return contents_of(program, values, facts)


def with_native(contents: Contents) -> Contents:
    """The artifact with native programs of its models for this machine's level."""
    return replaced(contents, native=native_files(contents.graphs))


def module_of(contents: Contents, *, interpret: bool = False, threads: int | None = None) -> Module:
    """The object to call for an artifact's contents."""
    return Module(
        contents,
        partial(build_executable, interpret=interpret, threads=threads),
        reopen=partial(dlc.load, interpret=interpret, threads=threads),
        writer=dlc.__version__,
        stored=partial(stored_program, {} if interpret else contents.native, threads=threads),
    )


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)
