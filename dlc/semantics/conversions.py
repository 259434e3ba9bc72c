"""Values that meet a declared type: what converts, and what must be cast."""

from __future__ import annotations

from dlc.diagnostics import Span
from dlc.diagnostics.calls import NeedsConfiguration, WrongArgument
from dlc.diagnostics.types import WrongDtype
from dlc.graph import FLOATS, INTEGERS, DType, Node, Size
from dlc.semantics.axes import CLASSES, Declared, dtype_of
from dlc.semantics.elementwise import to_node
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import as_int, numeric, size_of_axis
from dlc.semantics.values import (
    POISON,
    HyperFloat,
    Kind,
    Ratio,
    Tensor,
    Value,
    describe,
    is_number,
    show_type,
)
from dlc.syntax import tree


def converted(frame: Frame, node: Node, wanted: str, what: str, span: Span) -> Node:
    """The node in a declared dtype: integers and bools convert to a float type, nothing else."""
    dtype: DType = dtype_of(frame, wanted)
    have = node.type.dtype
    if have == dtype or (wanted in CLASSES and have in _members(wanted)):
        return node
    if dtype in FLOATS and have not in FLOATS:
        return frame.node("cast", (node,), span, dtype=dtype)
    if have == "bool" and dtype in INTEGERS:
        return frame.node("cast", (node,), span, dtype=dtype)
    hint = "compare first: `x != 0`" if dtype == "bool" else f"write `cast(..., {dtype})`"
    raise Mistake(
        WrongDtype(place=span, what=what, wanted=wanted, got=show_type(node.type), hint=hint)
    )


def _members(name: str) -> frozenset[DType]:
    return FLOATS if name == "float" else INTEGERS


def broadcast_to(frame: Frame, value: Value, declared: Declared, what: str, span: Span) -> Tensor:
    """The value with the axes that the type names, and its own."""
    dtype = dtype_of(frame, declared.name)
    if isinstance(value, Tensor):
        node = converted(frame, value.node, declared.name, what, span)
    else:
        node = to_node(frame, value, dtype, span)
    dims = [
        (a, node.type.size(a) if node.type.has(a) else size_of_axis(frame, a, span))
        for a in declared.named
    ]
    dims = [d for d in node.type.dims if d[0] not in declared.named] + dims
    if tuple(dims) != node.type.dims:
        node = frame.node("broadcast", (node,), span, dims=tuple(dims))
    return Tensor(node)


def config_value(frame: Frame, param: tree.Parameter, value: Value, span: Span) -> Value:
    """A value that is no tensor with axes, checked against the type of its parameter."""
    if value is POISON or param.type is None:
        return value
    name = param.type.name.text
    checked = _CHECKS.get(name, _as_tensor)(frame, value, span)
    if checked is None:
        if isinstance(value, Kind) and isinstance(value.decl, tree.Layer):
            raise Mistake(NeedsConfiguration(place=span, kind=value.name))
        wanted = _WANTED.get(name, "a tensor")
        case = WrongArgument(
            place=span, callee=frame.name, name=param.name.text, wanted=wanted, got=describe(value)
        )
        raise Mistake(case)
    return checked


def _as_int(frame: Frame, value: Value, span: Span) -> Value:
    value = numeric(frame, value, span)
    if isinstance(value, (Size, Ratio)) or _scalar(value, INTEGERS):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1:
        return None
    return as_int(frame, value, span, "an int")


def _as_float(frame: Frame, value: Value, span: Span) -> Value:
    value = numeric(frame, value, span)
    if isinstance(value, Tensor):
        return value if not value.type.dims and value.type.dtype != "bool" else None
    if isinstance(value, HyperFloat) or (is_number(value) and not isinstance(value, int)):
        return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _as_bool(frame: Frame, value: Value, span: Span) -> Value:
    return value if isinstance(value, bool) or _scalar(value, frozenset({"bool"})) else None


def _as_str(frame: Frame, value: Value, span: Span) -> Value:
    return value if isinstance(value, str) else None


def _as_tensor(frame: Frame, value: Value, span: Span) -> Value:
    value = numeric(frame, value, span)
    return value if is_number(value) or isinstance(value, (bool, Tensor)) else None


def _scalar(value: Value, dtypes: frozenset[DType]) -> bool:
    return isinstance(value, Tensor) and not value.type.dims and value.type.dtype in dtypes


_CHECKS = {"int": _as_int, "float": _as_float, "bool": _as_bool, "str": _as_str}
_WANTED = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "a string",
}  # fmt: skip
