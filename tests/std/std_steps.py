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

STEP = """
axis N, F = 3
model M(x: f32[N, F]) -> f32[N, F]:
    param w: float[F] = 0.5
    param b: float[F] = 0.25, decay=false
    return x * w + b
train fit:
    batch N = 4
    step(x: f32[N, F]):
        y = M(x)
        minimize sum(y ** 2 + 0.1 * y) wrt M using OPTIMIZER
"""

NORM = """
axis N, C = 2, T = 5
hyper lr: float = 0.0
model M(x: f32[N, C, T]) -> f32[N, C, T]:
    return x |> BatchNorm(C, momentum=0.3)
train fit:
    batch N = 4
    step(x: f32[N, C, T]):
        y = M(x)
        minimize mean(y ** 2) wrt M using sgd(lr)
        metric first = mean(y[N=0, C=1, T=0])
"""


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
