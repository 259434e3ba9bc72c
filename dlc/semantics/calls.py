"""Calls: arguments, binding them to parameters, making instances, and what is called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field

from dlc.diagnostics import Label, Span
from dlc.diagnostics.calls import (
    ArgumentTwice,
    InstanceHere,
    MissingArgument,
    NeedsArrow,
    NeedsConfiguration,
    NotCallable,
    TooManyArguments,
    UnknownParameter,
)
from dlc.diagnostics.names import DeclaredTwice
from dlc.diagnostics.placed import listed, similar
from dlc.diagnostics.record import record, replaced
from dlc.diagnostics.warnings import SoftmaxTwice
from dlc.graph import Node
from dlc.semantics.entry import enter
from dlc.semantics.machine import Machine
from dlc.semantics.scope import FileScope, Frame, Mistake
from dlc.semantics.values import (
    POISON,
    Arrow,
    Builtin,
    Config,
    Inference,
    Instance,
    Kind,
    Optimizer,
    Tensor,
    Value,
    describe,
)
from dlc.syntax import tree

Placed = tuple[Value, Span]


@record
class Arguments:
    """What stands in the brackets of a call."""

    positional: tuple[Placed, ...]
    named: dict[str, Placed] = field(default_factory=dict)
    arrows: tuple[Arrow, ...] = ()
    poison: bool = False
    """Whether a mistake was made in one of them."""
    names: dict[str, Span] = field(default_factory=dict)
    """The places of the names of the named ones."""

    def piped(self, value: Placed) -> Arguments:
        """With the value before `|>` as the first argument."""
        return replaced(
            self, positional=(value, *self.positional), poison=self.poison or value[0] is POISON
        )


def arguments(machine: Machine, node: tree.Call, frame: Frame) -> Arguments:
    """Evaluate the arguments of a call."""
    positional: list[Placed] = []
    named: dict[str, Placed] = {}
    arrows: list[Arrow] = []
    poison = False
    for argument in node.arguments:
        value = machine.evaluate(argument.value, frame)
        poison = poison or value is POISON
        if isinstance(argument.value, tree.Arrow):
            arrows += [value] if isinstance(value, Arrow) else []
        elif argument.name is None:
            positional.append((value, argument.value.span))
        elif argument.name.text in named:
            case = ArgumentTwice(
                place=argument.name.span, callee=node.function.span.text, name=argument.name.text
            )
            machine.report(case, frame)
        else:
            named[argument.name.text] = (value, argument.value.span)
    names = {a.name.text: a.name.span for a in node.arguments if a.name is not None}
    return Arguments(tuple(positional), named, tuple(arrows), poison, names)


def bind(
    callee: str, params: Sequence[tree.Parameter], args: Arguments, span: Span
) -> dict[str, Placed]:
    """Arguments by the names of their parameters; defaults are left out."""
    names = [p.name.text for p in params]
    if len(args.positional) > len(names):
        place = args.positional[len(names)][1]
        hint = f"it takes {listed(names)}" if names else None
        raise Mistake(
            TooManyArguments(
                place=place, callee=callee, takes=len(names), got=len(args.positional), hint=hint
            )
        )
    got = dict(zip(names, args.positional, strict=False))
    for name, value in args.named.items():
        if name not in names:
            near = similar(name, names)
            hint = f"did you mean {near}?" if near else f"it takes {listed(names, 'nothing')}"
            place = args.names.get(name, value[1])
            raise Mistake(UnknownParameter(place=place, callee=callee, name=name, hint=hint))
        if name in got:
            raise Mistake(ArgumentTwice(place=value[1], callee=callee, name=name))
        got[name] = value
    for param in params:
        if param.name.text not in got and param.default is None:
            name, hint = param.name.text, f"it takes {listed(names)}"
            raise Mistake(MissingArgument(place=span, callee=callee, name=name, hint=hint))
    return got


def configured(kind: Kind, args: Arguments, span: Span) -> Config:
    """The first brackets of a layer or optimizer, bound."""
    assert not isinstance(kind.decl, tree.Def)
    check_arrows(kind.name, kind.decl.config, args.arrows, span)
    params = [p for p in kind.decl.config if isinstance(p, tree.Parameter)]
    got = bind(kind.name, params, args, span)
    values = {k: v for k, (v, _) in got.items()}
    return Config(args.arrows, values, {k: s for k, (_, s) in got.items()}, span)


def check_arrows(
    callee: str, params: Sequence[tree.Param], arrows: Sequence[Arrow], span: Span
) -> None:
    """As many arrows as the brackets have `In -> Out`."""
    maps = [p for p in params if isinstance(p, tree.AxisMap)]
    if len(arrows) > len(maps):
        place = arrows[len(maps)].source_span
        raise Mistake(
            TooManyArguments(place=place, callee=callee, takes=len(maps), got=len(arrows))
        )
    for missing in maps[len(arrows) :]:
        source, target = missing.source.text, missing.target.text
        raise Mistake(NeedsArrow(place=span, callee=callee, source=source, target=target))


def make_instance(
    machine: Machine,
    kind: Kind,
    args: Arguments,
    frame: Frame,
    span: Span,
    name: tree.Identifier | None = None,
) -> Value:
    """`Linear(F -> H)`: a new instance, or the one that this place made in another graph."""
    assert isinstance(kind.decl, tree.Layer)
    if frame.kind not in ("layer", "model"):
        where = {"def": "in a def", "step": "in a step", "optimizer": "in an optimizer"}
        place = where.get(frame.kind, "here")
        hint = "make it in a layer or model, and call that"
        raise Mistake(InstanceHere(place=span, kind=kind.name, where=place, hint=hint))
    if frame.training_branch is not None:
        note = (Label(frame.training_branch, "decided by `training`"),)
        hint = "make the instance before the `if`: `layer NAME = ...`"
        where_ = "under `if training`"
        raise Mistake(InstanceHere(place=span, kind=kind.name, where=where_, notes=note, hint=hint))
    path = _path(kind, frame, name)
    if args.poison:
        return POISON
    config = configured(kind, args, span)
    instance = machine.instances.get(path)
    if instance is None or instance.decl is not kind.decl:
        instance = Instance(path, kind.decl, kind.file, machine.next_scope(), span)
        machine.instances[path] = instance
    instance.config = config
    return instance


def _path(kind: Kind, frame: Frame, name: tree.Identifier | None) -> str:
    if name is not None and not frame.loops:
        if name.text in frame.declared:
            note = Label(frame.declared[name.text], "first here")
            raise Mistake(DeclaredTwice(place=name.span, name=name.text, notes=(note,)))
        frame.declared[name.text] = name.span
        return f"{frame.path}.{name.text}"
    base = name.text if name is not None else snake(kind.name)
    number = frame.counts.get(base, 0)
    frame.counts[base] = number + 1
    return f"{frame.path}.{base}_{number}"


def snake(name: str) -> str:
    """`BatchNorm` as `batch_norm`, `LSTM` as `lstm`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def call(
    machine: Machine, function: Value, args: Arguments, frame: Frame, span: Span, name_span: Span
) -> Value:
    """The value of a call; POISON if an operand is."""
    match function:
        case Kind(decl=tree.Layer()):
            if not args.poison and not args.arrows and not args.named:
                _need_brackets(function, name_span)
            return make_instance(machine, function, args, frame, span)
        case Kind(decl=tree.Optimizer()):
            return POISON if args.poison else Optimizer(function, configured(function, args, span))
        case Kind(decl=tree.Def() as decl):
            if args.poison:
                return POISON
            check_arrows(function.name, decl.params, args.arrows, span)
            warn_of_logits(machine, function, args, frame)
            return _enter(machine, decl, function.file, args, frame, span, None)
        case Instance(decl=decl):
            function.used = True
            if isinstance(decl, tree.Model):
                machine.model_calls.setdefault(frame.path, set()).add(function.path)
            if args.poison:
                return POISON
            return _enter(machine, decl, function.file, args, frame, span, function)
        case Inference(model=model):
            kept, frame.build.training = frame.build.training, False
            try:
                return call(machine, model, args, frame, span, name_span)
            finally:
                frame.build.training = kept
        case Builtin():
            return POISON if args.poison else function.run(machine, frame, args, span)
        case _ if function is POISON:
            return POISON
        case _:
            raise Mistake(NotCallable(place=name_span, what=describe(function)))


TAKE_LOGITS = {"cross_entropy": ("softmax", "log_softmax"), "bce_logits": ("sigmoid",)}
"""Losses of the library that apply the last activation themselves."""


def warn_of_logits(machine: Machine, kind: Kind, args: Arguments, frame: Frame) -> None:
    """Warn where a loss that takes logits is given probabilities."""
    if not kind.file.standard or kind.name not in TAKE_LOGITS or not args.positional:
        return
    value, span = args.positional[0]
    if not isinstance(value, Tensor):
        return
    made = made_by(value.node)
    if made in TAKE_LOGITS[kind.name]:
        hint = f"give it the tensor before {made}"
        case = SoftmaxTwice(place=span, first=made, loss=kind.name, hint=hint)
        machine.warn(case, frame)


def made_by(node: Node) -> str:
    """The function of the library whose result this is, seen through renames; else its op."""
    while node.op in ("rename", "broadcast", "cast", "merge", "split") and not _written(node):
        node = node.args[0]
    return _written(node) or node.op


def _written(node: Node) -> str:
    """The name in front of the brackets at the user's place of a node from the library."""
    if len(node.spans) < 2:
        return ""
    text = node.spans[0].text
    found = re.match(r"\w+", text)
    return found.group() if found and found.group() in ("softmax", "log_softmax") else ""


def _need_brackets(kind: Kind, name_span: Span) -> None:
    assert isinstance(kind.decl, tree.Layer)
    if any(isinstance(p, tree.AxisMap) for p in kind.decl.config):
        maps = next(p for p in kind.decl.config if isinstance(p, tree.AxisMap))
        shown = f"{kind.name}({maps.source.text} -> {maps.target.text})"
        hint = f"configure it first: `{shown}(...)` or `... |> {shown}`"
        raise Mistake(NeedsConfiguration(place=name_span, kind=kind.name, hint=hint))


def _enter(
    machine: Machine,
    decl: tree.Def | tree.Layer | tree.Model,
    file: FileScope,
    args: Arguments,
    frame: Frame,
    span: Span,
    instance: Instance | None,
) -> Value:
    params = decl.params if isinstance(decl, tree.Def) else decl.inputs
    name = decl.name.text
    if instance is not None and args.arrows:
        place = args.arrows[0].source_span
        raise Mistake(TooManyArguments(place=place, callee=name, takes=0, got=len(args.arrows)))
    plain = [p for p in params if isinstance(p, tree.Parameter)]
    got = bind(name, plain, args, span)
    return enter(machine, decl, file, got, args.arrows, frame, span, instance)
