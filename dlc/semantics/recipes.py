"""Train blocks: settings, data sources, steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlc.diagnostics import Label, Span
from dlc.diagnostics.names import DeclaredTwice
from dlc.diagnostics.placed import listed, similar
from dlc.diagnostics.training import (
    BadDataSource,
    BadSetting,
    BatchAxis,
    NoStep,
    NoSuchColumn,
    NoSuchMetric,
    NothingTrained,
    TwoSteps,
    UnknownSetting,
)
from dlc.diagnostics.warnings import UntrainedParameter
from dlc.graph import UPDATE, Node
from dlc.semantics.axes import need_axis
from dlc.semantics.files import file_frame
from dlc.semantics.lookup import lookup_axes
from dlc.semantics.machine import Machine
from dlc.semantics.models import signature
from dlc.semantics.program import DataFile, DataSpec, Recipe, StepProgram
from dlc.semantics.scope import FileScope, Frame, Mistake, Silent
from dlc.semantics.sizes import as_int
from dlc.semantics.steps import Step, step_program
from dlc.semantics.values import POISON, Value, describe
from dlc.syntax import tree

SOURCES = ("npz", "npy", "csv", "idx", "images")
SETTINGS = (
    "data", "test", "validation", "epochs", "seed", "drop_last", "monitor", "goal", "patience",
)  # fmt: skip
DEFAULT_EPOCHS = 10


@dataclass(slots=True, eq=False)
class Reading:
    """One train block that is being read."""

    machine: Machine
    file: FileScope
    decl: tree.Train
    frame: Frame
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    batch: dict[str, int] = field(default_factory=dict)
    slots: dict[str, Node] = field(default_factory=dict)

    def guarded(self, run: Callable[[], None]) -> None:
        """Report a mistake and go on."""
        try:
            run()
        except Mistake as mistake:
            self.machine.report(mistake.case, self.frame)
        except Silent:
            pass

    def setting(self, node: tree.Setting) -> None:
        """One line of settings."""
        name = node.name.text
        if name in self.places:
            note = Label(self.places[name], "first here")
            raise Mistake(DeclaredTwice(place=node.name.span, name=name, notes=(note,)))
        if name not in SETTINGS:
            near = similar(name, (*SETTINGS, "batch"))
            known = listed((*SETTINGS, "batch"))
            hint = f"did you mean {near}?" if near else f"settings are {known}"
            if name == "batch":
                hint = "write `batch N = 64`, N the axis of the rows"
            raise Mistake(UnknownSetting(place=node.name.span, name=name, hint=hint))
        self.places[name] = node.name.span
        if name in ("data", "test") or (name == "validation" and _is_source(node.value)):
            self.values[name] = self.source(node.value)
            return
        if name == "monitor" and isinstance(node.value, tree.Name):
            self.values[name] = node.value.text
            return
        value = self.machine.evaluate(node.value, self.frame)
        if value is POISON:
            return
        self.machine.fix(value)
        wanted, fits = _CHECKS[name]
        if not fits(value):
            got = str(value) if isinstance(value, (int, float)) else describe(value)
            raise Mistake(BadSetting(place=node.value.span, name=name, wanted=wanted, got=got))
        self.values[name] = value

    def batch_entry(self, entry: tree.BatchEntry) -> None:
        """`batch N = 64`."""
        name = entry.axis.text
        group = lookup_axes(self.machine, self.frame, name, entry.axis.span)
        axis = need_axis(group, entry.axis.span, "batch")
        value = self.machine.evaluate(entry.size, self.frame)
        if value is POISON:
            return
        size = as_int(self.frame, value, entry.size.span, "batch")
        if size < 1 or size >= 2**31:
            wanted, got = f"a whole number from 1 to {2**31 - 1:,}", f"{size:,}"
            raise Mistake(
                BadSetting(place=entry.size.span, name=f"batch {name}", wanted=wanted, got=got)
            )
        declared = self.machine.declared_size(self.file, axis)
        rows = not self.batch
        if declared is not None and (rows or declared.constant != size):
            why = f"the axis is declared with size {declared}"
            hint = f"declare the axis of the rows without a size: `axis {name}`" if rows else None
            raise Mistake(BatchAxis(place=entry.span, axis=name, why=why, hint=hint))
        self.batch[axis.name] = size
        self.places[f"batch {axis.name}"] = entry.axis.span

    def source(self, expr: tree.Expr) -> DataSpec:
        """A data source as it was written."""
        if not _is_source(expr):
            why = f"write one of {listed(SOURCES)} with a file"
            raise Mistake(BadDataSource(place=expr.span, why=why))
        assert isinstance(expr, tree.Call)
        assert isinstance(expr.function, tree.Name)
        kind = expr.function.text
        files: list[DataFile] = []
        columns: list[tuple[str, str | tuple[str, ...]]] = []
        for argument in expr.arguments:
            value = self.machine.evaluate(argument.value, self.frame)
            if value is POISON:
                raise Silent
            span = argument.value.span
            if argument.name is None:
                files.append(DataFile(None, _text(value, span, "a file name"), span))
                continue
            name = argument.name.text
            if any(name == c for c, _ in columns):
                why = f"column {name} is there twice"
                raise Mistake(BadDataSource(place=argument.name.span, why=why))
            columns.append((name, _column(kind, value, span)))
            if kind in ("npy", "idx"):
                files.append(DataFile(name, _text(value, span, "a file name"), span))
        self._complete(kind, expr, files, columns)
        return DataSpec(kind, tuple(files), tuple(columns), expr.span)  # type: ignore[arg-type]

    def _complete(
        self, kind: str, expr: tree.Expr, files: list[DataFile], columns: list[Any]
    ) -> None:
        named = [f for f in files if f.column is None]
        if kind in ("npy", "idx") and (named or not files):
            why = f'{kind} names a column for each file: `{kind}(image="...")`'
            raise Mistake(BadDataSource(place=expr.span, why=why))
        if kind in ("npz", "csv", "images") and len(named) != 1:
            what = "folder" if kind == "images" else "file"
            why = f'{kind} takes one {what}: `{kind}("...", x="...")`'
            raise Mistake(BadDataSource(place=expr.span, why=why))
        if kind in ("npz", "csv") and not columns:
            why = f'{kind} names the columns that are read: `{kind}("...", x="...")`'
            raise Mistake(BadDataSource(place=expr.span, why=why))

    def steps(self) -> tuple[tuple[StepProgram, ...], list[Step]]:
        """All steps, in order."""
        programs: list[StepProgram] = []
        steps: list[Step] = []
        seen: dict[str, Span] = {}

        def made(node: tree.Step, name: str) -> None:
            pair = self._step(node, name)
            if pair is not None:
                programs.append(pair[0])
                steps.append(pair[1])

        for k, node in enumerate(self.decl.steps):
            name = node.name.text if node.name is not None else "step"
            place = node.name.span if node.name is not None else node.span
            if name in seen:
                note = Label(seen[name], "first here")
                case = TwoSteps(place=place, name=name, notes=(note,))
                self.machine.report(case, self.frame)
                name = f"{name}_{k}"
            seen[name] = place
            self.guarded(lambda node=node, name=name: made(node, name))  # type: ignore[misc]
        return tuple(programs), steps

    def _step(self, node: tree.Step, name: str) -> tuple[StepProgram, Step] | None:
        types = signature(self.machine, self.frame, node.params)
        every = 1
        if node.every is not None:
            value = self.machine.evaluate(node.every, self.frame)
            if value is not POISON:
                every = as_int(self.frame, value, node.every.span, "every")
            if every < 1:
                wanted = "a whole number of at least 1"
                raise Mistake(
                    BadSetting(place=node.every.span, name="every", wanted=wanted, got=str(every))
                )
        if types is None:
            return None
        return step_program(
            self.machine, self.file, self.decl.name.text, node, name, every, types, self.slots
        )


def _is_source(expr: tree.Expr) -> bool:
    called = expr.function if isinstance(expr, tree.Call) else None
    return isinstance(called, tree.Name) and called.text in SOURCES


def _text(value: Value, span: Span, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise Mistake(BadDataSource(place=span, why=f"{what} is a string, not {describe(value)}"))
    return value


def _column(kind: str, value: Value, span: Span) -> str | tuple[str, ...]:
    if kind == "csv" and isinstance(value, list) and value:
        return tuple(_text(v, span, "a column") for v in value)
    return _text(value, span, "a column" if kind in ("npz", "csv") else "a file name")


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= least


def _fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


_CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "validation": ("a part of the rows, between 0 and 1, or a data source", _fraction),
    "epochs": ("a whole number of at least 1", _whole(1)),
    "seed": ("a whole number of at least 0", _whole(0)),
    "drop_last": ("true or false", lambda v: isinstance(v, bool)),
    "monitor": ("the name of a metric", lambda v: isinstance(v, str)),
    "goal": ('"min" or "max"', lambda v: v in ("min", "max")),
    "patience": ("a number of epochs, at least 1", _whole(1)),
}


def read_recipe(
    machine: Machine, file: FileScope, decl: tree.Train
) -> tuple[Recipe, Reading] | None:
    """A train block; None if it has no step that could be read."""
    reading = Reading(machine, file, decl, file_frame(machine, file))
    for item in decl.items:
        if isinstance(item, tree.Setting):
            reading.guarded(lambda item=item: reading.setting(item))  # type: ignore[misc]
        elif isinstance(item, tree.BatchSetting):
            for entry in item.entries:
                reading.guarded(lambda entry=entry: reading.batch_entry(entry))  # type: ignore[misc]
    if not decl.steps:
        hint = "a recipe needs at least one `step(...):`"
        case = NoStep(place=decl.name.span, recipe=decl.name.text, hint=hint)
        machine.report(case, reading.frame)
        return None
    before = len(machine.found)
    programs, steps = reading.steps()
    whole = len(machine.found) == before
    if whole:
        _whole_recipe(reading, programs, steps)
    _check_monitor(reading, _measured(programs) if whole else _written(decl))
    _check_columns(reading, programs)
    if whole:
        _check_batch(reading, programs)
    return _recipe(reading, programs), reading


def _whole_recipe(reading: Reading, programs: tuple[StepProgram, ...], steps: list[Step]) -> None:
    """What only all steps together show."""
    machine, frame, name = reading.machine, reading.frame, reading.decl.name
    updates = any(p.startswith(UPDATE) for s in programs for p in s.graph.outputs)
    others = any(not isinstance(c, (NoStep, NothingTrained)) for c in machine.found.values())
    if not updates and not others:
        machine.report(NothingTrained(place=name.span, recipe=name.text), frame)
    trained = {path for step in steps for path in step.trained}
    for step in steps:
        for path, info in step.unreached.items():
            if path not in trained:
                machine.warn(
                    UntrainedParameter(place=info.span, param=path, recipe=name.text), frame
                )


def _measured(programs: tuple[StepProgram, ...]) -> dict[str, list[str]]:
    """The metrics by step."""
    return {step.name: list(step.metrics) for step in programs}


def _written(decl: tree.Train) -> dict[str, list[str]]:
    """The metrics by step as the text has them, where steps hold mistakes."""
    found: dict[str, list[str]] = {}
    for step in decl.steps:
        names = found.setdefault(step.name.text if step.name is not None else "step", ["loss"])
        names += [node.name.text for node in tree.walk(step) if isinstance(node, tree.Metric)]
    return found


def _check_monitor(reading: Reading, metrics: Mapping[str, Sequence[str]]) -> None:
    """The metric that is monitored is one of a step: `loss`, or with its step `critic.loss`."""
    monitor = reading.values.get("monitor")
    names = {name for step in metrics.values() for name in step}
    full = {f"{step}.{name}" for step, held in metrics.items() for name in held}
    if monitor is None or monitor in names or (len(metrics) > 1 and monitor in full):
        return
    near = similar(monitor, names)
    hint = f"did you mean {near}?" if near else f"its metrics: {listed(sorted(names))}"
    case = NoSuchMetric(place=reading.places["monitor"], name=monitor, hint=hint)
    reading.machine.report(case, reading.frame)


def _check_columns(reading: Reading, programs: tuple[StepProgram, ...]) -> None:
    for setting in ("data", "test", "validation"):
        spec = reading.values.get(setting)
        if not isinstance(spec, DataSpec) or (spec.kind == "images" and not spec.columns):
            continue
        columns = [c for c, _ in spec.columns]
        for step in programs:
            for port in step.inputs:
                if port.name in columns:
                    continue
                near = similar(port.name, columns)
                hint = f"did you mean {near}?" if near else None
                notes = (Label(spec.span, f"`{setting}`"),)
                place = port.span if port.span is not None else step.span
                case = NoSuchColumn(
                    place=place, name=port.name, columns=listed(columns), hint=hint, notes=notes
                )
                reading.machine.report(case, reading.frame)


def _check_batch(reading: Reading, programs: tuple[StepProgram, ...]) -> None:
    held = {a.name for s in programs for p in s.inputs for a in p.type.axes}
    for name in reading.batch:
        if name not in held and not any(name in p.graph.symbols for p in programs):
            why = "no input of a step has this axis"
            near = similar(name, held)
            hint = f"did you mean {near}?" if near else None
            place = reading.places[f"batch {name}"]
            case = BatchAxis(place=place, axis=name, why=why, hint=hint)
            reading.machine.report(case, reading.frame)


def _recipe(reading: Reading, programs: tuple[StepProgram, ...]) -> Recipe:
    values, name = reading.values, reading.decl.name
    settings = {
        "drop_last": values.get("drop_last", False),
        "monitor": values.get("monitor"),
        "goal": values.get("goal"),
        "patience": values.get("patience"),
    }
    return Recipe(
        name.text, values.get("data"), values.get("test"), values.get("validation"),
        dict(reading.batch), values.get("epochs", DEFAULT_EPOCHS), values.get("seed", 0), settings,
        programs, tuple(reading.slots), name.span,
    )  # fmt: skip
