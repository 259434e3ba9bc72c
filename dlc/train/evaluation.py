"""The metrics of trained params, without a training: only the rows that are asked for are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from dlc.runtime.executable import Factory
from dlc.semantics.program import DataSpec, Program, Recipe
from dlc.train.order import split
from dlc.train.programs import Models, Programs, Tick
from dlc.train.setup import Given, Reader, recipe_of
from dlc.train.state import Metrics, TrainState

Array = np.ndarray[Any, Any]
Which = Literal["test", "validation"]


def evaluate(
    program: Program,
    recipe: str | None,
    which: Which,
    *,
    compile_graph: Factory,
    weights: Mapping[str, Array],
    models: Models | None = None,
    data: Given | None = None,
    classes: Mapping[str, tuple[str, ...]] | None = None,
    seed: int = 0,
    epochs: int = 0,
    tick: Tick | None = None,
) -> Metrics:
    """The metrics of a recipe's steps on its test or validation rows, or on `data`.

    `weights` are params and states by path, and `models` inference programs bound to them; those
    that are not given are compiled. With the `seed`, the number of `epochs` and the `classes` of
    the training (the artifact's facts) these are the numbers that training gave.
    Raises KeyError if the recipe has no such rows, DlcError (E07xx, E0813).
    """
    found = recipe_of(program, recipe)
    reader = Reader(program, found)
    source = data if data is not None else source_of(found, which)
    if source is None:
        raise KeyError(which)
    dataset = reader.bound(source, which, classes)
    rows = np.arange(dataset.rows)
    if source is found.data and isinstance(found.validation, float):
        _, rows = split(dataset.rows, found.validation, seed)
    reader.check_rows(which, len(rows))
    arrays = {path: np.array(value, order="C") for path, value in weights.items()}
    state = TrainState(arrays, {}, seed, epochs)
    programs = Programs(program, found.steps, reader.rows_axis, compile_graph, state, models)
    batch = found.batch.get(reader.rows_axis, len(rows))
    return programs.evaluate(dataset, rows, batch, {}, tick or _silent)


def source_of(recipe: Recipe, which: Which) -> DataSpec | None:
    """Where the test or validation rows of a recipe are; None if it has none."""
    if which == "test":
        return recipe.test
    own = recipe.validation
    return own if isinstance(own, DataSpec) else recipe.data if own else None


def _silent(done: int, total: int) -> None:
    """Watches nothing."""
