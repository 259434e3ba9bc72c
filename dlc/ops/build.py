"""Nodes built by name: one plain function an op, each through the op's type rule.

Numbers given where a node is expected become constants of the other operand's dtype.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from dlc.diagnostics import Span
from dlc.graph import Attr, Axis, DType, Node, Size, TensorType
from dlc.ops.op import REGISTRY, Array

Operand = Node | float
Dims = Iterable[tuple[Axis, Size | int]]
_ORIGIN: ContextVar[tuple[tuple[Span, ...], str]] = ContextVar("origin", default=((), ""))


@contextmanager
def origin(spans: tuple[Span, ...], path: str = "") -> Iterator[None]:
    """Nodes built inside come from `spans` and `path` unless they say otherwise."""
    token = _ORIGIN.set((spans, path))
    try:
        yield
    finally:
        _ORIGIN.reset(token)


def make(
    op: str,
    args: Sequence[Node] = (),
    attrs: Mapping[str, Attr] | None = None,
    spans: tuple[Span, ...] = (),
    path: str = "",
) -> Node:
    """The node of an op by name. Raises TypeRuleError if the operands do not fit."""
    known = dict(attrs or {})
    if op == "uniform":
        known.setdefault("order", _numbering(known["axes"]))
    type = REGISTRY[op].type([a.type for a in args], known)
    origin_spans, origin_path = _ORIGIN.get()
    return Node(op, tuple(args), type, known, spans or origin_spans, path or origin_path)


def _nodes(*operands: Operand) -> list[Node]:
    dtypes = [o.type.dtype for o in operands if isinstance(o, Node)]
    assert dtypes, f"one operand at least must be a node: {operands}"
    return [o if isinstance(o, Node) else const(o, dtypes[0]) for o in operands]


def _map(op: str, *operands: Operand) -> Node:
    return make(op, _nodes(*operands))


# Sources.


def const(value: float, dtype: DType) -> Node:
    """A scalar number."""
    return make("const", (), {"value": value, "dtype": dtype})


def table(value: Array, axes: Iterable[Axis], dtype: DType) -> Node:
    """An array known while compiling, one axis for each of its dimensions."""
    return make("table", (), {"value": value, "dtype": dtype, "axes": tuple(axes)})


def index(axis: Axis, size: Size | int) -> Node:
    """0, 1, 2, ... along an axis, i32."""
    return make("index", (), {"axis": axis, "size": Size.of(size)})


def size(value: Size | int) -> Node:
    """A run-time size as an i32 scalar; a constant where it is known."""
    known = Size.of(value).constant
    return const(known, "i32") if known is not None else make("size", (), {"value": value})


def uniform(
    seed: Node, step: Node, axes: Dims, *, place: int, word: int = 0, dtype: DType = "f32"
) -> Node:
    """Draws in (0, 1), the same for one (seed, step, place, element) always."""
    dims = tuple((a, Size.of(n)) for a, n in axes)
    attrs = {"axes": dims, "place": place, "word": word, "dtype": dtype}
    return make("uniform", (seed, step), attrs)


def _numbering(dims: Iterable[tuple[Axis, Size]]) -> tuple[Axis, ...]:
    """Axes whose size is known at run time only are outermost, then comes the written order."""
    return tuple(a for a, _ in sorted(dims, key=lambda d: d[1].constant is not None))


# Arithmetic, comparisons, logic.


def add(a: Operand, b: Operand) -> Node:
    """a + b."""
    return _map("add", a, b)


def sub(a: Operand, b: Operand) -> Node:
    """a - b."""
    return _map("sub", a, b)


def mul(a: Operand, b: Operand) -> Node:
    """a * b."""
    return _map("mul", a, b)


def scale(g: Node, x: Operand) -> Node:
    """g * x, but 0 where g is 0; a plain product where it is known to be the same."""
    g, x = _nodes(g, x)
    harmless = _is_finite_constant(x) or (_is_finite_constant(g) and g.attrs["value"] != 0)
    return _map("mul" if harmless else "scale", g, x)


def _is_finite_constant(x: Node) -> bool:
    return x.op == "const" and math.isfinite(x.attrs["value"])


def div(a: Operand, b: Operand) -> Node:
    """a / b of floats."""
    return _map("div", a, b)


def floordiv(a: Operand, b: Operand) -> Node:
    """a // b, rounded down."""
    return _map("floordiv", a, b)


def mod(a: Operand, b: Operand) -> Node:
    """a % b with the sign of b."""
    return _map("mod", a, b)


def pow(a: Operand, b: Operand) -> Node:
    """a ** b."""
    return _map("pow", a, b)


def maximum(a: Operand, b: Operand) -> Node:
    """The larger of two."""
    return _map("maximum", a, b)


def minimum(a: Operand, b: Operand) -> Node:
    """The smaller of two."""
    return _map("minimum", a, b)


def eq(a: Operand, b: Operand) -> Node:
    """a == b."""
    return _map("eq", a, b)


def ne(a: Operand, b: Operand) -> Node:
    """a != b."""
    return _map("ne", a, b)


def lt(a: Operand, b: Operand) -> Node:
    """a < b."""
    return _map("lt", a, b)


def le(a: Operand, b: Operand) -> Node:
    """a <= b."""
    return _map("le", a, b)


def gt(a: Operand, b: Operand) -> Node:
    """a > b."""
    return _map("gt", a, b)


def ge(a: Operand, b: Operand) -> Node:
    """a >= b."""
    return _map("ge", a, b)


def and_(a: Operand, b: Operand) -> Node:
    """Both hold."""
    return _map("and", a, b)


def or_(a: Operand, b: Operand) -> Node:
    """One or both hold."""
    return _map("or", a, b)


def not_(a: Node) -> Node:
    """Does not hold."""
    return _map("not", a)


def where(condition: Node, a: Operand, b: Operand) -> Node:
    """a where the condition holds, else b."""
    return make("where", (condition, *_nodes(a, b)))


def cast(x: Node, dtype: DType) -> Node:
    """x in another dtype; x itself if it has it."""
    return x if x.type.dtype == dtype else make("cast", (x,), {"dtype": dtype})


# Functions of one operand.


def neg(x: Node) -> Node:
    """-x."""
    return _map("neg", x)


def abs(x: Node) -> Node:
    """The absolute value."""
    return _map("abs", x)


def sign(x: Node) -> Node:
    """-1, 0 or 1."""
    return _map("sign", x)


def exp(x: Node) -> Node:
    """e to the power x."""
    return _map("exp", x)


def log(x: Node) -> Node:
    """The natural logarithm."""
    return _map("log", x)


def log1p(x: Node) -> Node:
    """log(1 + x)."""
    return _map("log1p", x)


def expm1(x: Node) -> Node:
    """exp(x) - 1."""
    return _map("expm1", x)


def sqrt(x: Node) -> Node:
    """The square root."""
    return _map("sqrt", x)


def rsqrt(x: Node) -> Node:
    """1 / sqrt(x)."""
    return _map("rsqrt", x)


def floor(x: Node) -> Node:
    """Rounded down."""
    return _map("floor", x)


def ceil(x: Node) -> Node:
    """Rounded up."""
    return _map("ceil", x)


def round(x: Node) -> Node:
    """Rounded to the nearest, halves to even."""
    return _map("round", x)


def sin(x: Node) -> Node:
    """The sine."""
    return _map("sin", x)


def cos(x: Node) -> Node:
    """The cosine."""
    return _map("cos", x)


def tan(x: Node) -> Node:
    """The tangent."""
    return _map("tan", x)


def tanh(x: Node) -> Node:
    """The hyperbolic tangent."""
    return _map("tanh", x)


def sigmoid(x: Node) -> Node:
    """1 / (1 + exp(-x))."""
    return _map("sigmoid", x)


def softplus(x: Node) -> Node:
    """log(1 + exp(x))."""
    return _map("softplus", x)


def erf(x: Node) -> Node:
    """The error function."""
    return _map("erf", x)


# Reductions and products.


def reduce_sum(x: Node, over: Iterable[Axis]) -> Node:
    """The sum over axes."""
    return make("reduce_sum", (x,), {"over": tuple(over)})


def reduce_max(x: Node, over: Iterable[Axis]) -> Node:
    """The largest over axes; any of bools."""
    return make("reduce_max", (x,), {"over": tuple(over)})


def reduce_min(x: Node, over: Iterable[Axis]) -> Node:
    """The smallest over axes; all of bools."""
    return make("reduce_min", (x,), {"over": tuple(over)})


def argmax(x: Node, over: Iterable[Axis]) -> Node:
    """Where the first largest is, linear over the axes as named."""
    return make("argmax", (x,), {"over": tuple(over)})


def argmin(x: Node, over: Iterable[Axis]) -> Node:
    """Where the first smallest is, linear over the axes as named."""
    return make("argmin", (x,), {"over": tuple(over)})


def dot(a: Node, b: Node, over: Iterable[Axis]) -> Node:
    """The sum over axes that both have of their product."""
    return make("dot", (a, b), {"over": tuple(over)})


# Views.


def broadcast(x: Node, dims: Dims) -> Node:
    """x with these axes in this order, repeated along those it lacks; x itself if it fits."""
    wanted = tuple((a, Size.of(n)) for a, n in dims)
    return x if wanted == x.type.dims else make("broadcast", (x,), {"dims": wanted})


def rename(x: Node, mapping: Mapping[Axis, Axis]) -> Node:
    """x with other names for some axes; x itself if none changes."""
    changed = tuple((old, new) for old, new in mapping.items() if old != new)
    return make("rename", (x,), {"mapping": changed}) if changed else x


def split(x: Node, axis: Axis, parts: Dims) -> Node:
    """One axis as several, the first of them outermost."""
    sized = tuple((a, Size.of(n)) for a, n in parts)
    return make("split", (x,), {"axis": axis, "parts": sized})


def merge(x: Node, axes: Iterable[Axis], into: Axis) -> Node:
    """Several axes as one, the first named outermost."""
    return make("merge", (x,), {"axes": tuple(axes), "into": into})


def slice(
    x: Node, axis: Axis, *, start: Size | int = 0, step: int = 1, size: Size | int
) -> Node:  # fmt: skip
    """Elements start, start + step, ... of an axis, `size` of them."""
    attrs = {"axis": axis, "start": Size.of(start), "step": step, "size": Size.of(size)}
    return make("slice", (x,), attrs)


def flip(x: Node, axis: Axis) -> Node:
    """An axis in the other direction."""
    n = x.type.size(axis)
    return slice(x, axis, start=n - 1, step=-1, size=n)


def pad(
    x: Node, axis: Axis, *, before: Size | int = 0, after: Size | int = 0, value: float = 0
) -> Node:
    """An axis with `value` put before and after; x itself if there is none to put."""
    before, after = Size.of(before), Size.of(after)
    if before == Size() and after == Size():
        return x
    attrs = {"axis": axis, "before": before, "after": after, "value": value}
    return make("pad", (x,), attrs)


def window(
    x: Node,
    axis: Axis,
    tap: Axis,
    size: Size | int,
    *,
    stride: int = 1,
    dilation: int = 1,
    before: Size | int = 0,
    after: Size | int = 0,
    value: float = 0,
) -> Node:
    """Sliding windows: result[axis=o, tap=k] = x[axis=o * stride + k * dilation - before]."""
    attrs = {
        "axis": axis, "tap": tap, "size": Size.of(size), "stride": stride, "dilation": dilation,
        "before": Size.of(before), "after": Size.of(after), "value": value,
    }  # fmt: skip
    return make("window", (x,), attrs)


def unwindow(
    x: Node,
    axis: Axis,
    tap: Axis,
    size: Size | int,
    *,
    stride: int = 1,
    dilation: int = 1,
    before: Size | int = 0,
    after: Size | int = 0,
) -> Node:
    """The adjoint of `window`: overlapping windows added into an axis of `size`."""
    attrs = {
        "axis": axis, "tap": tap, "size": Size.of(size), "stride": stride, "dilation": dilation,
        "before": Size.of(before), "after": Size.of(after),
    }  # fmt: skip
    return make("unwindow", (x,), attrs)


def concat(xs: Sequence[Node], axis: Axis) -> Node:
    """Tensors of the same axes one after the other along one of them."""
    return make("concat", tuple(xs), {"axis": axis})


# Gather, scatter, sort, markers.


def gather(x: Node, indices: Sequence[Node], axes: Sequence[Axis]) -> Node:
    """x at integer indices, one for each of `axes`; clamped to the axis."""
    return make("gather", (x, *indices), {"axes": tuple(axes)})


def scatter(
    x: Node,
    indices: Sequence[Node],
    axes: Sequence[Axis],
    sizes: Iterable[Size | int],
    over: Iterable[Axis],
) -> Node:
    """Sums of x at integer indices, over the axes named."""
    sized = tuple(Size.of(n) for n in sizes)
    attrs = {"axes": tuple(axes), "sizes": sized, "over": tuple(over)}
    return make("scatter", (x, *indices), attrs)


def argsort(x: Node, axis: Axis) -> Node:
    """The stable order that sorts an axis, i32."""
    return make("argsort", (x,), {"over": (axis,)})


def stop_gradient(x: Node) -> Node:
    """x, which the gradient does not pass."""
    return make("stop_gradient", (x,))


def grad(y: Node, x: Node) -> Node:
    """The gradient of a scalar y with respect to x, expanded later."""
    return make("grad", (y, x))


# Conveniences.


def to_type(x: Node, type: TensorType) -> Node:
    """x cast, then broadcast or permuted to a type that has all its axes."""
    return broadcast(cast(x, type.dtype), type.dims)


def cast_to(x: Node, like: Node) -> Node:
    """x in the dtype of another node."""
    return cast(x, like.type.dtype)


def sum_to(x: Node, type: TensorType) -> Node:
    """x with the axes that `type` lacks summed away, then broadcast, permuted and cast to it."""
    extra = [a for a in x.type.axes if not type.has(a)]
    return to_type(reduce_sum(x, extra) if extra else x, type)


def filled(value: float, type: TensorType) -> Node:
    """One number everywhere."""
    return broadcast(const(value, type.dtype), type.dims)


def zeros(type: TensorType) -> Node:
    """0 (or false) everywhere."""
    return filled(0, type)


def ones(type: TensorType) -> Node:
    """1 (or true) everywhere."""
    return filled(1, type)


def linear_index(over: Sequence[Axis], type: TensorType) -> Node:
    """i32 over the axes `over` of a type: the place of each element, the first axis outermost."""
    total: Node | None = None
    stride = Size.of(1)
    for axis in reversed(over):
        n = type.size(axis)
        here = index(axis, n)
        step = here if stride == Size.of(1) else mul(here, size(stride))
        total = step if total is None else add(step, total)
        stride = stride * n
    return total if total is not None else const(0, "i32")
