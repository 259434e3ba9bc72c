"""Training steps and inference that are run again and again to be measured; nothing is saved.

They run on the recipe's data where its files are there, else on numbers drawn to fit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from dlc.diagnostics import DlcError
from dlc.diagnostics.files import FileMissing
from dlc.diagnostics.record import record
from dlc.graph import FLOATS, Graph, RangeCheck
from dlc.reference.feeds import bind_feeds
from dlc.reference.interpreter import all_symbols
from dlc.runtime.assemble import initial_weights
from dlc.runtime.executable import Array, Executable, Factory
from dlc.schedule.facts import TYPICAL
from dlc.semantics.program import ModelProgram, Port, Program, Recipe
from dlc.train.data.convert import numpy_dtype
from dlc.train.data.dataset import Dataset
from dlc.train.order import epoch_batches
from dlc.train.programs import StepRunner
from dlc.train.setup import Reader, initial_state, node_dtype

LARGEST = 10
"""Integers that index nothing known are drawn below this."""
BATCHES = 16
"""So many batches of real data are taken in turn."""


@record
class Rehearsal:
    """A compiled step of a recipe, or a model."""

    title: str
    rows: int
    """Of the batch."""
    sizes: Mapping[str, int]
    """All run-time sizes."""
    real: bool
    """Whether it runs on the recipe's data."""
    graph: Graph
    executable: Executable
    arguments: Callable[[int], tuple[dict[str, Array], dict[str, int]]]
    """Feeds and sizes of a run, by its number from 0 on."""

    def run(self, number: int) -> dict[str, Array]:
        """One run; a training step updates its weights."""
        return self.executable.run(*self.arguments(number))


def training(
    program: Program,
    recipe: Recipe,
    factory: Factory,
    *,
    rows: int | None = None,
    sizes: Mapping[str, int] | None = None,
) -> tuple[Rehearsal, ...]:
    """The steps of a recipe, each by itself, over one state.

    `rows` is the batch instead of the recipe's; `sizes` are those that neither the batch nor the
    data decide, else `TYPICAL`. Raises DlcError (E07xx) for data that is there and does not fit.
    """
    axis = Reader(program, recipe).rows_axis
    known = _known(axis, rows, recipe, sizes)
    data = _data(program, recipe)
    state = initial_state(program, recipe, recipe.seed)
    hypers = {name: hyper.value for name, hyper in program.hypers.items()}
    found = []
    for step in recipe.steps:
        runner = StepRunner(step, step.graph, axis, factory, state.arrays, hypers)
        if data is None:
            batches = [draw(step.inputs, step.graph, known)]
        else:
            parts = _parts(data, known[axis], recipe.seed)
            batches = [data.batch(step.name, part) for part in parts]
        graph = runner.metrics.graph
        title = f"train {recipe.name}" + (f".{step.name}" if len(recipe.steps) > 1 else "")
        arguments = _step_arguments(runner, batches, known[axis], recipe.seed)
        held = _sizes(graph, step.inputs, batches[0], known)
        found.append(
            Rehearsal(
                title, known[axis], held, data is not None, graph, runner.executable, arguments
            )
        )
    return tuple(found)


def inference(
    program: Program,
    model: ModelProgram,
    factory: Factory,
    *,
    rows: int | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Rehearsal:
    """A model with fresh weights, on as many rows as its first recipe's batch unless given."""
    recipe = next(iter(program.recipes.values()), None)
    dims = [size for port in model.inputs for size in port.type.sizes[:1]]
    axis = min((s for size in dims for s in size.symbols), default="")
    axis = axis or next(iter(all_symbols(model.graph)), "")
    known = _known(axis, rows, recipe, sizes)
    feeds = draw(model.inputs, model.graph, known)
    data = None if recipe is None else _data(program, recipe)
    real = None if data is None else _feeds_of(data, model, known[axis])
    feeds = real or feeds
    executable = factory(model.graph)
    weights = initial_weights(program)
    executable.bind({path: np.array(value, order="C") for path, value in weights.items()})
    values = {name: hyper.value for name, hyper in program.hypers.items()}
    feeds |= {
        port.name: np.array(values.get(port.name, 0), node_dtype(port.type.dtype))
        for port in executable.inputs
        if port.role in ("hyper", "clock")
    }
    held = _sizes(model.graph, model.inputs, feeds, known)
    seen = {s for port in model.inputs for s in port.type.elements.symbols}
    free = {name: size for name, size in held.items() if name not in seen}
    return Rehearsal(
        f"model {model.name}",
        known[axis] if axis else 1,
        held,
        real is not None,
        model.graph,
        executable,
        lambda _: (feeds, free),
    )


def draw(ports: Iterable[Port], graph: Graph, sizes: Mapping[str, int]) -> dict[str, Array]:
    """An array for each port, drawn by seed 0: normal floats, and integers that index inside."""
    limits = {c.input: c.size.value(sizes) for c in graph.checks if isinstance(c, RangeCheck)}
    random = np.random.default_rng(0)
    found: dict[str, Array] = {}
    for port in ports:
        dtype = numpy_dtype(port.type.dtype)
        shape = [size.value(sizes) for size in port.type.sizes]
        if port.type.dtype in FLOATS:
            found[port.name] = random.standard_normal(shape, np.float32).astype(dtype)
        else:
            top = {"bool": 2, "u8": 256}.get(port.type.dtype, LARGEST)
            found[port.name] = random.integers(0, limits.get(port.name, top), shape).astype(dtype)
    return found


def _known(
    axis: str, rows: int | None, recipe: Recipe | None, sizes: Mapping[str, int] | None
) -> Mapping[str, int]:
    """Sizes by name; what nothing decides is typical."""
    known = defaultdict(lambda: TYPICAL, {**(recipe.batch if recipe else {}), **(sizes or {})})
    if rows is not None:
        known[axis] = rows
    return known


def _sizes(
    graph: Graph, ports: Iterable[Port], feeds: Mapping[str, Array], known: Mapping[str, int]
) -> dict[str, int]:
    """Every run-time size of the graph."""
    types = {port.name: port.type for port in ports}
    found = bind_feeds(types, (), (), {name: feeds[name] for name in types}, {}).sizes
    return {name: found.get(name, known[name]) for name in all_symbols(graph)}


def _data(program: Program, recipe: Recipe) -> Dataset | None:
    """The recipe's training data; None where its files are not there."""
    try:
        return Reader(program, recipe).read(recipe.data, "data")
    except DlcError as error:
        if all(isinstance(d, FileMissing) for d in error.diagnostics):
            return None
        raise


def _parts(data: Dataset, rows: int, seed: int) -> list[Array]:
    """The rows of the first batches, all of one size; they repeat where there are too few."""
    order = np.resize(np.arange(data.rows), max(data.rows, rows))
    return epoch_batches(order, rows, seed, 1, drop_last=True)[:BATCHES]


def _feeds_of(data: Dataset, model: ModelProgram, rows: int) -> dict[str, Array] | None:
    """The model's inputs from the columns of the same names and types; None without them all."""
    every = {feed.name: feed for feeds in data.feeds.values() for feed in feeds}
    wanted = {port.name: numpy_dtype(port.type.dtype) for port in model.inputs}
    if not all(name in every and every[name].dtype == dtype for name, dtype in wanted.items()):
        return None
    part = np.resize(np.arange(data.rows), rows)
    return {name: every[name].take(part) for name in wanted}


def _step_arguments(
    runner: StepRunner, batches: Sequence[Mapping[str, Array]], rows: int, seed: int
) -> Callable[[int], tuple[dict[str, Array], dict[str, int]]]:
    def arguments(number: int) -> tuple[dict[str, Array], dict[str, int]]:
        clocks = {"seed": seed, "step": number + 1, "epoch": 1}
        return runner.arguments(batches[number % len(batches)], rows, clocks)

    return arguments
