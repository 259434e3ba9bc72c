"""How each kind of expression is evaluated."""

from __future__ import annotations

from dlc.diagnostics import Span
from dlc.diagnostics.axes import AxisTwice
from dlc.diagnostics.names import NoAttribute
from dlc.diagnostics.placed import similar
from dlc.diagnostics.types import TwoDtypes, WrongKind
from dlc.graph import Axis
from dlc.semantics import axes, indexing
from dlc.semantics.calls import Arguments, arguments, call, make_instance
from dlc.semantics.elementwise import apply, logic
from dlc.semantics.lookup import lookup
from dlc.semantics.machine import Handler, Machine
from dlc.semantics.params import param_node
from dlc.semantics.scope import Frame, Mistake, Silent
from dlc.semantics.values import (
    POISON,
    Axes,
    Draw,
    Instance,
    Kind,
    Tensor,
    Value,
    describe,
)
from dlc.syntax import tree

OPS = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod", "**": "pow",
    "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
}  # fmt: skip


def _name(machine: Machine, node: tree.Name, frame: Frame) -> Value:
    return lookup(machine, frame, node.text, node.span)


def _literal(machine: Machine, node: tree.Number | tree.String | tree.Bool, frame: Frame) -> Value:
    return node.value


def _tuple(machine: Machine, node: tree.Tuple, frame: Frame) -> Value:
    if any(isinstance(i, tree.Sized) for i in node.items):
        group, _, _ = axes.target(machine, frame, node, Axes(()))
        return Axes(tuple(group))
    values = [machine.evaluate(i, frame) for i in node.items]
    if any(v is POISON for v in values):
        return POISON
    if not all(isinstance(v, Axes) for v in values):
        return tuple(values)
    group = [a for v in values for a in v.items]
    repeated = [a for a in group if group.count(a) > 1]
    if repeated:
        raise Mistake(AxisTwice(place=node.span, axis=repeated[0].name, what="this group"))
    return Axes(tuple(group))


def _sized(machine: Machine, node: tree.Sized, frame: Frame) -> Value:
    return axes.introduce(machine, frame, node.name, axes.size_of(machine, frame, node.size))


def _list(machine: Machine, node: tree.ListExpr, frame: Frame) -> Value:
    return [machine.evaluate(i, frame) for i in node.items]


def _binary(machine: Machine, node: tree.Binary, frame: Frame) -> Value:
    """Long sums nest to the left: they are walked in a loop."""
    spine: list[tree.Binary] = []
    left: tree.Expr = node
    while isinstance(left, tree.Binary):
        spine.append(left)
        left = left.left
    value = machine.evaluate(left, frame)
    for part in reversed(spine):
        if (part.op == "and" and value is False) or (part.op == "or" and value is True):
            continue
        right = machine.evaluate(part.right, frame)
        try:
            value = _operate(machine, part, value, right, frame)
        except Mistake as mistake:
            machine.report(mistake.case, frame)
            value = POISON
        except Silent:
            value = POISON
    return value


def _operate(machine: Machine, node: tree.Binary, left: Value, right: Value, frame: Frame) -> Value:
    if left is POISON or right is POISON:
        return POISON
    if node.op in ("and", "or"):
        return logic(frame, node.op, (left, right), node.place)
    if node.op == "+" and isinstance(left, list) and isinstance(right, list):
        return indexing.joined(left, right, node.span)
    try:
        return apply(frame, OPS[node.op], (left, right), node.place)
    except Mistake as mistake:
        if isinstance(mistake.case, TwoDtypes) and isinstance(right, Tensor):
            text = node.right.span.text if len(node.right.span.text) < 30 else "..."
            hint = f"write `cast({text}, {left.type.dtype})`"
            case = mistake.case
            raise Mistake(
                TwoDtypes(place=case.place, left=case.left, right=case.right, hint=hint)
            ) from None
        raise


def _unary(machine: Machine, node: tree.Unary, frame: Frame) -> Value:
    value = machine.evaluate(node.operand, frame)
    if node.op == "not":
        return logic(frame, "not", (value,), node.span)
    return apply(frame, "neg", (value,), node.span)


def _compare(machine: Machine, node: tree.Compare, frame: Frame) -> Value:
    left = machine.evaluate(node.left, frame)
    right = machine.evaluate(node.right, frame)
    return apply(frame, OPS[node.op], (left, right), node.place)


def _call(machine: Machine, node: tree.Call, frame: Frame) -> Value:
    function = _callee(machine, node.function, frame)
    args = arguments(machine, node, frame)
    return call(machine, function, args, frame, node.span, node.function.span)


def _callee(machine: Machine, node: tree.Expr, frame: Frame) -> Value:
    """What is called; POISON after a mistake, which is reported."""
    if not isinstance(node, tree.Name):
        return machine.evaluate(node, frame)
    try:
        return lookup(machine, frame, node.text, node.span, "function")
    except Mistake as mistake:
        machine.report(mistake.case, frame)
        return POISON


def _pipe(machine: Machine, node: tree.Pipe, frame: Frame) -> Value:
    stages: list[tree.Pipe] = []
    first: tree.Expr = node
    while isinstance(first, tree.Pipe):
        stages.append(first)
        first = first.value
    value, span = machine.evaluate(first, frame), first.span
    for stage in reversed(stages):
        try:
            value = _stage(machine, stage, (value, span), frame)
        except Mistake as mistake:
            machine.report(mistake.case, frame)
            value = POISON
        except Silent:
            value = POISON
        span = stage.span
    return value


def _stage(machine: Machine, node: tree.Pipe, piped: tuple[Value, Span], frame: Frame) -> Value:
    right = node.function
    if not isinstance(right, tree.Call):
        function = _callee(machine, right, frame)
        args = Arguments(()).piped(piped)
        return call(machine, function, args, frame, right.span, right.span)
    function = _callee(machine, right.function, frame)
    args = arguments(machine, right, frame)
    if isinstance(function, Kind) and isinstance(function.decl, tree.Layer):
        instance = make_instance(machine, function, args, frame, right.span)
        return call(machine, instance, Arguments(()).piped(piped), frame, right.span, right.span)
    return call(machine, function, args.piped(piped), frame, right.span, right.function.span)


def _attribute(machine: Machine, node: tree.Attribute, frame: Frame) -> Value:
    owner = machine.evaluate(node.value, frame)
    name, span = node.name.text, node.name.span
    if owner is POISON:
        return POISON
    if isinstance(owner, Tensor) and owner.decay is not None and name == "decay":
        return owner.decay
    if isinstance(owner, Instance):
        return _member(machine, owner, name, node, frame)
    shown = describe(owner)
    raise Mistake(NoAttribute(place=span, owner=shown, name=name))


def _member(
    machine: Machine, owner: Instance, name: str, node: tree.Attribute, frame: Frame
) -> Value:
    path = f"{owner.path}.{name}"
    if path in machine.instances:
        return machine.instances[path]
    info = machine.infos.get(path)
    if info is None:
        inside = [p for p in (*machine.infos, *machine.instances) if p.startswith(owner.path + ".")]
        near = similar(name, [p[len(owner.path) + 1 :] for p in inside])
        hint = f"did you mean {near}?" if near else None
        if not owner.used:
            hint = "its parameters are known after its first use"
        shown = owner.path.rpartition(".")[2]
        raise Mistake(NoAttribute(place=node.name.span, owner=shown, name=name, hint=hint))
    value = param_node(frame.build, info)
    mapping: dict[Axis, Axis] = {a: owner.outside.get(a, a) for a in info.type.axes}
    targets = list(mapping.values())
    for axis in targets:
        if targets.count(axis) > 1:
            hint = f"outside, {name} would have the axis {axis.name} twice"
            raise Mistake(AxisTwice(place=node.span, axis=axis.name, what=path, hint=hint))
    return rename_tensor(frame, Tensor(value), mapping, node)


def rename_tensor(
    frame: Frame, value: Tensor, mapping: dict[Axis, Axis], node: tree.Node
) -> Tensor:
    """The tensor with other axes, if any changes."""
    changed = tuple((a, b) for a, b in mapping.items() if a != b)
    if not changed:
        return frame.seen(value)
    return frame.tensor("rename", (value.node,), node.span, mapping=changed)


def _index(machine: Machine, node: tree.Index, frame: Frame) -> Value:
    value = machine.evaluate(node.value, frame)
    if value is POISON:
        for subscript in node.subscripts:
            if not isinstance(subscript.value, tree.Slice):
                machine.evaluate(subscript.value, frame)
        return POISON
    match value:
        case Draw():
            return indexing.draw(machine, value, node, frame)
        case list() | tuple():
            return indexing.element(machine, value, node, frame)
        case Tensor():
            return indexing.tensor(machine, value, node, frame)
        case _:
            wanted = "a tensor, a list or a draw"
            got = describe(value)
            raise Mistake(WrongKind(place=node.value.span, what="`[...]`", wanted=wanted, got=got))


HANDLERS: dict[type, Handler] = {
    tree.Name: _name, tree.Number: _literal, tree.String: _literal, tree.Bool: _literal,
    tree.Rest: axes.rest_of, tree.Sized: _sized, tree.Tuple: _tuple, tree.ListExpr: _list,
    tree.Arrow: axes.arrow, tree.Call: _call, tree.Index: _index, tree.Attribute: _attribute,
    tree.Unary: _unary, tree.Binary: _binary, tree.Compare: _compare, tree.Pipe: _pipe,
}  # fmt: skip
