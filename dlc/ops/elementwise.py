"""Arithmetic, comparisons, logic, `where` and `cast`: elementwise, broadcast by axis name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from dlc.graph import FLOATS, DType, Node, TensorType
from dlc.ops import build as b
from dlc.ops.arrays import Meaning, converted, mapped
from dlc.ops.late import Late
from dlc.ops.op import ZERO, Array, Attrs, Backward, Gradient, Op, Sample
from dlc.ops.rules import ANY, BOOL, NUMBERS, count, one_dtype, united
from dlc.ops.samples import BINARY, UNARY, floats, typed, whole

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")


def elementwise(
    name: str,
    doc: str,
    function: str | Callable[..., Any],
    gradient: Gradient | Literal["zero", "no gradient"],
    *,
    operands: int = 2,
    allowed: frozenset[DType] = NUMBERS,
    result: DType | None = None,
    code: str = "",
    cost: int = 1,
    samples: tuple[Sample, ...] = (),
) -> Op:
    """An elementwise op: all operands of one dtype, axes united by name.

    `function` is one of arrays, or the name of NumPy's.
    """

    def rule(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
        del attrs
        count(name, types, operands)
        dtype = one_dtype(name, types, allowed)
        return united(result or dtype, types)

    return Op(
        name=name, doc=doc, kind="map", type=rule, meaning=mapped(function), gradient=gradient,
        code=code or name, cost=cost, samples=samples or (UNARY if operands == 1 else BINARY),
    )  # fmt: skip


def _whole_or_float(name: str) -> tuple[Sample, ...]:
    return (*BINARY, Sample((whole(N=5, K=7), whole(K=7)), draw="integers"))


add = elementwise(
    "add", "a + b; integers wrap.", "add",
    lambda r: (r.cotangent, r.cotangent),
    samples=_whole_or_float("add"),
)  # fmt: skip
sub = elementwise(
    "sub", "a - b; integers wrap.", "subtract",
    lambda r: (r.cotangent, b.neg(r.cotangent)),
    samples=_whole_or_float("sub"),
)  # fmt: skip
mul = elementwise(
    "mul", "a * b; integers wrap.", "multiply",
    lambda r: (b.scale(r.cotangent, r.args[1]), b.scale(r.cotangent, r.args[0])),
    samples=_whole_or_float("mul"),
)  # fmt: skip
scale = elementwise(
    "scale",
    "g * x, but exactly 0 where g is 0, whatever x is. Gradients use it, so that a zero gradient"
    " stays zero past infinities and NaN.",
    lambda g, x: np.where(g == 0, g * 0, g * x),
    lambda r: (b.scale(r.cotangent, r.args[1]), b.scale(r.cotangent, r.args[0])),
    allowed=FLOATS,
    code="select(eq({0}, neg({0})), {0}, mul({0}, {1}))",
    cost=3,
)
div = elementwise(
    "div", "a / b of floats.", "divide",
    lambda r: _div_gradient(r),
    allowed=FLOATS, cost=4,
    samples=tuple(Sample(s.types, draw="positive") for s in BINARY),
)  # fmt: skip


def _div_gradient(r: Backward) -> Sequence[Node | None]:
    g, (_, y) = r.cotangent, r.args
    constant = y.op == "const" and np.isfinite(y.attrs["value"]) and y.attrs["value"] != 0
    above = b.div(g, y) if constant else b.scale(g, b.div(1, y))
    return above, b.neg(b.scale(g, b.div(r.node, y)))


def _floordiv(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.asarray(np.floor_divide(x, y))
    return np.where(y == 0, np.zeros_like(x), np.floor_divide(x, y))


def _mod(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.asarray(np.mod(x, y))
    return np.where(y == 0, np.zeros_like(x), np.mod(x, y))


floordiv = elementwise(
    "floordiv", "a // b, rounded down as in Python; an integer divided by 0 is 0.", _floordiv, ZERO,
    cost=5,
    samples=(
        Sample((floats(N=5, K=7), floats(K=7)), smooth=False),
        Sample((whole(N=5, K=7), whole(K=7)), draw="integers"),
    ),
)  # fmt: skip
mod = elementwise(
    "mod", "a % b with the sign of b, as in Python; an integer modulo 0 is 0.", _mod,
    lambda r: (r.cotangent, b.neg(b.scale(r.cotangent, b.floordiv(*r.args)))),
    cost=6,
    samples=(
        Sample((floats(N=5, K=7), floats(K=7)), draw="positive"),
        Sample((whole(N=5, K=7), whole(K=7)), draw="integers"),
    ),
)  # fmt: skip


def _pow(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.asarray(np.power(x, y))
    return _integer_pow(*np.broadcast_arrays(x, y))


def _integer_pow(base: Array, exponent: Array) -> Array:
    """Wraps; by repeated squaring. A negative exponent gives 0, but 1 or -1 for bases 1 and -1."""
    one = np.ones_like(base)
    out, square, left = one.copy(), base.copy(), np.maximum(exponent, 0)
    while np.any(left):
        out = np.where(left & 1, out * square, out)
        square = square * square
        left = left >> 1
    sign = np.where(exponent & 1, base, one)
    unit = (base == 1) | ((base * base == 1) & (base < 0))
    return np.where(exponent >= 0, out, np.where(unit, sign, 0)).astype(base.dtype)


def _pow_gradient(r: Backward) -> Sequence[Node | None]:
    g, (x, y) = r.cotangent, r.args
    if y.op == "const":
        return _power_of_constant(g, x, y.attrs["value"]), None
    base = b.scale(y, b.pow(x, b.sub(y, 1)))
    return b.scale(g, base), b.scale(g, b.scale(r.node, b.log(x)))


def _power_of_constant(g: Node, x: Node, exponent: float) -> Node | None:
    if exponent == 0:
        return None
    if exponent == 1:
        return g
    rest = x if exponent == 2 else b.pow(x, exponent - 1)
    return b.scale(g, b.mul(exponent, rest))


pow = elementwise(
    "pow", "a ** b; integers wrap, a negative exponent gives 0 (1 or -1 for bases 1 and -1).",
    _pow, _pow_gradient, cost=24,
    samples=(
        *(Sample(s.types, draw="positive") for s in BINARY),
        Sample((whole(N=5, K=7), whole(K=7)), draw="integers"),
    ),
)  # fmt: skip
neg = elementwise(
    "neg", "-x; integers wrap.", "negative", lambda r: (b.neg(r.cotangent),), operands=1
)
abs = elementwise(
    "abs", "The absolute value; its slope at 0 is 0.", "abs",
    lambda r: (b.scale(r.cotangent, b.sign(r.args[0])),), operands=1,
)  # fmt: skip
sign = elementwise("sign", "-1, 0 or 1; NaN stays NaN.", "sign", ZERO, operands=1)


def _larger(r: Backward, x: Node, y: Node) -> Node:
    """The cotangent where x > y, half of it where they are equal, else 0."""
    g = r.cotangent
    return b.where(b.gt(x, y), g, b.where(b.eq(x, y), b.mul(g, 0.5), 0))


maximum = elementwise(
    "maximum", "The larger of two; NaN wins. A tie halves the gradient.", "maximum",
    lambda r: (_larger(r, r.args[0], r.args[1]), _larger(r, r.args[1], r.args[0])),
)  # fmt: skip
minimum = elementwise(
    "minimum", "The smaller of two; NaN wins. A tie halves the gradient.", "minimum",
    lambda r: (_larger(r, r.args[1], r.args[0]), _larger(r, r.args[0], r.args[1])),
)  # fmt: skip


def _comparison(name: str, doc: str, function: str) -> Op:
    samples = (*BINARY, Sample((whole(N=5, K=7), whole(K=7)), draw="integers"))
    return elementwise(name, doc, function, ZERO, allowed=ANY, result="bool", samples=samples)


eq = _comparison("eq", "a == b.", "equal")
ne = _comparison("ne", "a != b.", "not_equal")
lt = _comparison("lt", "a < b.", "less")
le = _comparison("le", "a <= b.", "less_equal")
gt = _comparison("gt", "a > b.", "greater")
ge = _comparison("ge", "a >= b.", "greater_equal")

_BOOLS = (Sample((typed("bool", N=5, K=7), typed("bool", K=7)), draw="bools"),)
and_ = elementwise(
    "and", "Both are true.", "logical_and", ZERO, allowed=BOOL, code="and_", samples=_BOOLS
)
or_ = elementwise(
    "or", "One or both are true.", "logical_or", ZERO, allowed=BOOL, code="or_",
    samples=_BOOLS,
)  # fmt: skip
not_ = elementwise(
    "not", "Is false.", "logical_not", ZERO, operands=1, allowed=BOOL, code="not_",
    samples=(Sample((typed("bool", N=5, K=7),), draw="bools"),),
)  # fmt: skip


def _where_type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    del attrs
    count("where", types, 3)
    one_dtype("the condition of where", types[:1], BOOL)
    dtype = one_dtype("where", types[1:], ANY)
    return united(dtype, types)


where = Op(
    name="where",
    doc="a where the condition holds, else b; what is not chosen gets gradient 0.",
    kind="map",
    type=_where_type,
    meaning=mapped("where"),
    gradient=lambda r: (
        None, b.where(r.args[0], r.cotangent, 0), b.where(r.args[0], 0, r.cotangent),
    ),
    code="select({0}, {1}, {2})",
    samples=(
        Sample((typed("bool", N=5, K=7), floats(N=5, K=7), floats(K=7))),
        Sample((typed("bool", K=7), floats(), floats(N=5))),
    ),
)  # fmt: skip


def _cast_type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    count("cast", types, 1)
    return types[0].cast(attrs["dtype"])


def _cast(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    del attrs
    return converted(arrays[0], types[0].dtype, result.dtype)


def _cast_gradient(r: Backward) -> Sequence[Node | None]:
    source = r.args[0].type.dtype
    both = source in FLOATS and r.node.type.dtype in FLOATS
    return (b.cast(r.cotangent, source),) if both else (None,)


_CAST_MEANING: Meaning = _cast
cast = Op(
    name="cast",
    doc="Another dtype: to an integer it truncates and saturates and NaN becomes 0; integers wrap"
    " to integers; to bool, what is not 0 is true.",
    kind="map",
    type=_cast_type,
    meaning=_CAST_MEANING,
    gradient=_cast_gradient,
    code="cast_{dtype}({0})",
    samples=(
        Sample((floats(N=5, K=7),), {"dtype": "f64"}),
        Sample((floats(N=5, K=7),), {"dtype": "i32"}, smooth=False),
        Sample((whole(N=5, K=7),), {"dtype": "f32"}, draw="integers"),
        Sample((typed("bool", N=5),), {"dtype": "f32"}, draw="bools"),
        Sample((typed("u8", N=5),), {"dtype": "f32"}, draw="integers"),
    ),
)
