"""Values that exist while compiling: what an expression of the language can evaluate to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from dlc.diagnostics import Span
from dlc.diagnostics.record import record
from dlc.graph import Axis, DType, Node, Size, TensorType
from dlc.syntax import tree

if TYPE_CHECKING:
    from dlc.semantics.scope import FileScope


class Poison:
    """The value of an erroneous expression: silences every follow-up."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "POISON"


POISON = Poison()


@record
class Axes:
    """One axis, or a group in order."""

    items: tuple[Axis, ...]

    def __str__(self) -> str:
        return show_axes(self.items)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value computed at run time; in an optimizer `decay` tells what the `param` said."""

    node: Node
    decay: bool | None = None

    @property
    def type(self) -> TensorType:
        """The type of its node."""
        return self.node.type


class HyperFloat(float):
    """A float hyper, or a number computed from some: known here, and an input of the program.

    `formula` is the name of the hyper, or an operation on such values and numbers. Where it
    meets a tensor it becomes nodes; where it decides something while compiling, it is `float`.
    """

    __slots__ = ("formula",)
    formula: str | tuple[str, tuple[Any, ...]]

    def __new__(cls, value: float, formula: str | tuple[str, tuple[Any, ...]]) -> HyperFloat:
        """The number with how it came about."""
        made = super().__new__(cls, value)
        made.formula = formula
        return made

    def hypers(self) -> set[str]:
        """The names of the hypers that it depends on."""
        if isinstance(self.formula, str):
            return {self.formula}
        found: set[str] = set()
        for part in self.formula[1]:
            if isinstance(part, HyperFloat):
                found |= part.hypers()
        return found


@record
class Ratio:
    """A quotient of run-time sizes that is not proved to divide: a number, or a checked size."""

    above: Size
    below: Size

    def __str__(self) -> str:
        return f"({self.above}) / ({self.below})"


@record
class Arrow:
    """`A -> B` in brackets; sizes that are known, and those written at this very place."""

    source: Axes
    target: Axes
    sizes: tuple[Size | None, ...]
    written: tuple[bool, ...]
    source_span: Span
    target_span: Span


@record
class Kind:
    """A def, layer or optimizer, and the file whose names its body sees."""

    decl: tree.Def | tree.Layer | tree.Optimizer
    file: FileScope

    @property
    def name(self) -> str:
        """Its name in its file."""
        return self.decl.name.text

    @property
    def what(self) -> str:
        """`def`, `layer` or `optimizer`."""
        match self.decl:
            case tree.Def():
                return "def"
            case tree.Layer():
                return "layer"
            case tree.Optimizer():
                return "optimizer"


@dataclass(slots=True, eq=False)
class Instance:
    """A layer or model that owns parameters, for the whole program."""

    path: str
    decl: tree.Layer | tree.Model
    file: FileScope
    scope: int
    """The scope of its own axes."""
    span: Span
    config: Config | None = None
    own: dict[tuple[str, int], Axis] = field(default_factory=dict)
    outside: dict[Axis, Axis] = field(default_factory=dict)
    """For each axis from the brackets, the caller's: how `embed.table` is seen from outside."""
    used: bool = False

    @property
    def name(self) -> str:
        """The name of its kind."""
        return self.decl.name.text


@record
class Config:
    """Arguments of a layer's or optimizer's first brackets."""

    arrows: tuple[Arrow, ...]
    values: Mapping[str, Value]
    spans: Mapping[str, Span]
    span: Span


@record
class Optimizer:
    """An optimizer with its settings: `adam(lr)`."""

    kind: Kind
    config: Config


@record
class Inference:
    """`inference(NET)`: the model with `training` false."""

    model: Instance


@record
class Draw:
    """A draw that waits for its axes: `normal`, `uniform`, `bernoulli(0.5)`."""

    kind: Literal["normal", "uniform", "bernoulli"]
    chance: Value = None


@record
class DTypeName:
    """A dtype as a value: `cast(x, bf16)`."""

    dtype: DType


@record
class Builtin:
    """A function of the compiler; `run` gets the call and returns its value."""

    name: str
    run: Callable[..., Value] = field(compare=False, repr=False)
    signature: str = ""


@record
class Unset:
    """A name of this body that has no value yet; `span` is a place that sets it."""

    span: Span


Value: TypeAlias = Any
"""int, float, bool, str, None, list (a list), tuple (several values), Size, classes of here."""


def is_number(value: Value) -> bool:
    """Whether it takes part in arithmetic without being a tensor (an axis stands for its size)."""
    return isinstance(value, (int, float, Size, Ratio)) and not isinstance(value, bool)


def describe(value: Value) -> str:
    """The kind of a value, in words."""
    match value:
        case Tensor(node=node):
            return f"a tensor {show_type(node.type)}"
        case bool():
            return "a bool"
        case int() | float():
            return f"the number {float(value) if isinstance(value, float) else value}"
        case Size() | Ratio():
            return "a size"
        case str():
            return "a string"
        case Axes(items=items):
            return f"axis {items[0].name}" if len(items) == 1 else f"the group {value}"
        case Kind():
            return f"the {value.what} {value.name}"
        case Instance(decl=tree.Model()):
            return f"the model {value.name}"
        case Instance():
            return f"an instance of {value.name}"
        case Arrow():
            return "an arrow"
        case Builtin(name=name) | Kind(name=name):
            return f"the function {name}"
        case _:
            return _DESCRIBED.get(type(value), "this")


_DESCRIBED: dict[type, str] = {
    list: "a list", tuple: "several values", Optimizer: "an optimizer", DTypeName: "a dtype",
    Draw: "a draw without its axes", Inference: "a model", type(None): "nothing",
}  # fmt: skip


def show_axes(axes: tuple[Axis, ...]) -> str:
    """Axes as a user knows them: `(N, C)`, `()`."""
    return f"({', '.join(a.name for a in axes)})"


def show_type(type: TensorType) -> str:
    """A type as a user writes it: `f32[N, C=32]`."""
    if not type.dims:
        return type.dtype
    inside = [a.name if str(n) == a.name else f"{a.name}={n}" for a, n in type.dims]
    return f"{type.dtype}[{', '.join(inside)}]"
