"""What every peer is given: one batch and the initial weights of a model, as files of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlc.runtime.assemble import initial_weights
from dlc.runtime.cost import flops_in
from dlc.semantics import check_file
from dlc.semantics.program import Program
from dlc.train.rehearsal import draw
from dlc.transform.pipeline import lower

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True, slots=True)
class Problem:
    """A model with its batch, and the operations of what is timed."""

    model: str
    batch: int
    flops: dict[str, int]


def model_names() -> list[str]:
    return sorted(path.stem for path in MODELS.glob("*.dl"))


def write_problem(model: str, folder: Path) -> Problem:
    """Writes `MODEL.data.npz` and `MODEL.weights.npz`, drawn by seed 0.

    Arrays stand in the order of their declaration, their axes as in the `.dl` file: data last
    the labels, weights with the axes of the output last.
    """
    program = check_file(MODELS / f"{model}.dl")
    (recipe,) = program.recipes.values()
    (step,) = recipe.steps
    np.savez(folder / f"{model}.data.npz", **draw(step.inputs, step.graph, recipe.batch))
    weights = initial_weights(program, 0)
    trained = [path for path, info in program.params.items() if info.role == "param"]
    np.savez(folder / f"{model}.weights.npz", **{path: weights[path] for path in trained})
    ((axis, batch),) = recipe.batch.items()
    return Problem(model, batch, _flops(program, axis, batch))


def _flops(program: Program, axis: str, batch: int) -> dict[str, int]:
    (recipe,) = program.recipes.values()
    (net,) = program.models.values()
    inference = lower(net.graph)
    return {
        "train": flops_in(lower(recipe.steps[0].graph), {axis: batch}),
        "infer_1": flops_in(inference, {axis: 1}),
        "infer_batch": flops_in(inference, {axis: batch}),
    }
