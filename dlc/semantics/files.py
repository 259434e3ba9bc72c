"""Files: their names, imports, the standard library, and values of names at the top of a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

from dlc.diagnostics import DlcError, Label, Source, Span
from dlc.diagnostics.calls import TwoModels
from dlc.diagnostics.limits import ImportCycle
from dlc.diagnostics.names import (
    DeclaredTwice,
    DefinedByItself,
    ImportNotFound,
    NotInFile,
    ReservedName,
    WrongKindOfName,
)
from dlc.diagnostics.placed import listed, similar
from dlc.graph import Axis, Size
from dlc.semantics.axes import axes_of, each
from dlc.semantics.lookup import WORDS
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Build, FileScope, Frame, Mistake, Silent
from dlc.semantics.sizes import as_size
from dlc.semantics.values import POISON, Axes, HyperFloat, Instance, Kind, Value
from dlc.syntax import parse, read_source, tree

STANDARD = Path(__file__).parent.parent / "std"
ITEM = re.compile(r"^(?:(?:def|layer|optimizer)\s+)?([A-Za-z_]\w*)\s*(?:\(|=[^=])", re.M)


@lru_cache(maxsize=1)
def standard_index() -> dict[str, Source]:
    """For each name of the standard library the text that declares it, found without parsing.

    The text stands behind as many empty lines as the file has before it, so that places in it are
    those of the file.
    """
    found: dict[str, Source] = {}
    for path in sorted(STANDARD.glob("*.dl")):
        text = path.read_text("utf-8")
        starts = [(m.start(), m.group(1)) for m in ITEM.finditer(text)]
        ends = [start for start, _ in starts[1:]] + [len(text)]
        for (start, name), end in zip(starts, ends, strict=True):
            lines = "\n" * text.count("\n", 0, start)
            found[name] = Source(f"std/{path.name}", lines + text[start:end])
    return found


@cache
def standard_tree(name: str) -> tree.File:
    """The parsed text of one name of the standard library."""
    return parse(standard_index()[name])


def find_standard(machine: Machine, name: str) -> FileScope | None:
    """The part of the standard library that declares a name, parsed at its first use."""
    source = standard_index().get(name)
    if source is None:
        return None
    key = f"std {name}"
    if key not in machine.files:
        root = standard_tree(name)
        machine.files[key] = scope_of(machine, source, root, str(STANDARD), standard=True)
    return machine.files[key]


def load(
    machine: Machine, source: Source, chain: tuple[str, ...] = (), folder: str | None = None
) -> FileScope:
    """A user's file with all that it imports. Raises DlcError for syntax mistakes."""
    folder = folder if folder is not None else os.path.dirname(source.path)
    file = scope_of(machine, source, parse(source), folder, standard=False)
    machine.files[os.path.abspath(source.path)] = file
    chain = (*chain, os.path.abspath(source.path))
    frame = file_frame(machine, file)
    syntax: list[DlcError] = []
    for item in file.root.items:
        if isinstance(item, tree.Import):
            try:
                _import(machine, file, item, chain)
            except Mistake as mistake:
                machine.report(mistake.case, frame)
            except DlcError as error:
                syntax.append(error)
    if syntax:
        raise DlcError([d for error in syntax for d in error.diagnostics])
    return file


def _import(machine: Machine, file: FileScope, item: tree.Import, chain: tuple[str, ...]) -> None:
    path = module_path(file, item)
    if path in chain:
        names = [os.path.basename(p) for p in (*chain[chain.index(path) :], path)]
        raise Mistake(ImportCycle(place=item.module.span, chain=tuple(names)))
    if path in machine.files:
        return
    if not os.path.isfile(path):
        shown = os.path.relpath(path, file.folder or ".")
        module = item.module.text
        hint = f"it is looked up beside {os.path.basename(file.source.path)}"
        raise Mistake(ImportNotFound(place=item.module.span, module=module, path=shown, hint=hint))
    shown = os.path.join(file.folder, *(n.text for n in item.module.names)) + ".dl"
    load(machine, read_source(shown), chain)


def module_path(file: FileScope, item: tree.Import) -> str:
    """The absolute path of the file that an import reads."""
    names = [n.text for n in item.module.names]
    return os.path.abspath(os.path.join(file.folder, *names) + ".dl")


def scope_of(
    machine: Machine, source: Source, file: tree.File, folder: str, *, standard: bool
) -> FileScope:
    """The names that a file declares."""
    scope = FileScope(source, file, standard, {}, folder)
    places: dict[str, Span] = {}
    frame = file_frame(machine, scope)
    for name, item in declarations(file):
        if name.text in WORDS:
            machine.report(ReservedName(place=name.span, name=name.text), frame)
        elif name.text in scope.items:
            notes = (Label(places[name.text], "first here"),)
            case = DeclaredTwice(place=name.span, name=name.text, notes=notes)
            machine.report(case, frame)
        else:
            scope.items[name.text] = item
            places[name.text] = name.span
    return scope


Declared = tree.Item | tree.AxisEntry


def declarations(file: tree.File) -> Iterator[tuple[tree.Identifier, Declared]]:
    """The names of a file, each with what declares it."""
    for item in file.items:
        match item:
            case tree.AxisDecl(axes=entries):
                yield from ((entry.name, entry) for entry in entries)
            case tree.Import(names=names):
                yield from ((name, item) for name in names)
            case _:
                yield item.name, item


def file_frame(machine: Machine, file: FileScope) -> Frame:
    """The frame in which expressions at the top of a file are evaluated."""
    build = Build("file", False, True)
    return Frame(machine, build, file, "file", os.path.basename(file.source.path))


def file_value(machine: Machine, file: FileScope, name: str) -> Value:
    """The value of a name that a file declares, evaluated once."""
    if name in file.values:
        return file.values[name]
    item = file.items[name]
    if name in file.pending:
        place = item.span if isinstance(item, (tree.Import, tree.AxisDecl)) else item.name.span
        raise Mistake(DefinedByItself(place=place, name=name))
    file.pending.add(name)
    frame = file_frame(machine, file)
    value: Value = POISON
    try:
        value = _evaluate(machine, file, frame, item, name)
    except Mistake as mistake:
        machine.report(mistake.case, frame)
    except Silent:
        pass
    finally:
        file.pending.discard(name)
    file.values[name] = value
    return value


def _evaluate(machine: Machine, file: FileScope, frame: Frame, item: Declared, name: str) -> Value:
    match item:
        case tree.AxisEntry():
            return _axis(machine, file, frame, item)
        case tree.Constant(value=value):
            return machine.evaluate(value, frame)
        case tree.HyperDecl():
            return _hyper(machine, name)
        case tree.Model():
            return _model(machine, file, item)
        case tree.Def() | tree.Layer() | tree.Optimizer():
            return Kind(item, file)
        case tree.Import():
            return _imported(machine, file, item, name)
        case _:
            case = WrongKindOfName(place=item.span, name=name, is_a="a recipe", wanted="a value")
            raise Mistake(case)


def _hyper(machine: Machine, name: str) -> Value:
    hyper = machine.hypers.get(name)
    if hyper is None:
        return POISON
    if hyper.type == "float":
        return HyperFloat(float(hyper.value), name)
    machine.fixed.add(name)
    return hyper.value


def _axis(machine: Machine, file: FileScope, frame: Frame, entry: tree.AxisEntry) -> Value:
    name = entry.name.text
    over = axes_of(machine, frame, entry.over) if entry.over is not None else None
    items: tuple[Axis, ...] = (Axis(name),)
    if over is not None and len(over.items) != 1:
        items = tuple(Axis(f"{name}_{a.name}") for a in over.items)
    file.values[name] = Axes(items)
    sizes: list[Size | None] = [None] * len(items)
    if entry.size is not None:
        value = machine.evaluate(entry.size, frame)
        if value is POISON:
            raise Silent
        span = entry.size.span
        sizes = [as_size(frame, v, span) for v in each(value, len(items), span, name)]
    elif over is not None:
        sizes = [machine.declared_size(file, a) for a in over.items]
    for axis, size in zip(items, sizes, strict=True):
        if size is not None:
            file.values[f"size {axis.name}"] = size
            place = entry.size.span if entry.size is not None else entry.span
            machine.axis_places.setdefault(axis, place)
    return Axes(items)


def _model(machine: Machine, file: FileScope, decl: tree.Model) -> Instance:
    name = decl.name.text
    known = machine.models.get(name)
    if known is not None and known.decl is not decl:
        notes = (Label(known.decl.name.span, "the other one"),)
        raise Mistake(TwoModels(place=decl.name.span, name=name, notes=notes))
    if known is None:
        known = machine.models[name] = Instance(name, decl, file, 0, decl.name.span)
        machine.instances[name] = known
    return known


def _imported(machine: Machine, file: FileScope, item: tree.Import, name: str) -> Value:
    other = machine.files.get(module_path(file, item))
    if other is None:
        return POISON
    place = next(n.span for n in item.names if n.text == name)
    if name not in other.items or isinstance(other.items[name], tree.Train):
        names = [n for n, i in other.items.items() if not isinstance(i, tree.Train)]
        near = similar(name, names)
        hint = f"did you mean {near}?" if near else f"it declares {listed(names, 'nothing')}"
        raise Mistake(NotInFile(place=place, name=name, module=item.module.text, hint=hint))
    other.used.add(name)
    value = file_value(machine, other, name)
    if isinstance(value, Axes):
        for axis in value.items:
            size = other.values.get(f"size {axis.name}")
            if size is not None:
                file.values[f"size {axis.name}"] = size
    return value
