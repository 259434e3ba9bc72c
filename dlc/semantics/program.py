"""What checking a file gives: the graphs of its models and steps, and what else a program says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from dlc.diagnostics import Diagnostic, Source, Span
from dlc.diagnostics.record import record
from dlc.graph import Graph, Node, TensorType

Scalar = int | float | bool | str


@record
class Port:
    """A named input or output of a program."""

    name: str
    type: TensorType
    span: Span | None = None


@record
class ParamInfo:
    """A tensor that training owns: trained (`param`) or not (`state`)."""

    path: str
    type: TensorType
    role: Literal["param", "state"]
    decay: bool
    span: Span
    layer: str
    """The kind of the layer or model that declares it: `Linear`."""

    @property
    def instance(self) -> str:
        """The path of the instance that owns it."""
        return self.path.rpartition(".")[0]


@record
class Hyper:
    """A number or word that the command line may set and the tuner may vary."""

    name: str
    type: Literal["float", "int", "bool", "str"]
    default: Scalar
    space: tuple[Literal["choice", "log", "linear"], tuple[Scalar, ...]] | None
    value: Scalar
    """The default, or what was set from outside."""
    fixed: bool
    """Whether the program was compiled for this value: it decides sizes, loops or branches. A
    float hyper that is not fixed is an input of role hyper."""
    span: Span


@record
class ModelProgram:
    """The inference program of one model."""

    name: str
    graph: Graph
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    params: tuple[str, ...]
    """Paths of the params and states that it reads, in the order of their declaration."""


@record
class DataFile:
    """A file of a data source; `column` where the file holds one column alone."""

    column: str | None
    name: str
    span: Span


@record
class DataSpec:
    """A data source as it was written.

    `columns` pairs each column of the steps with what it is called in the source: one name, or
    several (csv) that stand side by side in a last axis.
    """

    kind: Literal["npz", "npy", "csv", "idx", "images"]
    files: tuple[DataFile, ...]
    columns: tuple[tuple[str, str | tuple[str, ...]], ...]
    span: Span


@record
class ModelCall:
    """A call of a model by a step, none by another model: nodes of the step's evaluation."""

    model: str
    inputs: Mapping[str, Node]
    """What it is given, by the model's inputs."""
    outputs: tuple[Node, ...]
    """Its results, in the order of the model's outputs."""


@record
class StepProgram:
    """One step of a recipe."""

    name: str
    every: int
    graph: Graph
    """Training: outputs `update:PATH` and `metric:NAME`; `grad` nodes are not expanded."""
    evaluation: Graph
    """With `training` false: outputs `metric:NAME` only."""
    inputs: tuple[Port, ...]
    metrics: tuple[str, ...]
    span: Span
    calls: tuple[ModelCall, ...] = ()
    """What `evaluation` calls, in order."""


@record
class Recipe:
    """One `train` block."""

    name: str
    data: DataSpec | None
    test: DataSpec | None
    validation: float | DataSpec | None
    batch: Mapping[str, int]
    epochs: int
    seed: int
    settings: Mapping[str, object]
    """`drop_last` (bool), and if it is said, else None: `monitor` (a metric's name), `goal` (`min`
    or `max`), `patience` (epochs)."""
    steps: tuple[StepProgram, ...]
    slots: tuple[str, ...]
    span: Span


@record
class Program:
    """A checked file."""

    source: Source
    models: Mapping[str, ModelProgram]
    recipes: Mapping[str, Recipe]
    params: Mapping[str, ParamInfo]
    hypers: Mapping[str, Hyper]
    sources: tuple[Source, ...]
    """The file and every file it imports; the standard library is not among them."""
    warnings: tuple[Diagnostic, ...]
    initial: Mapping[str, Node] = field(repr=False)
    """Initial values of params and states, by path."""
    slots: Mapping[str, Mapping[str, Node]] = field(repr=False)
    """Initial values of optimizer slots, by recipe, then by name."""
    init_inputs: tuple[Node, ...] = field(repr=False)

    def init(self, recipe: str | None = None) -> Graph:
        """The graph of the initial values: an output for each path, an input `seed` if drawn.

        With a recipe, the slots of its optimizers too. Raises KeyError for an unknown recipe.
        """
        slots = self.slots[recipe] if recipe is not None else {}
        return Graph(self.init_inputs, {**self.initial, **slots})
