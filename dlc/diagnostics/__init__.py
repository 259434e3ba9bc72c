"""Source places and everything a user can be told is wrong."""

from dlc.diagnostics.diagnostic import (
    CATALOG,
    Diagnostic,
    DlcError,
    Label,
    Severity,
    case,
    fail,
)
from dlc.diagnostics.render import render, to_json
from dlc.diagnostics.span import Source, Span

__all__ = [
    "CATALOG", "Diagnostic", "DlcError", "Label", "Severity", "Source", "Span", "case", "fail",
    "render", "to_json",
]  # fmt: skip
