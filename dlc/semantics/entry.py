"""Entering a def, layer or model: its brackets, its inputs, its body, its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlc.diagnostics import Span
from dlc.diagnostics.calls import NoReturn
from dlc.diagnostics.limits import Recursion, TooDeep
from dlc.semantics.brackets import Entry, bracket_axes, bracket_params
from dlc.semantics.inputs import Given, bind_inputs
from dlc.semantics.leave import Leaving, leave
from dlc.semantics.machine import CALL_COST, Machine
from dlc.semantics.program import ModelCall
from dlc.semantics.scope import FileScope, Frame, Mistake
from dlc.semantics.values import (
    POISON,
    Arrow,
    Config,
    Instance,
    Tensor,
    Value,
)
from dlc.syntax import tree

MAX_DEPTH = 40
Decl = tree.Def | tree.Layer | tree.Model


def enter(
    machine: Machine,
    decl: Decl,
    file: FileScope,
    given: Mapping[str, Given],
    arrows: Sequence[Arrow],
    caller: Frame,
    span: Span,
    instance: Instance | None,
) -> Value:
    """Elaborate a body for one call; the result in the caller's axes."""
    frame = body_frame(machine, decl, file, caller, span, instance)
    try:
        return _enter(machine, decl, frame, given, arrows, caller, span)
    except Mistake as mistake:
        if mistake.case.place.source is file.source and _within(mistake.case.place, decl.span):
            machine.report(mistake.case, frame)
            return POISON
        raise


def _within(place: Span, whole: Span) -> bool:
    return whole.start <= place.start < whole.end


def _enter(
    machine: Machine,
    decl: Decl,
    frame: Frame,
    given: Mapping[str, Given],
    arrows: Sequence[Arrow],
    caller: Frame,
    span: Span,
) -> Value:
    machine.count_statement(span, CALL_COST)
    instance = frame.instance
    entry = Entry(machine, frame, caller, decl.name.text, span)
    entry.strict = isinstance(decl, tree.Model)
    config = instance.config if instance is not None else None
    entry.first = next((v for v, _ in given.values() if isinstance(v, Tensor)), None)
    inputs = decl.params if isinstance(decl, tree.Def) else decl.inputs
    if isinstance(decl, tree.Layer):
        assert config is not None
        bracket_params(entry, decl.config, config)
    inner = Config(tuple(arrows), {k: v for k, (v, _) in given.items()}, {}, span)
    taken = bracket_axes(entry, inputs, inner)
    plain = [p for p in inputs if isinstance(p, tree.Parameter) and p.name.text not in taken]
    bind_inputs(entry, plain, given)
    if instance is not None:
        instance.outside = dict(entry.pair)
    leaving = Leaving(entry.pair, entry.strict, caller, span)
    if not isinstance(decl, tree.Model) or _in_model(caller):
        return run(machine, decl, frame, leaving)
    bound = [(p.name.text, frame.names[p.name.text]) for p in plain]
    result = run(machine, decl, frame, leaving)
    _note_call(frame, bound, result)
    return result


def _in_model(frame: Frame | None) -> bool:
    while frame is not None:
        if frame.kind == "model":
            return True
        frame = frame.caller
    return False


def _note_call(frame: Frame, inputs: Sequence[tuple[str, Value]], result: Value) -> None:
    """Remember the call of a model, where all that goes in and out are tensors."""
    results = result if isinstance(result, tuple) else (result,)
    given = {name: value.node for name, value in inputs if isinstance(value, Tensor)}
    made = tuple(value.node for value in results if isinstance(value, Tensor))
    if len(given) == len(inputs) and len(made) == len(results):
        frame.build.model_calls.append(ModelCall(frame.path, given, made))


def run(machine: Machine, decl: Decl, frame: Frame, leaving: Leaving) -> Value:
    """The body, then its results."""
    machine.run_body(decl.body, frame)
    if not frame.returned:
        if not frame.lost:
            callee = decl.name.text
            raise Mistake(NoReturn(place=decl.name.span, callee=callee))
        return POISON
    return leave(machine, decl, frame, leaving)


def body_frame(
    machine: Machine,
    decl: Decl,
    file: FileScope,
    caller: Frame,
    span: Span,
    instance: Instance | None,
) -> Frame:
    """The frame of a body about to be entered. Raises Mistake for recursion."""
    _check_depth(decl, caller, span)
    build = caller.build
    site = caller.site if caller.file.standard else span
    frame = Frame(
        machine, build, file, "def", decl.name.text, caller.path, None, decl, caller, site
    )
    frame.depth = caller.depth + 1
    frame.place, frame.draws = caller.place, caller.draws
    if instance is None:
        frame.scope = machine.next_scope()
        return frame
    frame.kind = "model" if isinstance(decl, tree.Model) else "layer"
    frame.instance, frame.path, frame.scope = instance, instance.path, instance.scope
    number = build.calls.get(instance.path, 0)
    build.calls[instance.path] = number + 1
    frame.place, frame.draws = f"{instance.path}\0{number}", [0]
    return frame


def _check_depth(decl: Decl, caller: Frame, span: Span) -> None:
    if caller.depth >= MAX_DEPTH:
        raise Mistake(TooDeep(place=caller.site if caller.file.standard and caller.site else span))
    chain = [decl.name.text]
    here: Frame | None = caller
    while here is not None:
        chain.append(here.name)
        if here.decl is decl:
            hint = "repeat with `for i in range(n):`"
            raise Mistake(Recursion(place=span, chain=tuple(reversed(chain)), hint=hint))
        here = here.caller
