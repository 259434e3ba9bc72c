"""Parameters and states: their types, their initial values, their inputs in each graph."""

from __future__ import annotations

from typing import Literal

from dlc.diagnostics import Label, Span
from dlc.diagnostics.axes import DoesNotFit, NoRest, ParamSizeOpen
from dlc.diagnostics.calls import (
    InitialValue,
    NotAllowedHere,
    NotAState,
    SharedSizes,
    UnknownParameter,
)
from dlc.diagnostics.names import DeclaredTwice
from dlc.diagnostics.types import NoGradient, WrongKind
from dlc.graph import FLOATS, Axis, Node, Size, TensorType, order
from dlc.semantics.axes import dtype_of, read_type
from dlc.semantics.conversions import converted
from dlc.semantics.elementwise import to_node
from dlc.semantics.machine import Machine
from dlc.semantics.program import ParamInfo
from dlc.semantics.scope import Build, Frame, Mistake
from dlc.semantics.sizes import limited, numeric, same_size, size_of_axis
from dlc.semantics.values import POISON, Tensor, Value, describe, is_number, show_axes, show_type
from dlc.syntax import tree


def declare(machine: Machine, frame: Frame, node: tree.ParamDecl | tree.StateDecl) -> None:
    """`param weight: float[In, Out] = ...`, `state mean: float[C] = 0` in a layer or model."""
    role: Literal["param", "state"] = "param" if isinstance(node, tree.ParamDecl) else "state"
    name = node.name.text
    frame.names[name] = POISON
    if frame.instance is None or frame.kind not in ("layer", "model"):
        where = {"def": "in a def", "step": "in a step"}.get(frame.kind, "here")
        raise Mistake(NotAllowedHere(place=node.span, what=f"`{role}`", where=where))
    if frame.training_branch is not None:
        where = "under `if training`"
        raise Mistake(NotAllowedHere(place=node.span, what=f"`{role}`", where=where))
    if name in frame.declared:
        note = Label(frame.declared[name], "first here")
        raise Mistake(DeclaredTwice(place=node.name.span, name=name, notes=(note,)))
    frame.declared[name] = node.name.span
    path = f"{frame.path}.{name}"
    if node.type is None:
        wanted, got = "a type", "nothing"
        raise Mistake(WrongKind(place=node.span, what=f"state {name}", wanted=wanted, got=got))
    type = declared_type(machine, frame, node.type, path)
    info = _info(machine, frame, node, path, type, role)
    if role == "param":
        frame.names[name] = frame.seen(Tensor(param_node(frame.build, info)))
    else:
        frame.names[name] = frame.seen(Tensor(state_node(frame.build, info)))
    if path not in machine.initial:
        initial_value(machine, frame, node.init, info, path)


def declared_type(machine: Machine, frame: Frame, type: tree.TypeExpr, what: str) -> TensorType:
    """The type of a param or state: every size a constant."""
    declared = read_type(machine, frame, type)
    if declared.rest:
        raise Mistake(NoRest(place=type.span, where="the type of a param or state"))
    dims: list[tuple[Axis, Size]] = []
    for axis in declared.named:
        size = declared.sizes[axis][0] if axis in declared.sizes else None
        size = size if size is not None else size_of_axis(frame, axis, type.span)
        if size.constant is None:
            raise Mistake(
                ParamSizeOpen(place=type.span, param=what, axis=frame.shown(axis), size=str(size))
            )
        dims.append((axis, size))
    limited(frame, dims, type.span)
    return TensorType(dtype_of(frame, declared.name), tuple(dims))


def _info(
    machine: Machine,
    frame: Frame,
    node: tree.ParamDecl | tree.StateDecl,
    path: str,
    type: TensorType,
    role: Literal["param", "state"],
) -> ParamInfo:
    known = machine.infos.get(path)
    if known is None:
        decay = _decay(machine, frame, node)
        if role == "param" and type.dtype not in FLOATS:
            why = f"{node.name.text} has dtype {type.dtype}, and a param is trained"
            raise Mistake(NoGradient(place=node.span, why=why, hint="declare it as `state`"))
        span = frame.instance.span if frame.file.standard and frame.instance else node.span
        info = ParamInfo(path, type, role, decay, span, frame.name)
        machine.infos[path] = info
        return info
    if known.type != type:
        first, now = show_type(known.type), show_type(type)
        raise Mistake(SharedSizes(place=node.span, param=path, first=first, now=now))
    return known


def _decay(machine: Machine, frame: Frame, node: tree.ParamDecl | tree.StateDecl) -> bool:
    decay = True
    for option in node.options if isinstance(node, tree.ParamDecl) else ():
        value = machine.evaluate(option.value, frame)
        if option.name.text != "decay":
            hint = "the only option is `decay=false`"
            raise Mistake(
                UnknownParameter(
                    place=option.name.span, callee="param", name=option.name.text, hint=hint
                )
            )
        if value is not POISON and not isinstance(value, bool):
            what, got = "decay", describe(value)
            raise Mistake(
                WrongKind(place=option.value.span, what=what, wanted="true or false", got=got)
            )
        decay = value is not False
    return decay


def param_node(build: Build, info: ParamInfo) -> Node:
    """The input of a param in this graph, or the present value of a state."""
    if info.role == "state":
        return state_node(build, info)
    return build.input(info.path, info.type, "param", info.span)


def state_node(build: Build, info: ParamInfo) -> Node:
    """The present value of a state in this graph."""
    if info.path not in build.states:
        build.states[info.path] = build.input(info.path, info.type, "state", info.span)
    return build.states[info.path]


def initial_value(
    machine: Machine, frame: Frame, expr: tree.Expr, info: ParamInfo, path: str
) -> None:
    """Elaborate the initial value, in the graph of all initial values."""
    inner = frame.initial(path)
    value = machine.evaluate(expr, inner)
    machine.initial[path] = to_node(inner, 0.0, "f32", expr.span)
    if value is POISON:
        return
    node = fit(inner, value, info.type, f"{info.role} {path.rpartition('.')[2]}", expr.span)
    for below in order([node]):
        if below.op == "input" and below.attrs["role"] != "clock":
            what = f"`{below.attrs['name']}`"
            raise Mistake(InitialValue(place=expr.span, name=path.rpartition(".")[2], what=what))
    machine.initial[path] = node


def fit(frame: Frame, value: Value, type: TensorType, what: str, span: Span) -> Node:
    """The value broadcast and converted to a declared type."""
    value = numeric(frame, value, span)
    if not isinstance(value, (Tensor, bool)) and not is_number(value):
        raise Mistake(
            WrongKind(place=span, what=what, wanted="a tensor or number", got=describe(value))
        )
    if isinstance(value, Tensor):
        node = converted(frame, value.node, type.dtype, what, span)
    else:
        node = to_node(frame, value, type.dtype, span)
    for axis, size in node.type.dims:
        if not type.has(axis):
            wanted, axes = show_axes(type.axes), show_axes(node.type.axes)
            raise Mistake(DoesNotFit(place=span, what=what, wanted=wanted, axes=axes))
        same_size(frame, axis, (node, size), (node, type.size(axis)), span)
    if node.type.dims != type.dims:
        node = frame.node("broadcast", (node,), span, dims=type.dims)
    return node


def update(machine: Machine, frame: Frame, node: tree.Update) -> None:
    """`mean <- ...`: the next value of a state; while training it is an update."""
    name = node.name.text
    value = machine.evaluate(node.value, frame)
    path = f"{frame.path}.{name}"
    info = machine.infos.get(path)
    if name not in frame.declared or info is None or info.role != "state":
        if frame.names.get(name) is POISON:
            return
        hint = f"declare it: `state {name}: float[...] = 0`, or write `{name} = ...`"
        raise Mistake(NotAState(place=node.name.span, name=name, hint=hint))
    if value is POISON:
        return
    fitted = fit(frame, value, info.type, f"state {name}", node.value.span)
    frame.names[name] = Tensor(fitted)
    if frame.build.training:
        frame.build.states[path] = fitted
