"""dlc: a step as the Trainer runs it, inference as a Python program calls it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import dlc
from dlc.api import module_of, with_native, with_weights
from dlc.runtime.build import build_executable
from dlc.semantics import check_file
from dlc.train.programs import StepRunner
from dlc.train.setup import initial_state, recipe_of

MODELS = Path(__file__).parent.parent / "models"


class Dlc:
    """The inference program is compiled when it is first asked for."""

    version, trains = dlc.__version__, True

    def __init__(
        self, model: str, data: dict[str, Any], weights: dict[str, Any], threads: int, _: Path
    ):
        self._program = check_file(MODELS / f"{model}.dl")
        self._data, self._weights, self._threads = data, weights, threads
        recipe = recipe_of(self._program, None)
        self._state = initial_state(self._program, recipe, 0)
        self._start = {path: array.copy() for path, array in self._state.arrays.items()} | weights
        self.batch = len(next(iter(data.values())))
        self._count = 0
        self._outputs: dict[str, Any] = {}
        self._runner = StepRunner(
            recipe.steps[0],
            recipe.steps[0].graph,
            next(iter(recipe.batch)),
            partial(build_executable, threads=threads),
            self._state.arrays,
            {name: hyper.value for name, hyper in self._program.hypers.items()},
        )
        self.reset()

    def reset(self) -> None:
        self._count = 0
        for path, array in self._start.items():
            self._state.arrays[path][...] = array

    def step(self) -> None:
        self._count += 1
        clocks = {"seed": 0, "step": self._count, "epoch": 1}
        self._outputs = self._runner.run(self._data, self.batch, clocks)

    def loss(self) -> float:
        total: dict[str, Any] = {}
        self._runner.metrics.add(total, self._outputs)
        return self._runner.metrics.finished(total)["loss"]

    def infer(self, rows: int) -> Any:
        contents = with_native(with_weights(self._program, self._weights))
        net = module_of(contents, threads=self._threads)
        names = [port.name for port in net.only().inputs]
        return partial(net, *(self._data[name][:rows] for name in names))


make = Dlc
