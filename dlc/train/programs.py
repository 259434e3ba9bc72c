"""The compiled steps of a recipe, each for training and for evaluation, fed from rows of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dlc.diagnostics.record import record
from dlc.graph import Graph
from dlc.reference.interpreter import all_symbols
from dlc.runtime.compiled import NativeExecutable
from dlc.runtime.executable import Executable, Factory
from dlc.runtime.quick import quick_of
from dlc.runtime.repeated import Repeatable, repeatable
from dlc.semantics.program import Program, StepProgram
from dlc.train.data.dataset import Dataset
from dlc.train.metrics import StepMetrics, split
from dlc.train.order import batches
from dlc.train.setup import node_dtype
from dlc.train.stages import Stage, staged
from dlc.train.state import Metrics, TrainState

Array = np.ndarray[Any, Any]
Tick = Callable[[int, int], None]
Models = Callable[[str], Executable]
"""The inference program of a model by its name, bound to the params that are evaluated."""


class Fed:
    """An executable that is fed with the data that it takes, hypers, clocks and the batch."""

    def __init__(
        self, executable: Executable, rows_axis: str | None, hypers: Mapping[str, Any]
    ) -> None:
        """`rows_axis` is the size of the batch where the executable needs it, else None."""
        self.executable = executable
        self._data = tuple(p.name for p in executable.inputs if p.role == "data")
        self._clocks = {
            p.name: np.zeros((), node_dtype(p.type.dtype))
            for p in executable.inputs
            if p.role == "clock"
        }
        self._hypers = {
            p.name: np.array(hypers[p.name], node_dtype(p.type.dtype))
            for p in executable.inputs
            if p.role == "hyper"
        }
        free = {s for p in executable.inputs if p.role == "data" for s in p.type.elements.symbols}
        self._rows_axis = None if rows_axis in free else rows_axis
        staying = {**self._clocks, **self._hypers}
        self._quick = quick_of(executable, self._data, staying) if self._rows_axis is None else None

    def run(
        self, data: Mapping[str, Array], rows: int, clocks: Mapping[str, int]
    ) -> dict[str, Array]:
        """One run; `data` may hold more than the executable takes. One thread at a time."""
        if self._quick is None:
            return self.executable.run(*self.arguments(data, rows, clocks))
        given = [data[name] for name in self._data]
        for name, cell in self._clocks.items():
            cell[()] = clocks[name]
        found = self._quick.call(*given)
        if found is not None:
            return dict(zip(self._quick.results, found, strict=True))
        results = self.executable.run(*self.arguments(data, rows, clocks))
        self._quick.learn(given)
        return results

    @property
    def threads(self) -> int | None:
        """How many threads a native program was asked to take."""
        program = self.executable
        return program.threads if isinstance(program, NativeExecutable) else None

    def repeatable(
        self, data: Mapping[str, Array], fixed: Mapping[str, Array], count: int
    ) -> Repeatable | None:
        """The program as it runs on `count` rows of data that is in memory; None if it cannot.

        It has to have run on so many rows before. `fixed` is data that is the same for all rows.
        """
        program = self.executable
        if self._quick is None or not isinstance(program, NativeExecutable):
            return None
        rows = {name: data[name] for name in self._data if name in data}
        still = {name: fixed[name] for name in self._data if name in fixed}
        clocks = {name: cell.dtype for name, cell in self._clocks.items()}
        return repeatable(program, rows, {**still, **self._hypers}, clocks, count)

    def arguments(
        self, data: Mapping[str, Array], rows: int, clocks: Mapping[str, int]
    ) -> tuple[dict[str, Array], dict[str, int]]:
        """What a run gives to the executable: arrays by name, and sizes that no input has."""
        feeds = {name: data[name] for name in self._data}
        feeds |= {n: np.array(clocks[n], cell.dtype) for n, cell in self._clocks.items()}
        sizes = {} if self._rows_axis is None else {self._rows_axis: rows}
        return {**feeds, **self._hypers}, sizes


class StepRunner(Fed):
    """One compiled graph of a step. A run gives the accumulators of its metrics."""

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
        needed = rows_axis_of(self.metrics.graph, rows_axis)
        super().__init__(bound(self.metrics.graph, factory, arrays), needed, hypers)


@record
class StageRunner:
    """A call of a model, compiled."""

    stage: Stage
    computed: Fed | None
    model: Fed

    def run(
        self, data: Mapping[str, Array], rows: int, clocks: Mapping[str, int]
    ) -> dict[str, Array]:
        """The data and the model's results."""
        given = {name: data[source] for name, source in self.stage.given.items()}
        if self.computed is not None:
            given |= self.computed.run(data, rows, clocks)
        results = self.model.run(given, rows, clocks)
        return {**data, **{name: results[port] for port, name in self.stage.results.items()}}


@record
class EvaluationRunner:
    """The evaluation of a step, compiled in stages. A run gives the accumulators of its metrics."""

    step: StepProgram
    metrics: StepMetrics
    stages: Sequence[StageRunner]
    last: Fed

    def run(
        self, data: Mapping[str, Array], rows: int, clocks: Mapping[str, int]
    ) -> dict[str, Array]:
        """One run, the models by their own programs."""
        for stage in self.stages:
            data = stage.run(data, rows, clocks)
        return self.last.run(data, rows, clocks)


def rows_axis_of(graph: Graph, rows_axis: str) -> str | None:
    """The axis of the rows, if its size is one of the graph's run-time sizes."""
    return rows_axis if rows_axis in all_symbols(graph) else None


def bound(graph: Graph, factory: Factory, arrays: Mapping[str, Array]) -> Executable:
    """The graph compiled, over those of the params, states and slots that it has."""
    executable = factory(graph)
    names = {node.attrs["name"] for node in graph.inputs}
    executable.bind({name: arrays[name] for name in names if name in arrays})
    return executable


class Programs:
    """All steps of a recipe over one state. Evaluation is compiled when first asked for.

    `models` gives the inference programs that evaluation runs; without it they are compiled.
    """

    def __init__(
        self,
        program: Program,
        steps: tuple[StepProgram, ...],
        rows_axis: str,
        factory: Factory,
        state: TrainState,
        models: Models | None = None,
    ) -> None:
        self._program, self._steps, self._rows_axis = program, steps, rows_axis
        self._factory, self._models = factory, models or self._own_model
        self._hypers = {name: hyper.value for name, hyper in program.hypers.items()}
        self._state = state
        self._training: list[StepRunner] | None = None
        self._evaluation: list[EvaluationRunner] | None = None

    def prepare(self) -> None:
        """Compiles the steps for training."""
        assert self.training, "a recipe has steps"

    @property
    def training(self) -> list[StepRunner]:
        """The steps as they train."""
        if self._training is None:
            self._training = [
                StepRunner(
                    step, step.graph, self._rows_axis, self._factory, self._state.arrays,
                    self._hypers,
                )
                for step in self._steps
            ]  # fmt: skip
        return self._training

    @property
    def evaluation(self) -> list[EvaluationRunner]:
        """The steps with `training` false: they update nothing."""
        if self._evaluation is None:
            models: dict[str, Fed] = {}
            found = [s for s in self._steps if s.evaluation.outputs]
            self._evaluation = [self._evaluated(step, models) for step in found]
        return self._evaluation

    def named(
        self, runners: Sequence[StepRunner] | Sequence[EvaluationRunner], total: Mapping[str, Array]
    ) -> Metrics:
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

    def _evaluated(self, step: StepProgram, models: dict[str, Fed]) -> EvaluationRunner:
        """`models` are those that other steps use already."""
        metrics = split(step.name, step.evaluation, self._rows_axis)
        parts = staged(metrics.graph, step.calls, self._program.models)
        stages: list[StageRunner] = []
        for stage in parts.stages:
            if stage.model not in models:
                models[stage.model] = Fed(self._models(stage.model), None, self._hypers)
            computed = None if stage.computed is None else self._fed(stage.computed)
            stages.append(StageRunner(stage, computed, models[stage.model]))
        return EvaluationRunner(step, metrics, stages, self._fed(parts.last))

    def _fed(self, graph: Graph) -> Fed:
        executable = bound(graph, self._factory, self._state.arrays)
        return Fed(executable, rows_axis_of(graph, self._rows_axis), self._hypers)

    def _own_model(self, name: str) -> Executable:
        return bound(self._program.models[name].graph, self._factory, self._state.arrays)
