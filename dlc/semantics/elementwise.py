"""Elementwise operations over names: dtypes that meet, numbers that become tensors, graph nodes."""

from __future__ import annotations

from dlc.diagnostics import Span
from dlc.diagnostics.types import (
    BoolNeeded,
    LiteralRange,
    NoSuchOperation,
    TwoDtypes,
    WrongKind,
)
from dlc.diagnostics.warnings import Residual
from dlc.graph import FLOATS, INTEGERS, Axis, DType, Node, Size
from dlc.semantics.numbers import AtRunTime, calculate
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import is_poison, meet, numeric
from dlc.semantics.values import (
    POISON,
    HyperFloat,
    Ratio,
    Tensor,
    Value,
    describe,
    is_number,
    show_axes,
    show_type,
)

RANGES: dict[DType, tuple[int, int]] = {
    "u8": (0, 255), "i32": (-(2**31), 2**31 - 1), "i64": (-(2**63), 2**63 - 1),
}  # fmt: skip
SYMBOLS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "pow": "**",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "neg": "-",
}  # fmt: skip
COMPARE = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))
FLOAT_ONLY = frozenset((
    "div", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "sin", "cos", "tan", "tanh",
    "sigmoid", "softplus", "erf", "floor", "ceil", "round",
))  # fmt: skip


def apply(frame: Frame, op: str, values: tuple[Value, ...], span: Span) -> Value:
    """An arithmetic op, comparison or elementwise function on tensors, numbers and sizes."""
    if is_poison(*values):
        return POISON
    values = tuple([numeric(frame, v, span) for v in values])
    tensors = [v for v in values if isinstance(v, Tensor)]
    if not tensors:
        known = _known(frame, op, values, span)
        if known is not None:
            return known
    if len(tensors) < len(values):
        for value in values:
            if not isinstance(value, (Tensor, bool)) and not is_number(value):
                raise Mistake(no_operation(op, values, span))
    dtype = common_dtype(values, span, floating=op in FLOAT_ONLY, arithmetic=op not in COMPARE)
    nodes = [to_node(frame, v, dtype, span) for v in values]
    if op in ("add", "sub"):
        _warn_residual(frame, nodes, span)
    return on_nodes(frame, op, nodes, span)


def on_nodes(frame: Frame, op: str, nodes: list[Node], span: Span) -> Tensor:
    """An elementwise op on nodes of one dtype."""
    meet(frame, nodes, span)
    return frame.tensor(op, nodes, span)


def _known(frame: Frame, op: str, values: tuple[Value, ...], span: Span) -> Value:
    if op in ("eq", "ne") and all(isinstance(v, (str, bool)) for v in values):
        return (values[0] == values[1]) == (op == "eq")
    if not all(is_number(v) for v in values):
        if all(isinstance(v, bool) or is_number(v) for v in values):
            values = tuple(int(v) if isinstance(v, bool) else v for v in values)
        else:
            raise Mistake(no_operation(op, values, span))
    try:
        result = calculate(op, values, span)
    except AtRunTime:
        return None
    if op in COMPARE:
        for value in values:
            frame.machine.fix(value)
    return result


def no_operation(op: str, values: tuple[Value, ...], span: Span) -> NoSuchOperation:
    """The case of an operator on values that it does not work on."""
    shown = [describe(v) for v in values] + [""]
    return NoSuchOperation(place=span, op=SYMBOLS.get(op, op), left=shown[0], right=shown[1])


def common_dtype(
    values: tuple[Value, ...], span: Span, *, floating: bool = False, arithmetic: bool = True
) -> DType:
    """The dtype where values meet: literals take a tensor's, integers that of floats."""
    dtypes = dict.fromkeys([v.node.type.dtype for v in values if isinstance(v, Tensor)])
    floats = [d for d in dtypes if d in FLOATS]
    if len(floats) == len(dtypes) == 1:
        return floats[0]
    integers = [d for d in dtypes if d in INTEGERS]
    for found in (floats, integers):
        if len(found) > 1 and (found is floats or not floats):
            left, right = found[:2]
            hint = f"write `cast(..., {left})` around the one of dtype {right}"
            raise Mistake(TwoDtypes(place=span, left=left, right=right, hint=hint))
    if floats:
        return floats[0]
    if floating or any(isinstance(v, (float, Ratio)) for v in values):
        return "f32"
    if integers:
        return integers[0]
    counts = any(isinstance(v, (int, Size)) and not isinstance(v, bool) for v in values)
    return "i32" if arithmetic or counts else "bool"


def to_node(frame: Frame, value: Value, dtype: DType, span: Span) -> Node:
    """A tensor, number or bool as a node of a dtype."""
    match value:
        case Tensor(node=node):
            return (
                node if node.type.dtype == dtype else frame.node("cast", (node,), span, dtype=dtype)
            )
        case bool():
            return frame.node("const", (), span, value=_typed(value, dtype), dtype=dtype)
        case HyperFloat():
            node = _formula(frame, value, span)
            return node if dtype == "f32" else frame.node("cast", (node,), span, dtype=dtype)
        case int() | float():
            _in_range(value, dtype, span)
            return frame.node("const", (), span, value=_typed(value, dtype), dtype=dtype)
        case Size():
            node = frame.node("size", (), span, value=value)
            return node if dtype == "i32" else frame.node("cast", (node,), span, dtype=dtype)
        case Ratio(above=above, below=below):
            parts = [to_node(frame, part, "f32", span) for part in (above, below)]
            return to_node(frame, Tensor(frame.node("div", parts, span)), dtype, span)
        case _:
            raise Mistake(
                WrongKind(place=span, what="this", wanted="a tensor or number", got=describe(value))
            )


def _typed(value: float, dtype: DType) -> float | bool:
    if dtype == "bool":
        return bool(value)
    return float(value) if dtype in FLOATS else int(value)


def _in_range(value: float, dtype: DType, span: Span) -> None:
    if dtype in FLOATS or dtype == "bool":
        return
    low, high = RANGES[dtype]
    if not low <= value <= high:
        hint = f"cast the tensor first: `cast(..., {'i64' if dtype == 'i32' else 'i32'})`"
        raise Mistake(LiteralRange(place=span, value=f"{value:g}", dtype=dtype, hint=hint))


def _formula(frame: Frame, value: HyperFloat, span: Span) -> Node:
    if isinstance(value.formula, str):
        return frame.machine.hyper_input(frame.build, value.formula)
    op, parts = value.formula
    nodes = [to_node(frame, part, "f32", span) for part in parts]
    return frame.node(op, nodes, span)


def logic(frame: Frame, op: str, values: tuple[Value, ...], span: Span) -> Value:
    """`and`, `or`, `not` on bools and tensors of bools."""
    if is_poison(*values):
        return POISON
    for value in values:
        boolean = isinstance(value, bool)
        if not boolean and not (isinstance(value, Tensor) and value.type.dtype == "bool"):
            got = show_type(value.type) if isinstance(value, Tensor) else describe(value)
            hint = "compare first: `x != 0`"
            raise Mistake(BoolNeeded(place=span, what=f"`{op}`", got=got, hint=hint))
    if not any(isinstance(v, Tensor) for v in values):
        a, b = values[0], values[-1]
        return not a if op == "not" else (a and b) if op == "and" else (a or b)
    return on_nodes(frame, op, [to_node(frame, v, "bool", span) for v in values], span)


def where(frame: Frame, values: tuple[Value, ...], span: Span) -> Value:
    """`where(c, a, b)`: a value known while compiling where the condition is one."""
    if is_poison(*values):
        return POISON
    condition, *branches = (numeric(frame, v, span) for v in values)
    if isinstance(condition, bool):
        if all(not isinstance(b, Tensor) for b in branches):
            return branches[0] if condition else branches[1]
        condition = Tensor(frame.node("const", (), span, value=condition, dtype="bool"))
    if not isinstance(condition, Tensor) or condition.type.dtype != "bool":
        got = describe(condition)
        raise Mistake(BoolNeeded(place=span, what="the condition of where", got=got))
    for branch in branches:
        if not isinstance(branch, (Tensor, bool)) and not is_number(branch):
            wanted = "tensors or numbers"
            raise Mistake(WrongKind(place=span, what="where", wanted=wanted, got=describe(branch)))
    bools = all(isinstance(b, bool) or _is_bool(b) for b in branches)
    dtype = "bool" if bools else common_dtype(tuple(branches), span)
    nodes = [condition.node, *(to_node(frame, b, dtype, span) for b in branches)]
    return on_nodes(frame, "where", nodes, span)


def _is_bool(value: Value) -> bool:
    return isinstance(value, Tensor) and value.type.dtype == "bool"


def _warn_residual(frame: Frame, nodes: list[Node], span: Span) -> None:
    """Two tensors that differ in one axis each, of one size: a residual without its rename."""
    left, right = (n.type for n in nodes)
    if not left.dims or not right.dims or left.dims == right.dims:
        return
    only = [
        [(a, n) for a, n in one.dims if not other.has(a)]
        for one, other in ((left, right), (right, left))
    ]
    shared = len(left.dims) - len(only[0])
    if len(only[0]) != 1 or len(only[1]) != 1 or not shared:
        return
    (a, n), (b, m) = only[0][0], only[1][0]
    if n.compare(m) != "equal" or (n.constant or 2) < 2:
        return
    if any(d[0] in _counted(node) for node, d in zip(nodes, ((a, n), (b, m)), strict=True)):
        return
    axes = show_axes((*left.axes, b))
    hint = f"to add element by element, rename one: `rename(x, {b.name} -> {a.name})`"
    frame.machine.warn(Residual(place=span, left=a.name, right=b.name, axes=axes, hint=hint), frame)


def _counted(node: Node) -> tuple[Axis, ...]:
    """Axes that `index` counts along in this very operand: an intended outer sum."""
    while node.op in ("cast", "rename", "neg", "stop_gradient"):
        node = node.args[0]
    return node.type.axes if node.op == "index" else ()


def convert(
    frame: Frame, value: Value, dtype: DType, dims: tuple[tuple[Axis, Size], ...], span: Span
) -> Tensor:
    """The value broadcast to axes that include its own, in their order, and cast."""
    node = to_node(frame, value, dtype, span)
    if node.type.dims != dims:
        node = frame.node("broadcast", (node,), span, dims=dims)
    return Tensor(node)
