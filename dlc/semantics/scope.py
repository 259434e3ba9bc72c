"""Where names live while a program is elaborated: files, bodies, the graph under construction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from dlc.diagnostics import Diagnostic, Source, Span
from dlc.diagnostics.limits import TooManyNodes
from dlc.diagnostics.placed import Placed
from dlc.diagnostics.record import replaced
from dlc.graph import (
    Attr,
    Axis,
    DType,
    Node,
    RangeCheck,
    Role,
    Size,
    SizeCheck,
    TensorType,
    input_node,
)
from dlc.ops import build as ops
from dlc.semantics.program import ModelCall
from dlc.semantics.values import Axes, Instance, Tensor, Value
from dlc.syntax import tree

if TYPE_CHECKING:
    from dlc.semantics.machine import Machine

MAX_NODES = 30_000
BodyKind = Literal["file", "def", "layer", "model", "optimizer", "step", "train"]


class Mistake(Exception):
    """A user's mistake on its way to the nearest expression or statement, which reports it."""

    def __init__(self, case: Placed) -> None:
        super().__init__()
        self.case = case


class Silent(Exception):
    """An operand is poison: this value is given up, the mistake is reported already."""


class Stop(Exception):
    """The program is too large to go on; the mistake is reported already or given here."""

    def __init__(self, case: Placed) -> None:
        super().__init__()
        self.case = case


@dataclass(slots=True, eq=False)
class FileScope:
    """The names of one file, evaluated when they are first needed."""

    source: Source
    root: tree.File
    standard: bool
    items: dict[str, tree.Item | tree.AxisEntry]
    folder: str
    values: dict[str, Value] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Build:
    """One graph under construction."""

    name: str
    training: bool
    inference: bool
    """Whether the draws of this program use step 0."""
    inputs: dict[str, Node] = field(default_factory=dict)
    states: dict[str, Node] = field(default_factory=dict)
    """The present value of each state that was read or updated."""
    slots: dict[str, Node] = field(default_factory=dict)
    checks: list[SizeCheck | RangeCheck] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    """How often each instance was called."""
    model_calls: list[ModelCall] = field(default_factory=list)
    count: int = 0
    losses: list[Any] = field(default_factory=list)
    metrics: dict[str, tuple[Node, Span]] = field(default_factory=dict)

    def input(self, name: str, type: TensorType, role: Role, span: Span | None = None) -> Node:
        """The input of this name, made at its first use."""
        node = self.inputs.get(name)
        if node is None:
            spans = () if span is None else (span,)
            node = self.inputs[name] = input_node(name, type, role, spans)
        return node

    def clock(self, name: Literal["seed", "step", "epoch"]) -> Node:
        """A clock of the program; in an inference program the step is 0."""
        if self.inference and name != "seed":
            return ops.make("const", (), {"value": 0, "dtype": "i64"})
        return self.input(name, TensorType("i64"), "clock")

    def check(self, check: SizeCheck | RangeCheck) -> None:
        """Remember a check for the entry of the program, once."""
        bare = replaced(check, spans=())
        if not any(replaced(c, spans=()) == bare for c in self.checks):
            self.checks.append(check)

    def ordered_inputs(self) -> tuple[Node, ...]:
        """Inputs by role: data as declared, then params, states, slots, hypers, clocks."""
        return tuple(sorted(self.inputs.values(), key=lambda n: _ROLES.index(n.attrs["role"])))


_ROLES: tuple[Role, ...] = ("data", "param", "state", "slot", "hyper", "clock")


@dataclass(slots=True, eq=False)
class Frame:
    """One body that is being elaborated: its names, the sizes its axes stand for, its place."""

    machine: Machine
    build: Build
    file: FileScope
    kind: BodyKind
    name: str
    path: str = ""
    instance: Instance | None = None
    decl: tree.Node | None = None
    caller: Frame | None = None
    site: Span | None = None
    """The call in a user's file that led here."""
    scope: int = 0
    """The scope of axes that the body declares; 0: axes are their names."""
    depth: int = 0
    names: dict[str, Value] = field(default_factory=dict)
    pair: dict[Axis, Axis] = field(default_factory=dict)
    """For each axis from the brackets, the caller's."""
    rest: tuple[Axis, ...] | None = None
    input_sizes: dict[Axis, Size] = field(default_factory=dict)
    given_sizes: dict[Axis, Size] = field(default_factory=dict)
    first_sizes: dict[Axis, Size] = field(default_factory=dict)
    dtypes: dict[str, DType] = field(default_factory=dict)
    """What `float` and `int` stand for in this call."""
    counts: dict[str, int] = field(default_factory=dict)
    declared: dict[str, Span] = field(default_factory=dict)
    loops: int = 0
    training_branch: Span | None = None
    place: str = ""
    """What draws of this body are numbered under."""
    draws: list[int] = field(default_factory=lambda: [0])
    result: Value = None
    returned: bool = False
    lost: bool = False
    """Whether a mistake hid whether the body returns."""

    def initial(self, path: str) -> Frame:
        """The same body while it computes the initial value of `path`."""
        build = self.machine.initial_build
        return replace(self, build=build, place=path, draws=[0], names=dict(self.names))

    def spans(self, span: Span) -> tuple[Span, ...]:
        """The places of a node made at `span`: the user's first, then the library's."""
        if self.file.standard and self.site is not None:
            return (self.site, span)
        return (span,)

    def node(self, op: str, args: Sequence[Node], span: Span, **attrs: Attr) -> Node:
        """A new node; operands and attributes are known to fit."""
        build = self.build
        build.count += 1
        if build.count > MAX_NODES:
            raise Stop(TooManyNodes(place=self.user_site or span, limit=MAX_NODES))
        return ops.make(op, tuple(args), attrs, spans=self.spans(span), path=self.path)

    def tensor(self, op: str, args: Sequence[Node], span: Span, **attrs: Attr) -> Tensor:
        """A new tensor of the body; its axes give sizes to names that have none yet."""
        return self.seen(Tensor(self.node(op, args, span, **attrs)))

    def seen(self, tensor: Tensor) -> Tensor:
        """Note the sizes of the first tensor that gets an axis."""
        first = self.first_sizes
        for axis, size in tensor.node.type.dims:
            if axis not in first:
                first[axis] = size
        return tensor

    def known_size(self, axis: Axis) -> Size | None:
        """The size that a name stands for, or None where nothing gives one."""
        for table in (self.input_sizes, self.given_sizes):
            if axis in table:
                return table[axis]
        declared = self.machine.declared_size(self.file, axis)
        return declared if declared is not None else self.first_sizes.get(axis)

    def shown(self, axis: Axis) -> str:
        """The name of an axis as the user knows it: inside the library, that of the caller."""
        frame: Frame | None = self
        while frame is not None and frame.file.standard:
            axis = frame.pair.get(axis, axis)
            frame = frame.caller
        return axis.name

    def own_axis(self, name: str) -> Axis:
        """An axis that this body declares."""
        return Axis(name, self.scope)

    @property
    def user_site(self) -> Span | None:
        """The nearest call in a user's file, if this body stands in the library."""
        return self.site if self.file.standard else None


Evaluate = Callable[[tree.Expr, Frame], Value]
Report = Callable[[Diagnostic, Frame], None]


def one_axis(value: Axes) -> Axis | None:
    """The axis of a group of one, else None."""
    return value.items[0] if len(value.items) == 1 else None
