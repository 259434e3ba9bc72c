"""What every peer is given: one batch and the initial weights of a model, as files of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dlc.graph import RangeCheck
from dlc.runtime.assemble import initial_weights
from dlc.semantics import check_file
from dlc.semantics.program import Port

MODELS = Path(__file__).parent / "models"


def model_names() -> list[str]:
    return sorted(path.stem for path in MODELS.glob("*.dl"))


def write_problem(model: str, folder: Path) -> int:
    """Writes `MODEL.data.npz` and `MODEL.weights.npz`, drawn by seed 0; gives the batch's size.

    Arrays stand in the order of their declaration, their axes as in the `.dl` file: data last
    the labels, weights with the axes of the output last.
    """
    program = check_file(MODELS / f"{model}.dl")
    (recipe,) = program.recipes.values()
    (step,) = recipe.steps
    limits = {c.input: c.size.value({}) for c in step.graph.checks if isinstance(c, RangeCheck)}
    random = np.random.default_rng(0)
    data = {p.name: _draw(random, p, recipe.batch, limits.get(p.name)) for p in step.inputs}
    np.savez(folder / f"{model}.data.npz", **data)
    weights = initial_weights(program, 0)
    np.savez(folder / f"{model}.weights.npz", **{path: weights[path] for path in program.params})
    return next(iter(recipe.batch.values()))


def _draw(random: np.random.Generator, port: Port, sizes: Any, limit: int | None) -> Any:
    shape = [size.value(sizes) for size in port.type.sizes]
    if limit is not None:
        return random.integers(0, limit, shape, np.int32)
    return random.standard_normal(shape, np.float32)
