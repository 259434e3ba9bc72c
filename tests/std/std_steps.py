"""Training steps run by the reference in float64, one after another."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlc.diagnostics import Source
from dlc.reference.interpreter import interpret
from dlc.semantics import check_file
from dlc.semantics.program import Program
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen


@dataclass
class Steps:
    """The first step of the only recipe of a text."""

    text: str
    seed: int = 0
    program: Program = field(init=False)
    values: dict[str, np.ndarray] = field(init=False)
    """Params, states and slots as they stand."""
    done: int = 0

    def __post_init__(self) -> None:
        self.program = check_file(Source("steps.dl", self.text))
        (recipe,) = self.program.recipes.values()
        self.graph = lower(widen(recipe.steps[0].graph))
        initial = widen(lower(self.program.init(recipe.name)))
        asked = {n.attrs["name"] for n in initial.inputs}
        clocks = {"seed": np.int64(self.seed), "step": np.int64(0)}
        self.values = interpret(initial, {k: v for k, v in clocks.items() if k in asked})

    def run(self, epoch: int = 1, **feeds: np.ndarray) -> dict[str, float]:
        """One step; gives its metrics."""
        self.done += 1
        clocks = {"seed": self.seed, "step": self.done, "epoch": epoch}
        given = {**{k: np.int64(v) for k, v in clocks.items()}, **self.values, **feeds}
        given |= {name: h.value for name, h in self.program.hypers.items()}
        asked = {n.attrs["name"] for n in self.graph.inputs}
        out = interpret(self.graph, {k: np.asarray(v) for k, v in given.items() if k in asked})
        updates = {k.removeprefix("update:"): v for k, v in out.items() if k.startswith("update:")}
        self.values |= updates
        return {k.removeprefix("metric:"): v for k, v in out.items() if k.startswith("metric:")}
