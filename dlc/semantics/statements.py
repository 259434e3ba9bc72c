"""How each statement of a body is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlc.diagnostics import Span
from dlc.diagnostics.calls import NotAllowedHere, NotCallable
from dlc.diagnostics.limits import NotSupportedYet
from dlc.diagnostics.names import ReservedName, UnpackMismatch
from dlc.diagnostics.types import BoolNeeded, NotKnownYet, RuleBroken, WrongKind
from dlc.ops import TypeRuleError
from dlc.semantics import axes, params
from dlc.semantics.calls import arguments, make_instance
from dlc.semantics.leave import Returned
from dlc.semantics.lookup import WORDS
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame, Mistake, Silent
from dlc.semantics.values import POISON, Kind, Tensor, Unset, Value, describe
from dlc.syntax import tree


def run_body(machine: Machine, body: tree.Body, frame: Frame) -> None:
    """Run statements until one returns; a mistake in one does not stop the others."""
    if not frame.names.get("locals ready"):
        frame.names["locals ready"] = True
        names = machine.local_names.get(id(body))
        if names is None:
            names = machine.local_names[id(body)] = tuple(assigned(body))
        for name in names:
            frame.names.setdefault(name.text, Unset(name.span))
    run_statements(machine, body.statements, frame)


def run_statements(machine: Machine, statements: tuple[tree.Stmt, ...], frame: Frame) -> None:
    """Run statements in order."""
    for statement in statements:
        if frame.returned:
            return
        machine.count_statement(statement.span)
        try:
            HANDLERS[type(statement)](machine, frame, statement)
        except Mistake as mistake:
            machine.report(mistake.case, frame)
            _lose(frame, statement)
        except Silent:
            _lose(frame, statement)
        except TypeRuleError as error:
            machine.report(RuleBroken(place=statement.span, why=str(error)), frame)
            _lose(frame, statement)


def assigned(node: tree.Node) -> list[tree.Identifier]:
    """The names that statements below a node give a value to."""
    found: list[tree.Identifier] = []
    for below in tree.walk(node):
        match below:
            case tree.Assign(targets=targets) | tree.For(targets=targets):
                found += targets
            case tree.LayerInstance(name=name) | tree.ParamDecl(name=name):
                found.append(name)
            case tree.StateDecl(name=name) | tree.Carry(name=name) | tree.Emit(name=name):
                found.append(name)
            case _:
                pass
    return found


def _lose(frame: Frame, node: tree.Node) -> None:
    """A mistake hid what a statement does: its names are poison."""
    for name in assigned(node):
        value = frame.names.get(name.text)
        if value is None or isinstance(value, Unset):
            frame.names[name.text] = POISON
    if any(isinstance(n, tree.Return) for n in tree.walk(node)):
        frame.lost = True


def _assign(machine: Machine, frame: Frame, node: tree.Assign) -> None:
    for target in node.targets:
        if target.text in WORDS:
            raise Mistake(ReservedName(place=target.span, name=target.text))
    value = machine.evaluate(node.value, frame)
    bind_targets(frame, node.targets, value, node.value.span)


def bind_targets(
    frame: Frame, targets: tuple[tree.Identifier, ...], value: Value, span: Span
) -> None:
    """`a = v`, or `a, b = v` for a value of two parts."""
    if len(targets) == 1:
        frame.names[targets[0].text] = value
        return
    for target in targets:
        frame.names[target.text] = POISON
    if value is POISON:
        return
    parts = list(value) if isinstance(value, (tuple, list)) else [value]
    if len(parts) != len(targets):
        raise Mistake(UnpackMismatch(place=span, names=len(targets), values=len(parts)))
    for target, part in zip(targets, parts, strict=True):
        frame.names[target.text] = part


def _return(machine: Machine, frame: Frame, node: tree.Return) -> None:
    values = tuple(machine.evaluate(v, frame) for v in node.values)
    frame.result = Returned(values, tuple(v.span for v in node.values))
    frame.returned = True


def _if(machine: Machine, frame: Frame, node: tree.If) -> None:
    for branch in node.branches:
        condition = machine.evaluate(branch.condition, frame)
        if condition is POISON:
            raise Silent
        on_training = _mentions_training(branch.condition)
        if _decide(machine, condition, branch.condition.span):
            _branch(machine, frame, branch.body, branch.condition.span if on_training else None)
            return
        if on_training and frame.training_branch is None:
            _later_branches(machine, frame, node, branch)
            return
    if node.orelse is not None:
        run_statements(machine, node.orelse.statements, frame)


def _later_branches(machine: Machine, frame: Frame, node: tree.If, taken: tree.Branch) -> None:
    """What follows a condition on `training` that did not hold depends on it as well."""
    rest = node.branches[node.branches.index(taken) + 1 :]
    for branch in rest:
        condition = machine.evaluate(branch.condition, frame)
        if condition is POISON:
            raise Silent
        if _decide(machine, condition, branch.condition.span):
            _branch(machine, frame, branch.body, taken.condition.span)
            return
    if node.orelse is not None:
        _branch(machine, frame, node.orelse, taken.condition.span)


def _branch(machine: Machine, frame: Frame, body: tree.Body, training: Span | None) -> None:
    kept = frame.training_branch
    frame.training_branch = training or kept
    run_statements(machine, body.statements, frame)
    frame.training_branch = kept


def _mentions_training(expr: tree.Expr) -> bool:
    return any(isinstance(n, tree.Name) and n.text == "training" for n in tree.walk(expr))


def _decide(machine: Machine, value: Value, span: Span) -> bool:
    machine.fix(value)
    if isinstance(value, Tensor):
        hint = "to choose by values at run time: `where(condition, a, b)`"
        raise Mistake(NotKnownYet(place=span, what="the condition of `if`", hint=hint))
    if not isinstance(value, bool):
        what, hint = "the condition of `if`", "compare: `n != 0`"
        raise Mistake(BoolNeeded(place=span, what=what, got=describe(value), hint=hint))
    return value


def _for(machine: Machine, frame: Frame, node: tree.For) -> None:
    items = machine.evaluate(node.iterable, frame)
    if items is POISON:
        raise Silent
    if not isinstance(items, (list, tuple, range)):
        wanted, hint = "a list", "`for i in range(n):`, `for a, b in [(1, 2), (3, 4)]:`"
        got = describe(items)
        raise Mistake(
            WrongKind(place=node.iterable.span, what="`for`", wanted=wanted, got=got, hint=hint)
        )
    frame.loops += 1
    try:
        for item in items:
            machine.count_statement(node.span)
            bind_targets(frame, node.targets, item, node.iterable.span)
            run_statements(machine, node.body.statements, frame)
            if frame.returned:
                return
    finally:
        frame.loops -= 1


def _layer(machine: Machine, frame: Frame, node: tree.LayerInstance) -> None:
    frame.names[node.name.text] = POISON
    value = node.value
    if isinstance(value, tree.Call):
        kind = machine.evaluate(value.function, frame)
        args = arguments(machine, value, frame)
        if kind is POISON:
            return
        if isinstance(kind, Kind) and isinstance(kind.decl, tree.Layer):
            made = make_instance(machine, kind, args, frame, value.span, node.name)
            frame.names[node.name.text] = made
            return
        what = describe(kind)
    else:
        what = "this"
    hint = f"`layer {node.name.text} = Linear(F -> H)` names an instance of a layer"
    raise Mistake(NotCallable(place=value.span, what=f"{what} makes no instance and", hint=hint))


def _axis(machine: Machine, frame: Frame, node: tree.AxisDecl) -> None:
    for entry in node.axes:
        try:
            axes.declare(machine, frame, entry)
        except Mistake as mistake:
            machine.report(mistake.case, frame)
        except Silent:
            pass


def _later(machine: Machine, frame: Frame, node: tree.Scan | tree.Carry | tree.Emit) -> None:
    what = {tree.Scan: "`scan`", tree.Carry: "`carry`", tree.Emit: "`emit`"}[type(node)]
    place = node.variable.span if isinstance(node, tree.Scan) else node.name.span
    raise Mistake(NotSupportedYet(place=place, what=what))


def _misplaced(machine: Machine, frame: Frame, node: tree.Minimize | tree.Metric) -> None:
    what = "`minimize`" if isinstance(node, tree.Minimize) else "`metric`"
    raise Mistake(NotAllowedHere(place=node.span, what=what, where="outside a step"))


def _step_only(name: str) -> Callable[[Machine, Frame, Any], None]:
    def run(machine: Machine, frame: Frame, node: Any) -> None:
        handler = frame.names.get(name)
        if handler is None:
            _misplaced(machine, frame, node)
        else:
            handler(node)

    return run


def _state(machine: Machine, frame: Frame, node: tree.StateDecl) -> None:
    handler = frame.names.get("state statement")
    if handler is None:
        params.declare(machine, frame, node)
    else:
        handler(node)


def _update(machine: Machine, frame: Frame, node: tree.Update) -> None:
    handler = frame.names.get("update statement")
    if handler is None:
        params.update(machine, frame, node)
    else:
        handler(node)


HANDLERS: dict[type, Callable[[Machine, Frame, Any], None]] = {
    tree.Assign: _assign, tree.Return: _return, tree.If: _if, tree.For: _for,
    tree.LayerInstance: _layer, tree.AxisDecl: _axis, tree.ParamDecl: params.declare,
    tree.StateDecl: _state, tree.Update: _update, tree.Scan: _later, tree.Carry: _later,
    tree.Emit: _later, tree.Minimize: _step_only("minimize statement"),
    tree.Metric: _step_only("metric statement"),
}  # fmt: skip
