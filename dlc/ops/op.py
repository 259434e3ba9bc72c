"""What an op is: one record holds every fact the compiler uses about one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from dlc.diagnostics.record import record
from dlc.graph import Attr, Axis, DType, Node, Size, TensorType

Attrs = Mapping[str, Attr]
if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
else:
    Array = Any
Kind = Literal[
    "source", "map", "view", "reduce", "dot", "gather", "scatter", "sort", "random", "marker"
]
"""What the scheduler sees. source: no operands. map: elementwise by name. view: an index map.
marker: expanded or dropped before scheduling (`grad`, `stop_gradient`)."""

REGISTRY: dict[str, Op] = {}


class TypeRuleError(Exception):
    """The operands do not fit; `axis` names the axis at fault where there is one.

    The checker turns it into a diagnostic with places before a graph is built; from a
    hand-built graph it reaches the developer.
    """

    def __init__(self, message: str, axis: Axis | None = None) -> None:
        super().__init__(message)
        self.axis = axis


class Indexing(Protocol):
    """An integer index expression, as the code of a view needs it."""

    def __add__(self, other: Any, /) -> Indexing: ...
    def __mul__(self, other: Any, /) -> Indexing: ...
    def __floordiv__(self, other: Any, /) -> Indexing: ...
    def __mod__(self, other: Any, /) -> Indexing: ...


Index = Mapping[Axis, Any]
"""For each axis of a tensor the `Indexing` of one element."""


@dataclass(frozen=True, slots=True)
class Read:
    """Where a view finds an element: `argument` at `index`, if all of `inside` hold, else `value`.

    `inside` lists (index, size): 0 <= index < size.
    """

    argument: int
    index: dict[Axis, Any]
    inside: tuple[tuple[Any, Size], ...] = ()


@record
class ViewCode:
    """Code of a view: from an index into the result to the operand that holds the element.

    Several reads (concat) have disjoint `inside` conditions that cover the result; with one read,
    elements outside are `attrs["value"]` (pad, window), 0 if there is none.
    """

    reads: Callable[[Attrs, Sequence[TensorType], TensorType, Index], tuple[Read, ...]]


@record
class Sample:
    """One generated test: operand types, attributes, and how operand values are drawn."""

    types: tuple[TensorType, ...]
    attrs: Attrs = field(default_factory=dict[str, Attr])
    draw: Literal["normal", "positive", "unit", "integers", "bools", "indices"] = "normal"
    """normal: N(0, 1); positive: 0.5 to 2; unit: -0.9 to 0.9; integers: -5 to 5, no 0 among
    divisors; indices: integer operands hold valid indices of the axis that they index."""
    smooth: bool = True
    """False where values are so drawn that finite differences do not apply."""


ZERO: Final = "zero"
"""The gradient is zero everywhere it exists (floor, sign, comparisons, indices)."""
NO_GRADIENT: Final = "no gradient"
"""Asking for it is a mistake that the checker reports."""
Gradient = Callable[["Backward"], Sequence["Node | None"]]


@record
class Backward:
    """What a gradient rule works from: build nodes with the functions of `dlc.ops.build`.

    `cotangent` has the type of `node`. The rule returns one gradient an operand (None: zero).
    Elementwise results may have more axes than the operand: the driver sums them away, and it
    casts and broadcasts to the operand's type.
    """

    node: Node
    cotangent: Node

    @property
    def args(self) -> tuple[Node, ...]:
        """The operands of the node."""
        return self.node.args

    @property
    def attrs(self) -> Attrs:
        """The attributes of the node."""
        return self.node.attrs


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation. Every field is required but those with a plain default."""

    name: str
    doc: str
    kind: Kind
    type: Callable[[Sequence[TensorType], Attrs], TensorType]
    """Operand types and attributes to the result's type; raises TypeRuleError."""
    meaning: Callable[[Sequence[Array], Sequence[TensorType], TensorType, Attrs], Array]
    """NumPy: operand arrays in logical order to the result's array. Sizes in types and attrs are
    constants here (the interpreter substitutes run-time sizes first). The definition of correct."""
    gradient: Gradient | Literal["zero", "no gradient"]
    code: str | ViewCode | None
    """map: text over the vector functions of the code generator, `{0}`, `{1}` the operands,
    as `select(gt({0}, {1}), {0}, {1})`, or a name of one of them; view: its index map;
    None: the scheduler knows the kind (reduce, dot, gather, scatter, sort, random, source)."""
    samples: tuple[Sample, ...]
    """What the generated tests run; at least one."""
    cost: int = 1
    """map: vector operations an element, about."""

    def __post_init__(self) -> None:
        assert self.name not in REGISTRY, f"op {self.name} is declared twice"
        assert self.samples, f"op {self.name} has no sample"
        REGISTRY[self.name] = self


NUMPY_DTYPES: dict[DType, Any] = {
    "f32": "float32", "f64": "float64", "f16": "float16", "bf16": "float32",
    "i32": "int32", "i64": "int64", "u8": "uint8", "bool": "bool",
}  # fmt: skip
"""bf16 lives in float32 arrays whose values are rounded to bf16."""
