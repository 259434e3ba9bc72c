"""Names in bodies that nothing calls, and names that nothing uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlc.diagnostics import Span
from dlc.diagnostics.types import UnknownDtype
from dlc.diagnostics.warnings import AfterReturn, UnusedDeclaration, UnusedImport, UnusedName
from dlc.graph import DTYPES
from dlc.semantics.axes import AXIS_TYPES, CLASSES
from dlc.semantics.files import file_frame
from dlc.semantics.lookup import WORDS, Use, axes_in, unknown
from dlc.semantics.machine import Machine
from dlc.semantics.scope import FileScope
from dlc.semantics.statements import assigned
from dlc.syntax import tree

Owner = tree.Def | tree.Layer | tree.Model | tree.Optimizer | tree.Step
TYPE_NAMES = frozenset((*DTYPES, *CLASSES, *AXIS_TYPES, "str"))
AXIS_ARGUMENTS = frozenset(("pad", "scatter"))
"""Functions whose named arguments are axes."""
WHAT = {
    tree.Def: "def", tree.Layer: "layer", tree.Optimizer: "optimizer", tree.AxisEntry: "axis",
    tree.Constant: "constant", tree.HyperDecl: "hyper",
}  # fmt: skip


def check_names(machine: Machine, files: list[FileScope], main: FileScope) -> None:
    """Report unknown names in every body of the user, and warn of unused ones."""
    for file in files:
        for owner in _owners(file.root):
            _check_owner(machine, file, owner)
    _unused_declarations(machine, main)


def _owners(file: tree.File) -> Iterator[Owner]:
    for item in file.items:
        if isinstance(item, (tree.Def, tree.Layer, tree.Model, tree.Optimizer)):
            yield item
        elif isinstance(item, tree.Train):
            yield from item.steps


def _params(owner: Owner) -> tuple[tree.Param, ...]:
    match owner:
        case tree.Def(params=params) | tree.Step(params=params):
            return params
        case tree.Model(inputs=inputs):
            return inputs
        case tree.Layer(config=config, inputs=inputs):
            return (*config, *inputs)
        case tree.Optimizer(config=config, inputs=inputs):
            return (*config, *inputs)


def _check_owner(machine: Machine, file: FileScope, owner: Owner) -> None:
    frame = file_frame(machine, file)
    locals_ = _locals(owner)
    known = {*locals_, *file.items, *machine.builtins, *machine.standard_names, *WORDS}
    if isinstance(owner, tree.Optimizer):
        known.add("grad_norm")
    nodes = [n for part in _checked(owner) for n in tree.walk(part)]
    for name, span, use in _uses(nodes):
        if name not in known:
            may_be = [*_local_axes(owner), *axes_in(file)] if use == "axis" else known
            machine.report(unknown(name, may_be, span, use), frame)
    for node in nodes:
        if isinstance(node, tree.TypeExpr) and node.name.text not in TYPE_NAMES:
            hint = "dtypes are f32 f64 f16 bf16 i32 i64 u8 bool, and float, int for any of them"
            case = UnknownDtype(place=node.name.span, name=node.name.text, hint=hint)
            machine.report(case, frame)
        if isinstance(node, tree.Body):
            _after_return(machine, file, node)
    _unused_locals(machine, file, owner, nodes)


def _locals(owner: Owner) -> set[str]:
    """The names that a body and its signature declare."""
    names = {*_local_axes(owner), *(n.text for n in assigned(owner.body))}
    names |= {p.name.text for p in _params(owner) if isinstance(p, tree.Parameter)}
    for node in tree.walk(owner):
        match node:
            case tree.Scan(variable=name):
                names.add(name.text)
            case tree.Index(subscripts=subscripts):
                names |= {s.name.text for s in subscripts if s.name is not None and _draws(node)}
            case _:
                pass
    return names


def _local_axes(owner: Owner) -> list[str]:
    """The axes that a body and its signature declare."""
    maps = [p for p in _params(owner) if isinstance(p, tree.AxisMap)]
    names = [name.text for p in maps for name in (p.source, p.target)]
    for node in tree.walk(owner):
        if isinstance(node, (tree.AxisEntry, tree.Sized)):
            names.append(node.name.text)
    return names


def _draws(node: tree.Index) -> bool:
    """Whether square brackets belong to a draw, where `N=3` may make an axis."""
    value = node.value.function if isinstance(node.value, tree.Call) else node.value
    return isinstance(value, tree.Name) and value.text in ("normal", "uniform", "bernoulli")


def _checked(owner: Owner) -> Iterable[tree.Node]:
    """The parts of a declaration whose names are looked up where they stand."""
    for param in _params(owner):
        if isinstance(param, tree.AxisMap):
            continue
        if param.type is not None:
            yield param.type
        axis = param.type is not None and param.type.name.text in AXIS_TYPES
        if param.default is not None and not axis:
            yield param.default
    result = owner.result if isinstance(owner, (tree.Def, tree.Layer, tree.Model)) else None
    if result is not None:
        yield result
    yield owner.body


def _uses(nodes: Iterable[tree.Node]) -> Iterator[tuple[str, Span, Use]]:
    """Names that are looked up, with their places, and as what."""
    for node in nodes:
        match node:
            case tree.Name(text=text):
                yield text, node.span, "value"
            case tree.TypeAxis(name=name) | tree.BatchEntry(axis=name):
                yield name.text, name.span, "axis"
            case tree.Subscript(name=tree.Identifier() as name):
                yield name.text, name.span, "axis"
            case tree.Arrow(source=source, target=target):
                names = [side for side in (source, target) if isinstance(side, tree.Name)]
                yield from ((name.text, name.span, "axis") for name in names)
            case tree.Call(function=tree.Name() as name):
                yield name.text, name.span, "function"
                yield from ((a.text, span, "axis") for a, span in _axis_arguments(node))
            case tree.Minimize(wrt=paths):
                yield from ((p.names[0].text, p.names[0].span, "model") for p in paths)
            case _:
                pass


def _axis_arguments(node: tree.Call) -> Iterator[tuple[tree.Identifier, Span]]:
    """`T` of `pad(x, T=1)`: named arguments that are axes."""
    if isinstance(node.function, tree.Name) and node.function.text in AXIS_ARGUMENTS:
        for argument in node.arguments:
            name = argument.name
            if name is not None and name.text not in ("x", "value", "over"):
                yield name, argument.value.span


def _after_return(machine: Machine, file: FileScope, body: tree.Body) -> None:
    for before, after in zip(body.statements, body.statements[1:], strict=False):
        if isinstance(before, tree.Return):
            machine.warn(AfterReturn(place=after.span), file_frame(machine, file))
            return


def _unused_locals(machine: Machine, file: FileScope, owner: Owner, nodes: list[tree.Node]) -> None:
    read = {name for name, _, _ in _uses(nodes)}
    read |= {n.name.text for n in nodes if isinstance(n, tree.Update)}
    frame = file_frame(machine, file)
    for node in nodes:
        name = None
        if isinstance(node, tree.Assign) and len(node.targets) == 1:
            name = node.targets[0]
        elif isinstance(node, tree.LayerInstance):
            name = node.name
        if name is not None and name.text not in read and not name.text.startswith("_"):
            machine.warn(UnusedName(place=name.span, name=name.text), frame)


def _unused_declarations(machine: Machine, file: FileScope) -> None:
    """Warn of what a whole program declares and never uses."""
    items = file.root.items
    if not any(isinstance(i, (tree.Model, tree.Train)) for i in items):
        return
    used: dict[str, set[int]] = {}
    for k, item in enumerate(items):
        for name, _, _ in _uses(tree.walk(item)):
            used.setdefault(name, set()).add(k)
    frame = file_frame(machine, file)
    for k, item in enumerate(items):
        for ident, node in _declared(item):
            others = used.get(ident.text, set())
            if others - {k} or (others and isinstance(item, tree.AxisDecl)):
                continue
            if isinstance(item, tree.Import):
                machine.warn(UnusedImport(place=ident.span, name=ident.text), frame)
            elif type(node) in WHAT:
                what = WHAT[type(node)]
                machine.warn(UnusedDeclaration(place=ident.span, what=what, name=ident.text), frame)


def _declared(item: tree.Item) -> Iterator[tuple[tree.Identifier, tree.Node]]:
    match item:
        case tree.AxisDecl(axes=entries):
            yield from ((e.name, e) for e in entries)
        case tree.Import(names=names):
            yield from ((n, item) for n in names)
        case _:
            yield item.name, item
