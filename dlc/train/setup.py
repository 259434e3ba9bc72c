"""What stands before the first batch: the recipe, its data, the initial state, the manifest."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlc.diagnostics import Diagnostic, DlcError, fail
from dlc.diagnostics.data import DataNotGiven, NoRows, RowsFixed, ValidationEmpty
from dlc.diagnostics.record import record
from dlc.diagnostics.running import (
    DataChanged,
    NothingMatched,
    RecipeUnknown,
    SettingChanged,
    SourceChanged,
    VersionChanged,
)
from dlc.reference.interpreter import interpret
from dlc.runtime.weights import Match, match, read_weights
from dlc.semantics.program import DataSpec, Port, Program, Recipe
from dlc.train.data.dataset import Dataset, bind
from dlc.train.data.source import read_arrays, read_source
from dlc.train.order import split
from dlc.train.state import TrainState
from dlc.transform.pipeline import lower

Array = np.ndarray[Any, Any]
Given = Mapping[str, Any]
"""Arrays from Python, by column."""


@record
class Data:
    """The rows of a training: those it learns from, validates on, and is tested with."""

    rows_axis: str
    batch: int
    train: Dataset
    train_rows: Array
    validation: Dataset | None
    validation_rows: Array
    test: Dataset | None

    @property
    def hashes(self) -> dict[str, dict[str, str]]:
        """Of all that was read, by purpose."""
        found = {"data": dict(self.train.hashes)}
        if self.validation is not None and self.validation is not self.train:
            found["validation"] = dict(self.validation.hashes)
        if self.test is not None:
            found["test"] = dict(self.test.hashes)
        return found


def recipe_of(program: Program, name: str | None) -> Recipe:
    """The recipe of this name, or the only one. Raises DlcError (E0813)."""
    names = tuple(program.recipes)
    if name is None and len(names) == 1:
        return program.recipes[names[0]]
    if name is None or name not in program.recipes:
        raise fail(RecipeUnknown(name, names, program.source.path))
    return program.recipes[name]


def read_data(
    program: Program,
    recipe: Recipe,
    seed: int,
    *,
    data: Given | None = None,
    validation: Given | None = None,
    test: Given | None = None,
) -> Data:
    """Reads and checks all data of a recipe; arrays from Python go before its own sources.

    Raises DlcError (E07xx).
    """
    reader = Reader(program, recipe)
    train = reader.read(data if data is not None else recipe.data, "data")
    if train is None:
        parameters = tuple(dict.fromkeys(p.name for s in recipe.steps for p in s.inputs))
        raise fail(DataNotGiven(recipe.name, parameters, recipe.span))
    rows = np.arange(train.rows)
    held, held_rows = None, rows[:0]
    own = recipe.validation
    if validation is not None or isinstance(own, DataSpec):
        source = validation if validation is not None else own
        held = reader.read(source, "validation", train)  # type: ignore[arg-type]
        held_rows = np.arange(held.rows) if held else held_rows
    elif own:
        held = train
        rows, held_rows = split(train.rows, own, seed)
        if not (len(rows) and len(held_rows)):
            raise fail(ValidationEmpty(own, train.rows))
    batch = recipe.batch.get(reader.rows_axis, len(rows))
    if recipe.settings.get("drop_last") and len(rows) < batch:
        raise fail(NoRows(train.name, f"{len(rows):,} rows are less than a batch of {batch:,}"))
    tested = reader.read(test if test is not None else recipe.test, "test", train)
    reader.check_rows("training", len(rows))
    if held is not None:
        reader.check_rows("validation", len(held_rows))
    if tested is not None:
        reader.check_rows("test", tested.rows)
    return Data(reader.rows_axis, batch, train, rows, held, held_rows, tested)


class Reader:
    """Reads the data sources of a recipe."""

    def __init__(self, program: Program, recipe: Recipe) -> None:
        self.recipe = recipe
        self.beside = Path(program.source.path).parent
        self.ports: list[Port] = [port for step in recipe.steps for port in step.inputs]
        first = next((p.type.axes[0].name for p in self.ports if p.type.dims), "")
        self.rows_axis = next(iter(recipe.batch), first)

    def check_rows(self, purpose: str, rows: int) -> None:
        """Raises DlcError (E0737) if the axis of the rows is declared with another size."""
        for port in self.ports:
            for axis, size in port.type.dims:
                if axis.name == self.rows_axis and size.constant not in (None, rows):
                    raise fail(RowsFixed(purpose, axis.name, size.value({}), rows, port.span))

    def read(
        self, given: Given | DataSpec | None, name: str, train: Dataset | None = None
    ) -> Dataset | None:
        """A source bound to the steps; None if there is none and one is needed."""
        if given is None and (self.ports or train is not None):
            return None
        return self.bound(given or {}, name, train.classes if train is not None else None)

    def bound(
        self,
        given: Given | DataSpec,
        name: str,
        classes: Mapping[str, tuple[str, ...]] | None,
    ) -> Dataset:
        """A source, or arrays called `name`, bound to the steps. Raises DlcError (E07xx)."""
        if isinstance(given, DataSpec):
            source = read_source(given, self.beside, self.ports, self.rows_axis)
        else:
            source = read_arrays(given, name)
        return bind(source, self.recipe.steps, self.recipe.batch, classes=classes)


def initial_state(program: Program, recipe: Recipe, seed: int) -> TrainState:
    """Fresh params, states and slots, drawn by the seed."""
    graph = lower(program.init(recipe.name))
    known: dict[str, Any] = {"seed": seed, "step": 0, "epoch": 0}
    known |= {name: hyper.value for name, hyper in program.hypers.items()}
    feeds = {
        node.attrs["name"]: np.array(known[node.attrs["name"]], node_dtype(node.type.dtype))
        for node in graph.inputs
    }
    values = interpret(graph, feeds)
    arrays = {name: np.array(value, order="C") for name, value in values.items()}
    return TrainState(arrays, {step.name: 0 for step in recipe.steps}, seed)


def node_dtype(dtype: str) -> str:
    """The NumPy type of a hyper or a clock."""
    return {"i64": "i8", "i32": "i4", "f64": "f8", "bool": "?", "u8": "u1"}.get(dtype, "f4")


def take_weights(program: Program, state: TrainState, weights: Path | Mapping[str, Array]) -> Match:
    """Replaces params and states by those of a run, an artifact or a file, where they fit.

    Raises DlcError: E0901 to E0906, E0811 if none fits.
    """
    given = weights if isinstance(weights, Mapping) else read_weights(weights)
    wanted = {path: state.arrays[path] for path in program.params}
    found = match(given, wanted)
    if wanted and not found.taken:
        name = "the given arrays" if isinstance(weights, Mapping) else str(weights)
        raise fail(NothingMatched(name, tuple(given), tuple(wanted)))
    for path, value in found.taken.items():
        state.arrays[path][...] = value
    return found


def manifest_of(
    program: Program, recipe: Recipe, data: Data, seed: int, epochs: int, version: str
) -> dict[str, Any]:
    """What a run begins with: enough to tell whether it can be continued, and to repeat it."""
    return {
        "file": os.path.abspath(program.source.path),
        "recipe": recipe.name,
        "seed": seed,
        "hypers": {name: hyper.value for name, hyper in program.hypers.items()},
        "sources": {
            path: {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
            for path, text in _sources(program).items()
        },
        "data": data.hashes,
        "rows": {
            "train": len(data.train_rows),
            "validation": len(data.validation_rows),
            "test": data.test.rows if data.test else 0,
        },
        "classes": {name: list(found) for name, found in data.train.classes.items()},
        "settings": {
            "epochs": epochs,
            "batch": dict(recipe.batch),
            "validation": recipe.validation if isinstance(recipe.validation, float) else None,
            **recipe.settings,
        },
        "versions": {
            "dlc": version,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
    }


def check_unchanged(
    old: Mapping[str, Any], new: Mapping[str, Any], folder: Path, warn: Callable[[Diagnostic], None]
) -> None:
    """Whether a run may be continued. Raises DlcError (E0806 to E0808), warns of a new version."""
    mistakes: list[Diagnostic] = []
    for path in dict.fromkeys([*old["sources"], *new["sources"]]):
        if _digest(old["sources"], path) != _digest(new["sources"], path):
            mistakes.append(SourceChanged(path, str(folder)))
    for name in ("recipe", "seed"):
        if old[name] != new[name]:
            mistakes.append(SettingChanged(name, str(old[name]), str(new[name])))
    for name, value in new["hypers"].items():
        was = old["hypers"].get(name)
        if name in old["hypers"] and was != value:
            mistakes.append(SettingChanged(f"hyper {name}", str(was), str(value)))
    if not mistakes:
        mistakes += _data_changes(old["data"], new["data"], folder)
    if mistakes:
        raise DlcError(mistakes)
    if old["versions"]["dlc"] != new["versions"]["dlc"]:
        warn(VersionChanged(old["versions"]["dlc"], new["versions"]["dlc"]))


def _data_changes(old: Given, new: Given, folder: Path) -> list[Diagnostic]:
    changed: list[Diagnostic] = []
    for purpose in dict.fromkeys([*old, *new]):
        was, now = old.get(purpose, {}), new.get(purpose, {})
        for name in dict.fromkeys([*was, *now]):
            if was.get(name) != now.get(name):
                changed.append(DataChanged(f"{name} ({purpose})", str(folder)))
    return changed


def _digest(sources: Given, path: str) -> str | None:
    found = sources.get(path)
    return None if found is None else str(found["sha256"])


def _sources(program: Program) -> dict[str, str]:
    """All texts, by path relative to the main file."""
    folder = os.path.dirname(os.path.abspath(program.source.path))
    texts = {program.source.path: program.source.text}
    texts |= {source.path: source.text for source in program.sources}
    return {os.path.relpath(os.path.abspath(path), folder): text for path, text in texts.items()}
