"""The state of one check: mistakes found so far, files, instances, parameters, hypers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dlc.diagnostics import Diagnostic, Span
from dlc.diagnostics.limits import TooManyTurns
from dlc.diagnostics.placed import Placed, moved, noted
from dlc.diagnostics.record import replaced
from dlc.diagnostics.types import RuleBroken
from dlc.graph import Axis, Node, Size, TensorType
from dlc.ops import TypeRuleError
from dlc.semantics.program import Hyper, ParamInfo
from dlc.semantics.scope import Build, FileScope, Frame, Mistake, Silent, Stop
from dlc.semantics.values import POISON, HyperFloat, Instance, Value
from dlc.syntax import tree

MAX_STATEMENTS = 200_000
CALL_COST = 3
"""How many statements a call counts for."""
Handler = Callable[["Machine", Any, Frame], Value]


@dataclass(slots=True, eq=False)
class Machine:
    """Evaluates trees. What the parts of this package need of each other is handed in here."""

    handlers: dict[type, Handler]
    """How each kind of expression is evaluated."""
    run_body: Callable[[tree.Body, Frame], None]
    builtins: dict[str, Value]
    find_standard: Callable[[str], FileScope | None]
    """The file of the standard library that declares a name."""
    file_value: Callable[[Machine, FileScope, str], Value]
    """The value of a name that a file declares; KeyError if it does not."""
    standard_names: tuple[str, ...] = ()
    found: dict[tuple[object, ...], Diagnostic] = field(default_factory=dict)
    warned: dict[tuple[object, ...], Diagnostic] = field(default_factory=dict)
    files: dict[str, FileScope] = field(default_factory=dict)
    models: dict[str, Instance] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    infos: dict[str, ParamInfo] = field(default_factory=dict)
    initial: dict[str, Node] = field(default_factory=dict)
    initial_build: Build = field(default_factory=lambda: Build("init", False, True))
    hypers: dict[str, Hyper] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)
    axis_places: dict[Axis, Span] = field(default_factory=dict)
    """For an axis from the brackets of a call, the place that gave it its size."""
    model_calls: dict[str, set[str]] = field(default_factory=dict)
    """For each instance path, the models that its body calls."""
    local_names: dict[int, tuple[tree.Identifier, ...]] = field(default_factory=dict)
    """For each body (by identity) the names that it gives a value to."""
    scopes: int = 0
    statements: int = 0
    at: Span | None = None
    """The statement that is being run."""

    def evaluate(self, node: tree.Expr, frame: Frame) -> Value:
        """The value of an expression; POISON after a mistake, which is reported."""
        try:
            return self.handlers[type(node)](self, node, frame)
        except Mistake as mistake:
            self.report(mistake.case, frame)
        except Silent:
            pass
        except TypeRuleError as error:
            self.report(RuleBroken(place=node.span, why=str(error)), frame)
        return POISON

    def report(self, case: Placed, frame: Frame) -> None:
        """Keep a mistake: at the user's call if it arose in the library, and only once."""
        table = self.found if case.severity == "error" else self.warned
        if case.place.source is frame.file.source and frame.file.standard and frame.site:
            case = moved(case, frame.site, "in this call", f"inside {frame.name}")
        elif frame.kind in ("def", "layer") and frame.site is not None:
            case = noted(case, frame.site, f"{frame.name} is called here")
        for note in case.notes:
            if note.span == case.place and not case.remark:
                case = replaced(case, remark=note.text)
        case = replaced(case, notes=tuple(n for n in case.notes if n.span != case.place))
        inside = (case.message,) if frame.file.standard else ()
        key = (case.code, case.place.source.path, case.place.start, case.place.end, inside)
        table.setdefault(key, case)

    def warn(self, case: Placed, frame: Frame) -> None:
        """Keep a warning; none about the inside of the library."""
        if case.place.source is not frame.file.source or not frame.file.standard:
            self.report(case, frame)

    def next_scope(self) -> int:
        """A number for the own axes of one more instance or call."""
        self.scopes += 1
        return self.scopes

    def declared_size(self, file: FileScope, axis: Axis) -> Size | None:
        """The size that the file declares for an axis, or None."""
        if axis.scope:
            return None
        item = file.items.get(axis.name)
        if isinstance(item, tree.Import):
            self.file_value(self, file, axis.name)
        elif not isinstance(item, tree.AxisEntry):
            return None
        size = file.values.get(f"size {axis.name}", None)
        if size is None and axis.name not in file.values:
            self.file_value(self, file, axis.name)
            size = file.values.get(f"size {axis.name}")
        return size if isinstance(size, Size) else None

    def fix(self, value: Value) -> None:
        """Note that the program is compiled for this value of a hyper."""
        if isinstance(value, HyperFloat):
            self.fixed |= value.hypers()

    def count_statement(self, span: Span, cost: int = 1) -> None:
        """Stop programs whose loops would never end in practice."""
        self.statements += cost
        self.at = span
        if self.statements > MAX_STATEMENTS:
            count = f"more than {MAX_STATEMENTS:,} statements"
            raise Stop(TooManyTurns(place=span, count=count, limit=MAX_STATEMENTS))

    def hyper_input(self, build: Build, name: str) -> Node:
        """The input of a float hyper."""
        span = self.hypers[name].span
        return build.input(name, TensorType("f32"), "hyper", span)
