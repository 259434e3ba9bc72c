"""The functions of the compiler, by name, each with its checking."""

from __future__ import annotations

from collections.abc import Callable

from dlc.diagnostics import Span
from dlc.semantics.builtins import other, reductions, views, windows
from dlc.semantics.builtins.reading import read
from dlc.semantics.calls import Arguments
from dlc.semantics.elementwise import apply, where
from dlc.semantics.machine import Machine
from dlc.semantics.scope import Frame
from dlc.semantics.values import Builtin, Draw, Value

Run = Callable[[Machine, Frame, Arguments, Span], Value]
ELEMENTWISE = (
    "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "abs", "sign", "floor", "ceil", "round",
    "sin", "cos", "tan", "tanh", "sigmoid", "softplus", "erf",
)  # fmt: skip


def _unary(name: str) -> Run:
    def run(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
        given = read(frame, name, args, span, ["x"])
        return apply(frame, name, (given.get("x"),), span)

    return run


def _binary(name: str) -> Run:
    def run(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
        given = read(frame, name, args, span, ["a", "b"])
        return apply(frame, name, (given.get("a"), given.get("b")), span)

    return run


def _where(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    given = read(frame, "where", args, span, ["condition", "a", "b"])
    return where(frame, (given.get("condition"), given.get("a"), given.get("b")), span)


FUNCTIONS: dict[str, Run] = {
    **{name: _unary(name) for name in ELEMENTWISE},
    **{name: _binary(name) for name in ("maximum", "minimum")},
    **{k: reductions.reduction(k, rule) for k, rule in reductions.REDUCTIONS.items()},
    "where": _where, "dot": reductions.dot, "argsort": reductions.argsort,
    "rename": views.rename, "split": views.split, "merge": views.merge, "flip": views.flip,
    "pad": views.pad, "concat": views.concat, "stack": views.stack, "window": windows.window,
    "unwindow": windows.unwindow, "index": other.index, "size": other.size_, "cast": other.cast,
    "stop_gradient": other.stop_gradient, "grad": other.grad, "scatter": other.scatter,
    "constant": other.constant, "range": other.range_, "len": other.len_,
    "bernoulli": other.bernoulli, "inference": other.inference, "prod": other.later("prod"),
    "cumsum": other.later("cumsum"),
}  # fmt: skip

BUILTINS: dict[str, Value] = {
    **{name: Builtin(name, run) for name, run in FUNCTIONS.items()},
    "normal": Draw("normal"),
    "uniform": Draw("uniform"),
}
