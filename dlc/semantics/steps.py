"""Steps of a recipe: losses, gradients, optimizer updates, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dlc.diagnostics import Label, Span
from dlc.diagnostics.calls import NoReturn, NotAState
from dlc.diagnostics.names import DeclaredTwice
from dlc.diagnostics.placed import listed, similar
from dlc.diagnostics.training import (
    LossIndependent,
    MetricTwice,
    NotANetwork,
    NotAnOptimizer,
    OptimizerResult,
    TrainedTwice,
)
from dlc.diagnostics.types import ScalarNeeded, WrongKind
from dlc.diagnostics.warnings import ConstantMetric
from dlc.graph import FLOATS, UPDATE, Graph, Node, TensorType
from dlc.semantics.brackets import bind_value
from dlc.semantics.elementwise import to_node
from dlc.semantics.lookup import lookup
from dlc.semantics.machine import Machine
from dlc.semantics.networks import closure, depends, differentiable, inside
from dlc.semantics.params import fit, param_node
from dlc.semantics.program import ParamInfo, Port, StepProgram
from dlc.semantics.scope import Build, FileScope, Frame, Mistake
from dlc.semantics.values import (
    POISON,
    Instance,
    Kind,
    Optimizer,
    Tensor,
    Value,
    describe,
    is_number,
    show_axes,
    show_type,
)
from dlc.syntax import tree

Signature = Mapping[str, tuple[TensorType, Span]]


@dataclass(slots=True, eq=False)
class Step:
    """One step of a recipe that is being elaborated, for training or evaluation."""

    machine: Machine
    frame: Frame
    recipe: str
    slots: dict[str, Node]
    """Initial values of the optimizer slots of the recipe."""
    updates: dict[str, Node] = field(default_factory=dict)
    losses: list[tuple[Node, Span]] = field(default_factory=list)
    metrics: dict[str, tuple[Node, Span]] = field(default_factory=dict)
    trained: dict[str, Span] = field(default_factory=dict)
    """For each parameter that has an update, its minimize statement."""
    named: list[str] = field(default_factory=list)
    """Paths that `wrt` covers."""
    unreached: dict[str, ParamInfo] = field(default_factory=dict)

    @property
    def training(self) -> bool:
        """Whether this is the training graph."""
        return self.frame.build.training

    def minimize(self, node: tree.Minimize) -> None:
        """`minimize LOSS wrt NET using OPTIMIZER(...)`."""
        machine, frame = self.machine, self.frame
        loss = self._loss(node)
        targets = [self._network(path) for path in node.wrt]
        if not self.training:
            return
        optimizer = machine.evaluate(node.optimizer, frame)
        if loss is None or any(t is None for t in targets) or optimizer is POISON:
            return
        if not isinstance(optimizer, Optimizer):
            got, hint = describe(optimizer), "`using adam(lr)`"
            if isinstance(optimizer, Kind) and optimizer.what == "optimizer":
                got = f"{optimizer.name} without its settings"
                hint = f"write its brackets: `using {optimizer.name}(...)`"
            raise Mistake(NotAnOptimizer(place=node.optimizer.span, got=got, hint=hint))
        covered = closure(machine, [t for t in targets if t is not None])
        self.named += covered
        infos = [i for i in machine.infos.values() if i.role == "param" and inside(i.path, covered)]
        reached = differentiable(loss)
        chosen = [i for i in infos if frame.build.inputs.get(i.path) in reached]
        if not chosen:
            name = listed(p.text for p in node.wrt)
            raise Mistake(LossIndependent(place=node.loss.span, name=name))
        for info in chosen:
            if info.path in self.trained:
                note = Label(self.trained[info.path], "trained here as well")
                place = node.wrt[0].span
                raise Mistake(TrainedTwice(place=place, param=info.path, notes=(note,)))
            self.trained[info.path] = node.wrt[0].span
        self.unreached.update({i.path: i for i in infos if i not in chosen})
        Update(self, optimizer, node, loss, chosen).run()

    def _loss(self, node: tree.Minimize) -> Node | None:
        value = self.machine.evaluate(node.loss, self.frame)
        if value is POISON:
            return None
        span = node.loss.span
        if is_number(value):
            name = listed(p.text for p in node.wrt)
            raise Mistake(LossIndependent(place=span, name=name))
        loss = scalar(value, "minimize", span)
        if loss.type.dtype not in FLOATS:
            what, got = "minimize", show_type(loss.type)
            raise Mistake(WrongKind(place=span, what=what, wanted="a float scalar", got=got))
        self.losses.append((loss, span))
        return loss

    def _network(self, path: tree.Path) -> str | None:
        """The instance path that `wrt` names."""
        machine, first = self.machine, path.names[0]
        value = lookup(machine, self.frame, first.text, first.span, "model")
        if value is POISON:
            return None
        if not isinstance(value, Instance):
            hint = f"{first.text} is {describe(value)}; `wrt` names a model, or `MODEL.part`"
            raise Mistake(NotANetwork(place=path.span, name=path.text, hint=hint))
        full = ".".join([value.path, *(n.text for n in path.names[1:])])
        if full in machine.instances or full in machine.infos:
            return full
        parts = [
            p[len(value.path) + 1 :] for p in machine.instances if p.startswith(value.path + ".")
        ]
        near = similar(full[len(value.path) + 1 :], parts)
        fix = f"did you mean {value.path}.{near}?" if near else None
        raise Mistake(NotANetwork(place=path.span, name=path.text, hint=fix))

    def metric(self, node: tree.Metric) -> None:
        """`metric NAME = SCALAR`."""
        name = node.name.text
        value = self.machine.evaluate(node.value, self.frame)
        if name in self.metrics:
            note = Label(self.metrics[name][1], "first here")
            raise Mistake(MetricTwice(place=node.name.span, name=name, notes=(note,)))
        if value is POISON:
            return
        if is_number(value) or isinstance(value, bool):
            number = float(value) if isinstance(value, bool) else value
            value = Tensor(to_node(self.frame, number, "f32", node.value.span))
        node_ = scalar(value, "metric", node.value.span)
        if node_.type.dtype not in FLOATS:
            node_ = self.frame.node("cast", (node_,), node.value.span, dtype="f32")
        if not depends(node_):
            self.machine.warn(ConstantMetric(place=node.span, name=name), self.frame)
        self.metrics[name] = (node_, node.name.span)

    def finish(self) -> tuple[Graph, tuple[str, ...]]:
        """The graph of the step and the names of its metrics, the loss first."""
        build = self.frame.build
        outputs: dict[str, Node] = {}
        if self.training:
            outputs = {UPDATE + path: node for path, node in self.updates.items()}
            for path, node in build.states.items():
                if node.op != "input" and inside(path, self.named):
                    outputs[UPDATE + path] = node
        if self.losses:
            if "loss" in self.metrics:
                place = self.metrics["loss"][1]
                self.machine.report(MetricTwice(place=place, name="loss"), self.frame)
            outputs["metric:loss"] = self._total()
        for name, (node, _) in self.metrics.items():
            outputs[f"metric:{name}"] = node
        names = tuple(n[7:] for n in outputs if n.startswith("metric:"))
        return Graph(build.ordered_inputs(), outputs, tuple(build.checks)), names

    def _total(self) -> Node:
        total, _ = self.losses[0]
        total = to_node(self.frame, Tensor(total), "f32", self.losses[0][1])
        for loss, span in self.losses[1:]:
            part = to_node(self.frame, Tensor(loss), "f32", span)
            total = self.frame.node("add", (total, part), span)
        return total


@dataclass(slots=True, eq=False)
class Update:
    """One minimize statement: the optimizer's body, once for each parameter."""

    step: Step
    optimizer: Optimizer
    node: tree.Minimize
    loss: Node
    infos: list[ParamInfo]
    norm: Tensor | None = None

    def run(self) -> None:
        """Elaborate the next value of every parameter."""
        frame, span = self.step.frame, self.node.span
        gradients = []
        for info in self.infos:
            p = param_node(frame.build, info)
            gradients.append(frame.node("grad", (self.loss, p), span))
        for info, gradient in zip(self.infos, gradients, strict=True):
            p = param_node(frame.build, info)
            new = self._next(info, p, gradient, gradients)
            if new is not None:
                self.step.updates[info.path] = new

    def _norm(self, gradients: list[Node]) -> Tensor:
        """The norm of all gradients of this minimize."""
        if self.norm is None:
            frame, span, total = self.step.frame, self.node.span, None
            for g in gradients:
                g = to_node(frame, Tensor(g), "f32", span)
                square = frame.node("mul", (g, g), span)
                over = g.type.axes
                part = frame.node("reduce_sum", (square,), span, over=over) if over else square
                total = part if total is None else frame.node("add", (total, part), span)
            assert total is not None
            self.norm = Tensor(frame.node("sqrt", (total,), span))
        return self.norm

    def _next(self, info: ParamInfo, p: Node, g: Node, gradients: list[Node]) -> Node | None:
        machine, outer, kind = self.step.machine, self.step.frame, self.optimizer.kind
        decl = kind.decl
        assert isinstance(decl, tree.Optimizer)
        frame = Frame(
            machine, outer.build, kind.file, "optimizer", kind.name, caller=outer, decl=decl,
            site=self.node.optimizer.span,
        )  # fmt: skip
        frame.depth, frame.place, frame.draws = 1, f"{outer.place}\0{info.path}", [0]
        frame.path = info.instance
        for param in decl.config:
            if isinstance(param, tree.Parameter):
                bind_value(machine, frame, param, self.optimizer.config)
        names = [q.name.text for q in decl.inputs if isinstance(q, tree.Parameter)]
        values = (Tensor(p, info.decay), Tensor(g))
        frame.names.update(zip(names, values, strict=False))
        frame.names["grad norm"] = lambda: self._norm(gradients)
        slots = Slots(self.step, frame, info, names[0] if names else "")
        frame.names["state statement"] = slots.declare
        frame.names["update statement"] = slots.update
        machine.run_body(decl.body, frame)
        if not frame.returned:
            if not frame.lost:
                raise Mistake(NoReturn(place=decl.name.span, callee=kind.name))
            return None
        value, span = frame.result.values[0], frame.result.spans[0]
        if value is POISON:
            return None
        self._check(value, info, span)
        new = fit(frame, value, info.type, info.path, span)
        slots.finish()
        return new

    def _check(self, value: Value, info: ParamInfo, span: Span) -> None:
        fits = isinstance(value, Tensor) and not set(value.type.axes) - set(info.type.axes)
        if not fits and not is_number(value):
            wanted, got = show_type(info.type), describe(value)
            name = self.optimizer.kind.name
            raise Mistake(OptimizerResult(place=span, optimizer=name, wanted=wanted, got=got))


@dataclass(slots=True, eq=False)
class Slots:
    """The states of an optimizer for one parameter: each has the parameter's type."""

    step: Step
    frame: Frame
    info: ParamInfo
    param: str
    paths: dict[str, str] = field(default_factory=dict)
    values: dict[str, Node] = field(default_factory=dict)

    def declare(self, node: tree.StateDecl) -> None:
        """`state m = 0`."""
        name, frame, machine = node.name.text, self.frame, self.step.machine
        if name in self.paths:
            raise Mistake(DeclaredTwice(place=node.name.span, name=name))
        path = self.paths[name] = f"{self.info.path}:{name}"
        frame.names[name] = Tensor(frame.build.input(path, self.info.type, "slot", node.span))
        if path in self.step.slots:
            return
        inner = frame.initial(path)
        inner.names[self.param] = Tensor(machine.initial[self.info.path], self.info.decay)
        value = machine.evaluate(node.init, inner)
        if value is not POISON:
            fitted = fit(inner, value, self.info.type, f"state {name}", node.init.span)
            self.step.slots[path] = fitted

    def update(self, node: tree.Update) -> None:
        """`m <- ...`: the next value; a name read after it is the next value."""
        name = node.name.text
        value = self.step.machine.evaluate(node.value, self.frame)
        if name not in self.paths:
            hint = f"declare it: `state {name} = 0`"
            raise Mistake(NotAState(place=node.name.span, name=name, hint=hint))
        if value is POISON:
            return
        new = fit(self.frame, value, self.info.type, f"state {name}", node.value.span)
        self.frame.names[name] = Tensor(new)
        self.values[self.paths[name]] = new

    def finish(self) -> None:
        """Updates of the slots join those of the step."""
        self.step.updates.update(self.values)


def scalar(value: Value, what: str, span: Span) -> Node:
    """The value as a scalar node."""
    if not isinstance(value, Tensor):
        got = describe(value)
        raise Mistake(WrongKind(place=span, what=what, wanted="a scalar tensor", got=got))
    if value.type.dims:
        hint = "reduce it: `mean(...)`"
        axes = show_axes(value.type.axes)
        raise Mistake(ScalarNeeded(place=span, what=what, axes=axes, hint=hint))
    return value.node


def elaborate(
    machine: Machine,
    file: FileScope,
    recipe: str,
    decl: tree.Step,
    name: str,
    types: Signature,
    slots: dict[str, Node],
    *,
    training: bool,
) -> Step:
    """One of the two graphs of a step."""
    build = Build(f"{recipe}.{name}", training, False)
    frame = Frame(machine, build, file, "step", name, decl=decl)
    frame.place = f"{name}\x000"
    step = Step(machine, frame, recipe, slots)
    for port, (type, span) in types.items():
        frame.names[port] = Tensor(build.input(port, type, "data", span))
        for axis, size in type.dims:
            frame.input_sizes.setdefault(axis, size)
    frame.names["minimize statement"] = step.minimize
    frame.names["metric statement"] = step.metric
    machine.run_body(decl.body, frame)
    return step


def step_program(
    machine: Machine,
    file: FileScope,
    recipe: str,
    decl: tree.Step,
    name: str,
    every: int,
    types: Signature,
    slots: dict[str, Node],
) -> tuple[StepProgram, Step]:
    """Both graphs of a step."""
    training = elaborate(machine, file, recipe, decl, name, types, slots, training=True)
    graph, metrics = training.finish()
    held = elaborate(machine, file, recipe, decl, name, types, slots, training=False)
    evaluation, _ = held.finish()
    ports = tuple(Port(n, t, s) for n, (t, s) in types.items())
    span = decl.name.span if decl.name is not None else decl.span
    calls = tuple(held.frame.build.model_calls)
    return StepProgram(name, every, graph, evaluation, ports, metrics, span, calls), training
