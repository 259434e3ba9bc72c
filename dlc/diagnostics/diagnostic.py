"""What a user is told of a mistake: a named case with typed facts, its places and its fix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from dlc.diagnostics.record import record as case
from dlc.diagnostics.span import Span

__all__ = ["CATALOG", "Diagnostic", "DlcError", "Label", "Severity", "case", "fail"]

Severity = Literal["error", "warning"]
CATALOG: dict[str, type[Diagnostic]] = {}
"""Every case by its code; `dlc explain CODE` and the reference of codes read it."""


@case
class Label:
    """A short remark under a place in the source."""

    span: Span
    text: str


class Diagnostic:
    """One kind of mistake. A case derives from this class and is decorated with `case`.

    A case states its facts as fields and says them in words: `message` in one line,
    `labels` at their places (the first label is the primary one, the place of the mistake),
    `help` as the fix where one is known. Its docstring is the long story of `dlc explain`.
    """

    code: ClassVar[str]
    severity: ClassVar[Severity] = "error"
    exit_code: ClassVar[int] = 1
    example: ClassVar[str] = ""
    """A smallest program that shows it, for the reference of codes; may be empty."""

    def __init_subclass__(cls) -> None:
        if "code" in cls.__dict__:
            assert CATALOG.get(cls.code, cls).__qualname__ == cls.__qualname__, (
                f"code {cls.code} has two cases"
            )
            CATALOG[cls.code] = cls

    @property
    def message(self) -> str:
        """The mistake in one line."""
        raise TypeError(type(self).__name__)

    @property
    def labels(self) -> tuple[Label, ...]:
        """Remarks at places; the first is the place of the mistake."""
        return ()

    @property
    def help(self) -> str | None:
        """The fix, or None where none is known."""
        return None

    @property
    def span(self) -> Span | None:
        """The place of the mistake; None for one that is in no source (a missing file)."""
        return self.labels[0].span if self.labels else None


class DlcError(Exception):
    """One or more mistakes of the user; `diagnostics` is never empty."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(_line(d) for d in self.diagnostics))

    @property
    def exit_code(self) -> int:
        """The process's exit code: the largest of its diagnostics."""
        return max(d.exit_code for d in self.diagnostics)


def fail(diagnostic: Diagnostic) -> DlcError:
    """The exception of one diagnostic: `raise fail(AxisUnknown(...))`."""
    return DlcError([diagnostic])


def _line(diagnostic: Diagnostic) -> str:
    place = f"{diagnostic.span}: " if diagnostic.span else ""
    fix = f" (help: {diagnostic.help})" if diagnostic.help else ""
    return f"{place}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}{fix}"
