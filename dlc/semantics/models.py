"""The inference program of a model."""

from __future__ import annotations

from dlc.diagnostics import Span
from dlc.diagnostics.training import StepParameter
from dlc.graph import DTYPES, Graph, Node, Size, TensorType
from dlc.semantics.axes import read_type
from dlc.semantics.entry import enter
from dlc.semantics.files import file_frame
from dlc.semantics.inputs import declared_axis_size
from dlc.semantics.machine import Machine
from dlc.semantics.program import ModelProgram, Port
from dlc.semantics.scope import Build, Frame, Mistake, Silent
from dlc.semantics.sizes import limited
from dlc.semantics.values import POISON, Instance, Tensor
from dlc.syntax import tree


def signature(
    machine: Machine, frame: Frame, params: tuple[tree.Param, ...]
) -> dict[str, tuple[TensorType, Span]] | None:
    """The inputs of a model or step; None after a mistake in one of them."""
    types: dict[str, tuple[TensorType, Span]] = {}
    whole = True
    for param in params:
        try:
            name = param.source if isinstance(param, tree.AxisMap) else param.name
            if name.text in types:
                raise Mistake(StepParameter(place=name.span, name=name.text, why="is there twice"))
            types[name.text] = (_port_type(machine, frame, param), param.span)
        except Mistake as mistake:
            machine.report(mistake.case, frame)
            whole = False
        except Silent:
            whole = False
    return types if whole else None


def _port_type(machine: Machine, frame: Frame, param: tree.Param) -> TensorType:
    if isinstance(param, tree.AxisMap):
        why = "a model or step has tensors as inputs, no axes"
        raise Mistake(StepParameter(place=param.span, name=param.source.text, why=why))
    name = param.name.text
    if param.type is None:
        hint = f"write `{name}: f32[N, ...]`"
        raise Mistake(StepParameter(place=param.span, name=name, why="has no type", hint=hint))
    if param.default is not None:
        why = "an input of a model or step has no default"
        raise Mistake(StepParameter(place=param.default.span, name=name, why=why))
    declared = read_type(machine, frame, param.type)
    if declared.name not in DTYPES:
        why = f"its dtype is decided here: f32, not {declared.name}"
        raise Mistake(StepParameter(place=param.type.span, name=name, why=why))
    if declared.rest:
        why = "an input of a model or step names all its axes, without `..`"
        raise Mistake(StepParameter(place=param.type.span, name=name, why=why))
    dims = []
    for axis in declared.named:
        size = declared.sizes[axis][0] if axis in declared.sizes else None
        dims.append((axis, size or declared_axis_size(machine, frame, axis)))
    limited(frame, dims, param.type.span)
    return TensorType(declared.name, tuple(dims))


def model_program(machine: Machine, model: Instance) -> ModelProgram | None:
    """Elaborate a model as an entry point; None after a mistake in it."""
    decl = model.decl
    assert isinstance(decl, tree.Model)
    build = Build(model.path, training=False, inference=True)
    caller = file_frame(machine, model.file)
    caller.build = build
    types = signature(machine, caller, decl.inputs)
    if types is None:
        return None
    given = {}
    for name, (type, span) in types.items():
        given[name] = (Tensor(build.input(name, type, "data", span)), span)
    try:
        result = enter(machine, decl, model.file, given, (), caller, decl.name.span, model)
    except Mistake as mistake:
        machine.report(mistake.case, caller)
        return None
    except Silent:
        return None
    outputs = _outputs(machine, caller, decl, result)
    if outputs is None:
        return None
    inputs = build.ordered_inputs()
    ports = tuple(Port(n, t, s) for n, (t, s) in types.items())
    made = tuple(Port(n, node.type, span) for n, (node, span) in outputs.items())
    owned = {n.attrs["name"] for n in inputs if n.attrs["role"] in ("param", "state")}
    params = tuple(p for p in machine.infos if p in owned)
    graph = Graph(inputs, {n: node for n, (node, _) in outputs.items()}, tuple(build.checks))
    return ModelProgram(model.path, graph, ports, made, params)


def _outputs(
    machine: Machine, frame: Frame, decl: tree.Model, result: object
) -> dict[str, tuple[Node, Span]] | None:
    """The results by name, laid out in the written order."""
    if isinstance(decl.result, tree.TypeExpr):
        types, names = [decl.result], ["out"]
    else:
        types = [r.type for r in decl.result.results]
        names = [r.name.text for r in decl.result.results]
    values = result if isinstance(result, tuple) else (result,)
    if any(v is POISON for v in values):
        return None
    out: dict[str, tuple[Node, Span]] = {}
    for name, type, value in zip(names, types, values, strict=True):
        assert isinstance(value, Tensor)
        order = read_type(machine, frame, type).named
        dims: tuple[tuple[object, Size], ...] = tuple((a, value.type.size(a)) for a in order)
        node = value.node
        if dims != node.type.dims:
            node = frame.node("broadcast", (node,), type.span, dims=dims)
        out[name] = (node, type.span)
    return out
