"""Entering a def, layer or model: axes are renamed on the way in and out, types are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dlc.diagnostics import Label, Span
from dlc.diagnostics.axes import (
    AxesTooMany,
    DefaultAxis,
    HidesInRest,
    InputLacksAxis,
    ModelSize,
    OneAxisNeeded,
)
from dlc.diagnostics.calls import NeedsConfiguration, NoReturn, WrongArgument
from dlc.diagnostics.limits import Recursion, TooDeep
from dlc.diagnostics.types import TwoDtypes, WrongDtype
from dlc.graph import FLOATS, INTEGERS, Axis, DType, Node, Size
from dlc.semantics.axes import AXIS_TYPES, CLASSES, Declared, dtype_of, read_type
from dlc.semantics.elementwise import to_node
from dlc.semantics.leave import Leaving, leave
from dlc.semantics.machine import Machine
from dlc.semantics.origins import size_note
from dlc.semantics.scope import FileScope, Frame, Mistake
from dlc.semantics.sizes import as_int, numeric, same_size, size_of_axis
from dlc.semantics.values import (
    POISON,
    Arrow,
    Axes,
    Config,
    HyperFloat,
    Instance,
    Kind,
    Ratio,
    Tensor,
    Value,
    describe,
    is_number,
    show_axes,
    show_type,
)
from dlc.syntax import tree

MAX_DEPTH = 40
Decl = tree.Def | tree.Layer | tree.Model
Given = tuple[Value, Span]


@dataclass(slots=True)
class Entry:
    """One call on its way in."""

    machine: Machine
    frame: Frame
    caller: Frame
    name: str
    span: Span
    pair: dict[Axis, Axis] = field(default_factory=dict)
    """For each axis from the brackets, the caller's."""
    groups: dict[str, Axes] = field(default_factory=dict)
    """For each parameter that takes axes, the caller's."""
    target_sizes: dict[Axis, Size] = field(default_factory=dict)
    types: dict[str, Declared] = field(default_factory=dict)
    first: Tensor | None = None
    """The first input that is a tensor: where default axes are looked up."""
    strict: bool = False
    """Whether declared sizes hold (models)."""
    nodes: list[Node] = field(default_factory=list)
    """The inputs, in the axes of the body."""


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
    entry = Entry(machine, frame, caller, decl.name.text, span)
    entry.strict = isinstance(decl, tree.Model)
    config = instance.config if instance is not None else None
    entry.first = next((v for v, _ in given.values() if isinstance(v, Tensor)), None)
    inputs = decl.params if isinstance(decl, tree.Def) else decl.inputs
    if isinstance(decl, tree.Layer):
        assert config is not None
        _bracket_params(entry, decl.config, config)
    inner = Config(tuple(arrows), {k: v for k, (v, _) in given.items()}, {}, span)
    taken = _bracket_axes(entry, inputs, inner)
    plain = [p for p in inputs if isinstance(p, tree.Parameter) and p.name.text not in taken]
    _inputs(entry, plain, given)
    if instance is not None:
        instance.outside = dict(entry.pair)
    return run(machine, decl, frame, Leaving(entry.pair, entry.strict, caller, span))


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


# Brackets --------------------------------------------------------------------------------------


def _bracket_params(entry: Entry, params: Sequence[tree.Param], config: Config) -> None:
    """A layer's configuration: axes of its own, and values."""
    taken = _bracket_axes(entry, params, config)
    for param in params:
        if isinstance(param, tree.Parameter) and param.name.text not in taken:
            bind_value(entry.machine, entry.frame, param, config)


def bind_value(machine: Machine, frame: Frame, param: tree.Parameter, config: Config) -> None:
    """A configuration value or its default, checked against its type."""
    name = param.name.text
    if name in config.values:
        value, span = config.values[name], config.spans.get(name, config.span)
    else:
        assert param.default is not None
        value, span = machine.evaluate(param.default, frame), param.default.span
    frame.names[name] = POISON
    frame.names[name] = config_value(frame, param, value, span)


def _is_axis(param: tree.Parameter, config: Config) -> bool:
    if param.type is not None:
        return param.type.name.text in AXIS_TYPES
    return param.default is None and isinstance(config.values.get(param.name.text), Axes)


def _bracket_axes(entry: Entry, params: Sequence[tree.Param], config: Config) -> set[str]:
    """Give the body its own axes for those in the brackets; the names that were taken."""
    arrows = iter(config.arrows)
    taken: set[str] = set()
    for param in params:
        if isinstance(param, tree.AxisMap):
            arrow = next(arrows)
            _introduce(entry, param.source.text, arrow.source)
            _introduce(entry, param.target.text, arrow.target, arrow)
        elif _is_axis(param, config):
            taken.add(param.name.text)
            _axis_param(entry, param, config)
    return taken


def _axis_param(entry: Entry, param: tree.Parameter, config: Config) -> None:
    name = param.name.text
    if name in config.values:
        value, span = config.values[name], config.spans.get(name, config.span)
        if not isinstance(value, Axes):
            got = describe(value)
            raise Mistake(
                WrongArgument(place=span, callee=entry.name, name=name, wanted="axes", got=got)
            )
    else:
        assert param.default is not None
        value, span = Axes(tuple(_default_axes(entry, param, param.default))), entry.span
    one = param.type is not None and param.type.name.text == "axis"
    if one and len(value.items) != 1:
        what = f"{name} of {entry.name}"
        raise Mistake(OneAxisNeeded(place=span, what=what, count=len(value.items)))
    _introduce(entry, name, value)


def _default_axes(entry: Entry, param: tree.Parameter, expr: tree.Expr) -> list[Axis]:
    """A default axis: an earlier parameter, or found by name in the first input."""
    if isinstance(expr, tree.Tuple):
        return [a for item in expr.items for a in _default_axes(entry, param, item)]
    name = expr.text if isinstance(expr, tree.Name) else expr.span.text
    if name in entry.groups:
        return list(entry.groups[name].items)
    axes = entry.first.type.axes if entry.first is not None else ()
    found = [a for a in axes if a.name == name]
    if len(found) == 1:
        return found
    wanted = param.name.text
    taken = [a for group in entry.groups.values() for a in group.items]
    free = [a.name for a in axes if a not in taken] or ["T"]
    group = isinstance(param.default, tree.Tuple)
    example = f"({', '.join(free[-2:])})" if group else free[-1]
    hint = f"say which is meant: `{wanted}={example}`"
    raise Mistake(
        DefaultAxis(
            place=entry.span, callee=entry.name, parameter=wanted, axis=name,
            axes=show_axes(axes), hint=hint,
            notes=(Label(expr.span, "the default"),) if not entry.frame.file.standard else (),
        )
    )  # fmt: skip


def _introduce(entry: Entry, name: str, group: Axes, arrow: Arrow | None = None) -> None:
    frame, own = entry.frame, []
    names = [a.name for a in group.items]
    for k, outer in enumerate(group.items):
        tail = outer.name.rpartition("_")[2] if outer.scope else outer.name
        label = name if len(names) == 1 else f"{name}_{tail}"
        if names.count(outer.name) > 1:
            label += str(k)
        axis = Axis(label, frame.scope)
        own.append(axis)
        entry.pair[axis] = outer
        _own_size(entry, axis, outer, arrow, k)
    frame.names[name] = Axes(tuple(own))
    frame.pair = entry.pair
    entry.groups[name] = group


def _own_size(entry: Entry, axis: Axis, outer: Axis, arrow: Arrow | None, k: int) -> None:
    size = arrow.sizes[k] if arrow is not None else None
    places = entry.machine.axis_places
    if size is not None and arrow is not None:
        if arrow.written[k] or outer not in places:
            places.setdefault(axis, arrow.target_span)
        else:
            places.setdefault(axis, places[outer])
    if size is None:
        size = entry.caller.known_size(outer)
    if size is None and not outer.scope:
        try:
            size = size_of_axis(entry.caller, outer, entry.span)
        except Mistake:
            return
    if size is not None:
        entry.frame.given_sizes[axis] = size


# Inputs ----------------------------------------------------------------------------------------


def _inputs(entry: Entry, params: Sequence[tree.Parameter], given: Mapping[str, Given]) -> None:
    frame = entry.frame
    rest: list[Axis] = []
    tensors: list[tuple[tree.Parameter, Tensor, Span]] = []
    pending: list[tree.Parameter] = []
    for param in params:
        name = param.name.text
        value, span = _given(param, given, entry)
        if value is entry:
            pending.append(param)
            continue
        if isinstance(value, (int, float, Size, Ratio)) and _has_axes(param):
            pending.append(param)
            frame.names[name] = value
            continue
        if not isinstance(value, Tensor) or param.type is None or param.type.name.text == "str":
            frame.names[name] = config_value(frame, param, value, span)
            continue
        tensor = _tensor_input(entry, param, value, span, rest)
        tensors.append((param, tensor, span))
    frame.rest = None if entry.strict else tuple(rest)
    for param, tensor, span in tensors:
        frame.names[param.name.text] = _typed(entry, param, tensor, span)
    for param in pending:
        _pending(entry, param, given)


def _has_axes(param: tree.Parameter) -> bool:
    """Whether the type names axes, so that a number must be broadcast."""
    axes = param.type.axes if param.type is not None else None
    return any(isinstance(a, tree.TypeAxis) for a in axes or ())


def _given(param: tree.Parameter, given: Mapping[str, Given], entry: Entry) -> Given:
    name = param.name.text
    if name in given:
        return given[name]
    default = param.default
    if isinstance(default, tree.Name) and default.text in given:
        return given[default.text]
    return entry, entry.span


def _tensor_input(
    entry: Entry, param: tree.Parameter, value: Tensor, span: Span, rest: list[Axis]
) -> Tensor:
    """Rename the caller's axes to the body's own, check that the axes fit."""
    assert param.type is not None
    frame, shown = entry.frame, param.name.text
    declared = read_type(entry.machine, frame, param.type)
    entry.types[shown] = declared
    inverse = {entry.pair[a]: a for a in declared.named if a in entry.pair}
    mapping = tuple((o, n) for o, n in inverse.items() if value.type.has(o))
    for axis in declared.named:
        outer = entry.pair.get(axis, axis)
        if not value.type.has(outer):
            raise Mistake(_lacking(entry, param, outer, value, span))
    extra = [a for a in value.type.axes if a not in inverse and a not in declared.named]
    hidden = [a for a in extra if a in entry.pair.values()]
    if hidden and declared.rest:
        raise Mistake(
            HidesInRest(place=span, callee=entry.name, parameter=shown, axis=hidden[0].name)
        )
    if extra and not declared.rest:
        axes = f"axis {extra[0].name}" if len(extra) == 1 else f"axes {show_axes(tuple(extra))}"
        raise Mistake(AxesTooMany(place=span, callee=entry.name, parameter=shown, axes=axes))
    rest += [a for a in extra if a not in rest]
    if mapping:
        value = Tensor(_renamed(frame, value.node, mapping, span))
    entry.nodes.append(value.node)
    for axis in value.type.axes:
        _input_size(entry, shown, declared, axis, value.node, span)
    _note_dtype(entry, declared, value, span)
    return value


def _renamed(frame: Frame, node: Node, mapping: tuple[tuple[Axis, Axis], ...], span: Span) -> Node:
    site = frame.caller if frame.caller is not None else frame
    return site.node("rename", (node,), span, mapping=mapping)


def _lacking(
    entry: Entry, param: tree.Parameter, outer: Axis, value: Tensor, span: Span
) -> InputLacksAxis:
    axes = show_axes(value.type.axes)
    return InputLacksAxis(
        place=span, callee=entry.name, parameter=param.name.text, axis=outer.name, axes=axes
    )


def _input_size(
    entry: Entry, shown: str, declared: Declared, axis: Axis, node: Node, span: Span
) -> None:
    """Inputs that name one axis agree on its size; a model's axes have their declared size."""
    frame, size = entry.frame, node.type.size(axis)
    if axis not in declared.named:
        frame.input_sizes.setdefault(axis, size)
        return
    wanted = declared.sizes.get(axis, (None,))[0]
    if wanted is None and entry.strict:
        wanted = declared_axis_size(entry.machine, frame, axis)
    if wanted is not None and wanted.compare(size) == "different":
        what = f"{shown} of {entry.name}"
        notes = size_note(node, axis, entry.machine.axis_places)
        outer = entry.pair.get(axis, axis).name
        raise Mistake(
            ModelSize(
                place=span, what=what, axis=outer, declared=str(wanted), size=str(size), notes=notes
            )
        )
    if wanted is not None and not wanted.symbols:
        same_size(
            frame, axis, (node, size), (node, wanted), span, what=f"axis {axis.name} of {shown}"
        )
    known = frame.input_sizes.setdefault(axis, size)
    if known != size and axis not in declared.sizes:
        other = next(n for n in entry.nodes if n.type.has(axis) and n.type.size(axis) == known)
        what = f"axis {axis.name} of the inputs of {entry.name}"
        same_size(frame, axis, (other, known), (node, size), span, what=what)


def declared_axis_size(machine: Machine, frame: Frame, axis: Axis) -> Size:
    """The size of an axis in a signature: declared, or a run-time size of its name."""
    size = machine.declared_size(frame.file, axis)
    return size if size is not None else Size.symbol(axis.name)


def _note_dtype(entry: Entry, declared: Declared, value: Tensor, span: Span) -> None:
    dtype, frame = value.type.dtype, entry.frame
    fits = {"float": FLOATS, "int": INTEGERS}.get(declared.name, frozenset())
    if dtype not in fits:
        return
    known = frame.dtypes.setdefault(declared.name, dtype)
    if known != dtype:
        hint = f"{declared.name} is one dtype in a call: write `cast(..., {known})`"
        raise Mistake(TwoDtypes(place=span, left=known, right=dtype, hint=hint))


def _typed(entry: Entry, param: tree.Parameter, value: Tensor, span: Span) -> Tensor:
    declared = entry.types[param.name.text]
    what = f"{param.name.text} of {entry.name}"
    node = converted(entry.frame, value.node, declared.name, what, span)
    return Tensor(node, value.decay)


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


def _pending(entry: Entry, param: tree.Parameter, given: Mapping[str, Given]) -> None:
    """A default, or a number for a type with axes: broadcast once the sizes are known."""
    frame, name = entry.frame, param.name.text
    if name in given:
        value, span = given[name]
    else:
        assert param.default is not None
        value, span = entry.machine.evaluate(param.default, frame), param.default.span
    if param.type is None or value is POISON:
        frame.names[name] = value
        return
    value = numeric(frame, value, span)
    declared = read_type(entry.machine, frame, param.type)
    if not declared.named and not isinstance(value, Tensor):
        frame.names[name] = config_value(frame, param, value, span)
        return
    frame.names[name] = broadcast_to(frame, value, declared, f"{name} of {entry.name}", span)


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


# Configuration values --------------------------------------------------------------------------


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
