"""The syntax tree of a `.dl` file: what was written, before any name is looked up.

Nodes are immutable and compare by content: `span` takes no part in `==`. Brackets that only
group (`(a + b)`) leave no node of their own; `(a, b)`, `(a,)`, `()` and `(H=4, E)` are `Tuple`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field
from operator import attrgetter
from typing import Any, Literal, TypeAlias

from dlc.diagnostics import Span
from dlc.diagnostics.record import names_of, record


@record
class Node:
    """What all nodes share: the place in the source."""

    span: Span = field(kw_only=True, compare=False, repr=False)


@record
class Identifier(Node):
    """A name that is declared, bound or selected (not an expression): `LeNet` in `model LeNet`."""

    text: str


# Expressions ---------------------------------------------------------------------------------


@record
class Name(Node):
    """A name used as a value, an axis or a function: `x`, `inf`, `pi`, `training`, `step`."""

    text: str


@record
class Number(Node):
    """A literal number: `3`, `1_000` (int), `1e-3`, `0.5` (float); `text` as it was written."""

    value: int | float
    text: str


@record
class String(Node):
    """A literal string: `"same"`; `value` with escapes resolved, `text` as it was written."""

    value: str
    text: str


@record
class Bool(Node):
    """`true` or `false`."""

    value: bool


@record
class Rest(Node):
    """`..` as a value: the axes that the inputs' `..` took."""


@record
class Sized(Node):
    """`H=4` as an element of a tuple, a target of `->`, or an axis of a draw (`normal[N=3]`)."""

    name: Identifier
    size: Expr


@record
class Tuple(Node):
    """A group in round brackets: `(C, Y, X)`, `(H=4, E)`, `(x,)`, `()`."""

    items: tuple[Expr, ...]


@record
class ListExpr(Node):
    """A list: `[a, b]`, `[]`."""

    items: tuple[Expr, ...]


@record
class Arrow(Node):
    """`A -> B` in the brackets of a call: `C -> 32`, `(In, Tap) -> Out`, `H -> ()`, `F -> H=5`."""

    source: Expr
    target: Expr


@record
class Argument(Node):
    """An argument of a call; `name` is None for a positional one: `x`, `over=T`."""

    name: Identifier | None
    value: Expr


@record
class Call(Node):
    """`f(x, over=T)`, `Conv(C -> 32, kernel=3)`; an `Arrow` is the value of a positional one."""

    function: Expr
    arguments: tuple[Argument, ...]


@record
class Slice(Node):
    """`1:`, `:-1`, `::2` in square brackets."""

    start: Expr | None
    stop: Expr | None
    step: Expr | None


@record
class Subscript(Node):
    """One entry in the square brackets of an `Index`: `T=0`, `T=1:`, `N` (no name), `..`."""

    name: Identifier | None
    value: Expr | Slice


@record
class Index(Node):
    """`x[T=0]`, `x[K=label]`, `normal[N, Z]`, `items[1:]`."""

    value: Expr
    subscripts: tuple[Subscript, ...]


@record
class Attribute(Node):
    """`embed.table`."""

    value: Expr
    name: Identifier


@record
class Unary(Node):
    """`-x`, `not x`."""

    op: Literal["-", "not"]
    operand: Expr


BinaryOp: TypeAlias = Literal["+", "-", "*", "/", "//", "%", "**", "and", "or"]
CompareOp: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]


@record
class Binary(Node):
    """`a + b`, `a ** b`, `a and b`; `place` is the operator's own place."""

    op: BinaryOp
    left: Expr
    right: Expr
    place: Span = field(kw_only=True, compare=False, repr=False)


@record
class Compare(Node):
    """`a <= b`; comparisons do not chain. `place` is the operator's own place."""

    op: CompareOp
    left: Expr
    right: Expr
    place: Span = field(kw_only=True, compare=False, repr=False)


@record
class Pipe(Node):
    """`value |> function`; `place` is the place of `|>`."""

    value: Expr
    function: Expr
    place: Span = field(kw_only=True, compare=False, repr=False)


Expr: TypeAlias = (
    Name | Number | String | Bool | Rest | Sized | Tuple | ListExpr | Arrow | Call | Index
    | Attribute | Unary | Binary | Compare | Pipe
)  # fmt: skip
"""`Sized` occurs only in a `Tuple` or as an arrow's target, `Arrow` only as an argument."""


# Types and parameters ------------------------------------------------------------------------


@record
class TypeAxis(Node):
    """An axis or group in a type: `N`, `C=1`, `In = In / groups`."""

    name: Identifier
    size: Expr | None


@record
class RestAxes(Node):
    """`..` in a type: all axes that the type does not name."""


@record
class TypeExpr(Node):
    """`f32[N, C=1]`, `float[..]`; `axes` is None without brackets (`f32`, `axis`)."""

    name: Identifier
    axes: tuple[TypeAxis | RestAxes, ...] | None


@record
class NamedResult(Node):
    """One of several results: `mu: f32[N, Z]`."""

    name: Identifier
    type: TypeExpr


@record
class TupleType(Node):
    """Several named results: `(mu: f32[N, Z], logvar: f32[N, Z])`."""

    results: tuple[NamedResult, ...]


ResultType: TypeAlias = TypeExpr | TupleType


@record
class Parameter(Node):
    """A parameter: `D`, `x: float[..]`, `stride = 1`, `over: axis = T`."""

    name: Identifier
    type: TypeExpr | None
    default: Expr | None


@record
class AxisMap(Node):
    """`In -> Out` among parameters: two axes of the layer's own."""

    source: Identifier
    target: Identifier


Param: TypeAlias = Parameter | AxisMap


# Statements ----------------------------------------------------------------------------------


@record
class AxisEntry(Node):
    """`N`, `K = 10`, or `Tap for over = kernel`."""

    name: Identifier
    over: Expr | None
    size: Expr | None


@record
class AxisDecl(Node):
    """`axis N, K = 10`; at the top of a file or in a body."""

    axes: tuple[AxisEntry, ...]


@record
class LayerInstance(Node):
    """`layer fc = Linear(F -> H)` in a body."""

    name: Identifier
    value: Expr


@record
class Option(Node):
    """`decay=false` after a param's initial value."""

    name: Identifier
    value: Expr


@record
class ParamDecl(Node):
    """`param weight: float[In, Out] = init(In -> Out), decay=false`."""

    name: Identifier
    type: TypeExpr
    init: Expr
    options: tuple[Option, ...]


@record
class StateDecl(Node):
    """`state center: float[C] = 0`; without a type in an optimizer: `state m = 0`."""

    name: Identifier
    type: TypeExpr | None
    init: Expr


@record
class Carry(Node):
    """`carry h: float[.., H] = 0` in a scan."""

    name: Identifier
    type: TypeExpr
    init: Expr


@record
class Emit(Node):
    """`emit out = h` in a scan."""

    name: Identifier
    value: Expr


@record
class Assign(Node):
    """`y = EXPR`, `mu, logvar = EXPR`."""

    targets: tuple[Identifier, ...]
    value: Expr


@record
class Update(Node):
    """`average <- EXPR`: the next value of a state or a carry."""

    name: Identifier
    value: Expr


@record
class Return(Node):
    """`return y`, `return mu, logvar`."""

    values: tuple[Expr, ...]


@record
class For(Node):
    """`for width, stride in LIST:`."""

    targets: tuple[Identifier, ...]
    iterable: Expr
    body: Body


@record
class Branch(Node):
    """`if CONDITION:` or `elif CONDITION:` with its body."""

    condition: Expr
    body: Body


@record
class If(Node):
    """`if a: ... elif b: ... else: ...`; `orelse` is None without `else`."""

    branches: tuple[Branch, ...]
    orelse: Body | None


@record
class Scan(Node):
    """`scan t in over reversed=backward:`; `reversed` is None or, bare, `Bool(True)`."""

    variable: Identifier
    axis: Name
    reversed: Expr | None
    body: Body


@record
class Path(Node):
    """A dotted path: `NET`, `NET.head.fc`."""

    names: tuple[Identifier, ...]

    @property
    def text(self) -> str:
        """The path as it was written, without spaces."""
        return ".".join(name.text for name in self.names)


@record
class Minimize(Node):
    """`minimize LOSS wrt NET, OTHER.head using adam(lr)`."""

    loss: Expr
    wrt: tuple[Path, ...]
    optimizer: Expr


@record
class Metric(Node):
    """`metric accuracy = EXPR`."""

    name: Identifier
    value: Expr


Stmt: TypeAlias = (
    LayerInstance | AxisDecl | ParamDecl | StateDecl | Carry | Emit | Assign | Update | Return
    | For | If | Scan | Minimize | Metric
)  # fmt: skip


@record
class Body(Node):
    """An indented block: its docstring, if any, and its statements (empty under a docstring)."""

    doc: String | None
    statements: tuple[Stmt, ...]


# Items ---------------------------------------------------------------------------------------


@record
class Import(Node):
    """`from models.lenet import LeNet, Other`."""

    module: Path
    names: tuple[Identifier, ...]


@record
class HyperDecl(Node):
    """`hyper lr: float = 1e-3 in log(1e-5, 1e-1)`."""

    name: Identifier
    type: Identifier
    default: Expr
    space: Expr | None


@record
class Constant(Node):
    """`WIDTHS = [8, 16]` at the top of a file."""

    name: Identifier
    value: Expr


@record
class Def(Node):
    """`def gelu(x: float[..]) -> float[..]:`."""

    name: Identifier
    params: tuple[Param, ...]
    result: ResultType | None
    body: Body


@record
class Layer(Node):
    """`layer Linear(In -> Out)(x: float[.., In]) -> float[.., Out]:`."""

    name: Identifier
    config: tuple[Param, ...]
    inputs: tuple[Param, ...]
    result: ResultType
    body: Body


@record
class Model(Node):
    """`model LeNet(image: u8[N, Y, X]) -> f32[N, K]:`."""

    name: Identifier
    inputs: tuple[Param, ...]
    result: ResultType
    body: Body


@record
class Optimizer(Node):
    """`optimizer sgd(lr: float)(p, g):`."""

    name: Identifier
    config: tuple[Param, ...]
    inputs: tuple[Param, ...]
    body: Body


@record
class Setting(Node):
    """`epochs = 5` in a train block."""

    name: Identifier
    value: Expr


@record
class BatchEntry(Node):
    """`N = 64` of a `batch` line."""

    axis: Identifier
    size: Expr


@record
class BatchSetting(Node):
    """`batch N = 32, T = 128` in a train block."""

    entries: tuple[BatchEntry, ...]


@record
class Step(Node):
    """`step critic(image: u8[N, Y, X]) every 2:`; `name` is None for `step(...)`."""

    name: Identifier | None
    params: tuple[Param, ...]
    every: Expr | None
    body: Body


TrainItem: TypeAlias = Setting | BatchSetting | Step


@record
class Train(Node):
    """`train fit:` with its settings and steps in the order they were written."""

    name: Identifier
    doc: String | None
    items: tuple[TrainItem, ...]

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings, without `batch`."""
        return tuple(item for item in self.items if isinstance(item, Setting))

    @property
    def batches(self) -> tuple[BatchSetting, ...]:
        """The `batch` lines."""
        return tuple(item for item in self.items if isinstance(item, BatchSetting))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps."""
        return tuple(item for item in self.items if isinstance(item, Step))


Item: TypeAlias = (
    Import | AxisDecl | HyperDecl | Constant | Def | Layer | Model | Optimizer | Train
)  # fmt: skip


@record
class File(Node):
    """A whole file: its docstring, if any, and its items."""

    doc: String | None
    items: tuple[Item, ...]


# Walking -------------------------------------------------------------------------------------


def walk(node: Node) -> Iterator[Node]:
    """The node and all nodes below it, each before its children, in the order of the text."""
    pending = [node]
    while pending:
        here = pending.pop()
        yield here
        pending.extend(reversed(children(here)))


def children(node: Node) -> list[Node]:
    """The nodes directly below a node, in the order of the text."""
    found: list[Node] = []
    kind = type(node)
    for value in (_READERS.get(kind) or _reader(kind))(node):
        if value.__class__ is tuple:
            found += value
        elif isinstance(value, Node):
            found.append(value)
    return found


def _reader(kind: type[Node]) -> Callable[[Node], tuple[Any, ...]]:
    """Gives the fields that may hold nodes; behind two spans, so that there are always several."""
    names = [name for name in names_of(kind) if name not in ("span", "place", "text", "op")]
    reader = _READERS[kind] = attrgetter("span", "span", *names)
    return reader


_READERS: dict[type[Node], Callable[[Node], tuple[Any, ...]]] = {}
