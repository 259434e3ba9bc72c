"""What the checker's cases share: a place, remarks at other places, and a fix found on the spot."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar

from dlc.diagnostics.diagnostic import Diagnostic, Label, case
from dlc.diagnostics.record import replaced
from dlc.diagnostics.span import Span

P = TypeVar("P", bound="Placed")


@case(kw_only=True)
class Placed(Diagnostic):
    """A case with one primary place; `notes` show the other facts where they came from."""

    place: Span
    remark: str = ""
    notes: tuple[Label, ...] = ()
    hint: str | None = None

    @property
    def labels(self) -> tuple[Label, ...]:
        """The primary place, then the notes."""
        return (Label(self.place, self.remark), *self.notes)

    @property
    def help(self) -> str | None:
        """The fix that was found for this very mistake."""
        return self.hint


def moved(case: P, place: Span, remark: str, where: str) -> P:
    """The case shown at `place`; its old place becomes a note after `where`."""
    text = f"{where}: {case.remark}" if case.remark else where
    return replaced(case, place=place, remark=remark, notes=(Label(case.place, text), *case.notes))


def noted(case: P, span: Span, text: str) -> P:
    """The case with one more remark."""
    return replaced(case, notes=(*case.notes, Label(span, text)))


def similar(name: str, known: Iterable[str]) -> str | None:
    """The known name nearest to a misspelt one, or None."""
    names = [k for k in dict.fromkeys(known) if k != name]
    lowered = {k.lower(): k for k in reversed(names)}
    if name.lower() in lowered:
        return lowered[name.lower()]
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.7 if len(name) > 3 else 0.6)
    return found[0] if found else None


def counted(number: int, one: str, several: str) -> str:
    """A number of things: `1 axis`, `2 axes`."""
    return f"{number:,} {one if number == 1 else several}"


def listed(names: Iterable[object], empty: str = "none") -> str:
    """Names joined for a message: `A, B and C`."""
    words = [str(n) for n in names]
    if len(words) < 2:
        return words[0] if words else empty
    return f"{', '.join(words[:-1])} and {words[-1]}"
