"""The metrics of trained params, without a training: only the rows that are asked for are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from dlc.runtime.executable import Factory
from dlc.semantics.program import DataSpec, Program
from dlc.train.order import split
from dlc.train.programs import Programs, Tick
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
    data: Given | None = None,
    classes: Mapping[str, tuple[str, ...]] | None = None,
    seed: int = 0,
    epochs: int = 0,
    tick: Tick | None = None,
) -> Metrics:
    """The metrics of a recipe's steps on its test or validation rows, or on `data`.

    `weights` are params and states by path. With the `seed`, the number of `epochs` and the
    `classes` of the training (the artifact's facts) these are the very numbers that training gave.
    Raises KeyError if the recipe has no such rows, DlcError (E07xx, E0813).
    """
    found = recipe_of(program, recipe)
    reader = Reader(program, found)
    source: Given | DataSpec | None = data
    fraction = None
    if source is None:
        own = found.test if which == "test" else found.validation
        fraction = own if isinstance(own, float) else None
        source = found.data if isinstance(own, float) else own
    if source is None:
        raise KeyError(which)
    dataset = reader.bound(source, which, classes)
    rows = np.arange(dataset.rows)
    if fraction is not None:
        _, rows = split(dataset.rows, fraction, seed)
    arrays = {path: np.array(value, order="C") for path, value in weights.items()}
    state = TrainState(arrays, {}, seed, epochs)
    programs = Programs(program, found.steps, reader.rows_axis, compile_graph, state)
    batch = found.batch.get(reader.rows_axis, len(rows))
    return programs.evaluate(dataset, rows, batch, {}, tick or _silent)


def _silent(done: int, total: int) -> None:
    """Watches nothing."""
