"""The compiled steps of a recipe, each for training and for evaluation, fed from rows of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlc.graph import Graph
from dlc.runtime.executable import Executable, Factory
from dlc.semantics.program import Program, StepProgram
from dlc.train.data.dataset import Dataset
from dlc.train.metrics import StepMetrics, split
from dlc.train.order import batches
from dlc.train.setup import node_dtype
from dlc.train.state import Metrics, TrainState

Array = np.ndarray[Any, Any]
Tick = Callable[[int, int], None]


class StepRunner:
    """One compiled graph of a step, bound to the arrays of the state."""

    def __init__(
        self,
        step: StepProgram,
        graph: Graph,
        rows_axis: str,
        factory: Factory,
        arrays: Mapping[str, Array],
        hypers: Mapping[str, Any],
    ) -> None:
        self.step = step
        self.metrics: StepMetrics = split(step.name, graph, rows_axis)
        self.executable: Executable = factory(self.metrics.graph)
        names = {node.attrs["name"] for node in graph.inputs}
        self.executable.bind({name: arrays[name] for name in names if name in arrays})
        self._data = {p.name for p in self.executable.inputs if p.role == "data"}
        self._clocks = {
            p.name: node_dtype(p.type.dtype) for p in self.executable.inputs if p.role == "clock"
        }
        self._hypers = {
            p.name: np.array(hypers[p.name], node_dtype(p.type.dtype))
            for p in self.executable.inputs
            if p.role == "hyper"
        }
        free = {
            s for p in self.executable.inputs if p.role == "data" for s in p.type.elements.symbols
        }
        self._rows_axis = None if rows_axis in free else rows_axis

    def run(
        self, data: Mapping[str, Array], rows: int, clocks: Mapping[str, int]
    ) -> dict[str, Array]:
        """One run; gives the accumulators of its metrics."""
        return self.executable.run(*self.arguments(data, rows, clocks))

    def arguments(
        self, data: Mapping[str, Array], rows: int, clocks: Mapping[str, int]
    ) -> tuple[dict[str, Array], dict[str, int]]:
        """What a run gives to the executable: arrays by name, and sizes that no input has."""
        feeds = {name: value for name, value in data.items() if name in self._data}
        feeds |= {n: np.array(clocks[n], dtype) for n, dtype in self._clocks.items()}
        sizes = {} if self._rows_axis is None else {self._rows_axis: rows}
        return {**feeds, **self._hypers}, sizes


class Programs:
    """All steps of a recipe over one state. Evaluation is compiled when first asked for."""

    def __init__(
        self,
        program: Program,
        steps: tuple[StepProgram, ...],
        rows_axis: str,
        factory: Factory,
        state: TrainState,
    ) -> None:
        self._steps, self._rows_axis, self._factory = steps, rows_axis, factory
        self._hypers = {name: hyper.value for name, hyper in program.hypers.items()}
        self._state = state
        self._training: list[StepRunner] | None = None
        self._evaluation: list[StepRunner] | None = None

    def prepare(self) -> None:
        """Compiles the steps for training."""
        assert self.training, "a recipe has steps"

    @property
    def training(self) -> list[StepRunner]:
        """The steps as they train."""
        if self._training is None:
            self._training = [self._runner(step, step.graph) for step in self._steps]
        return self._training

    @property
    def evaluation(self) -> list[StepRunner]:
        """The steps with `training` false: they update nothing."""
        if self._evaluation is None:
            found = [s for s in self._steps if s.evaluation.outputs]
            self._evaluation = [self._runner(step, step.evaluation) for step in found]
        return self._evaluation

    def named(self, runners: list[StepRunner], total: Mapping[str, Array]) -> Metrics:
        """The metrics of accumulators; `STEP.NAME` where there are several steps."""
        found: Metrics = {}
        for runner in runners:
            prefix = f"{runner.step.name}." if len(self._steps) > 1 else ""
            for name, value in runner.metrics.finished(total).items():
                found[prefix + name] = value
        return found

    def evaluate(
        self, data: Dataset, rows: Array, batch: int, arrays: Mapping[str, Array], tick: Tick
    ) -> Metrics:
        """The exact metrics over these rows with other params; they are as before afterwards.

        Draws (a VAE's) depend on the seed and the batch's number alone, so epochs are comparable.
        """
        kept = self._swap(arrays)
        epoch = self._state.epoch + (1 if self._state.position else 0)
        total: dict[str, Array] = {}
        parts = batches(rows, batch)
        try:
            for number, part in enumerate(parts, 1):
                clocks = {"seed": self._state.seed, "step": number, "epoch": epoch}
                for runner in self.evaluation:
                    feeds = data.batch(runner.step.name, part)
                    runner.metrics.add(total, runner.run(feeds, len(part), clocks))
                tick(number, len(parts))
        finally:
            self._swap(kept)
        return self.named(self.evaluation, total)

    def _swap(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Writes other values into the state's arrays; gives those that stood there."""
        mine = self._state.arrays
        changed = [name for name, value in arrays.items() if value is not mine[name]]
        kept = {name: mine[name].copy() for name in changed}
        for name in changed:
            mine[name][...] = arrays[name]
        return kept

    def _runner(self, step: StepProgram, graph: Graph) -> StepRunner:
        return StepRunner(
            step, graph, self._rows_axis, self._factory, self._state.arrays, self._hypers
        )
