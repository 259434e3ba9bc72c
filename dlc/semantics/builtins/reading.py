"""Reading the arguments of a function of the compiler."""

from __future__ import annotations

from collections.abc import Sequence

from dlc.diagnostics import Span
from dlc.diagnostics.calls import (
    ArgumentTwice,
    MissingArgument,
    NotAWindow,
    TooManyArguments,
    UnknownParameter,
)
from dlc.diagnostics.placed import listed, similar
from dlc.diagnostics.record import record
from dlc.diagnostics.types import WrongKind
from dlc.graph import Axis
from dlc.semantics.axes import need_axes, need_axis
from dlc.semantics.calls import Arguments
from dlc.semantics.elementwise import to_node
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import numeric
from dlc.semantics.values import Arrow, Axes, Tensor, Value, describe, is_number


@record
class Read:
    """Arguments by name, for one call."""

    frame: Frame
    callee: str
    span: Span
    values: dict[str, tuple[Value, Span]]
    arrows: tuple[Arrow, ...]

    def has(self, name: str) -> bool:
        """Whether the call gives it."""
        return name in self.values

    def get(self, name: str, default: Value = None) -> Value:
        """Its value, or the default."""
        return self.values[name][0] if name in self.values else default

    def place(self, name: str) -> Span:
        """Its place; that of the call for a default."""
        return self.values[name][1] if name in self.values else self.span

    def tensor(self, name: str) -> Tensor:
        """Its value as a tensor; a number becomes a scalar."""
        value = numeric(self.frame, self.values[name][0], self.place(name))
        if isinstance(value, Tensor):
            return value
        if is_number(value) or isinstance(value, bool):
            dtype = "bool" if isinstance(value, bool) else "f32"
            if is_number(value) and not isinstance(value, float):
                dtype = "i32"
            return Tensor(to_node(self.frame, value, dtype, self.place(name)))  # type: ignore[arg-type]
        what = f"{name} of {self.callee}"
        raise Mistake(
            WrongKind(place=self.place(name), what=what, wanted="a tensor", got=describe(value))
        )

    def axes(self, name: str) -> Axes:
        """Its value as axes."""
        return need_axes(self.get(name), self.place(name), f"{name} of {self.callee}")

    def axis(self, name: str) -> Axis:
        """Its value as one axis."""
        return need_axis(self.get(name), self.place(name), f"{name} of {self.callee}")

    def arrow(self, form: str) -> Arrow:
        """Its only arrow; `form` shows how the call is written."""
        if len(self.arrows) != 1:
            raise Mistake(NotAWindow(place=self.span, what=self.callee, form=form))
        return self.arrows[0]


def read(
    frame: Frame,
    callee: str,
    args: Arguments,
    span: Span,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    free: bool = False,
    arrows: int = 0,
) -> Read:
    """Bind arguments. With `free`, other names are left over for the caller (axes)."""
    names = [*required, *optional]
    if len(args.positional) > len(names):
        place = args.positional[len(names)][1]
        got = len(args.positional)
        hint = f"it takes {listed(names)}" if names else None
        raise Mistake(
            TooManyArguments(place=place, callee=callee, takes=len(names), got=got, hint=hint)
        )
    if len(args.arrows) > arrows:
        place = args.arrows[arrows].source_span
        raise Mistake(
            TooManyArguments(place=place, callee=callee, takes=arrows, got=len(args.arrows))
        )
    values = dict(zip(names, args.positional, strict=False))
    for name, value in args.named.items():
        if name not in names and not free:
            near = similar(name, names)
            hint = f"did you mean {near}?" if near else f"it takes {listed(names)}"
            place = args.names.get(name, value[1])
            raise Mistake(UnknownParameter(place=place, callee=callee, name=name, hint=hint))
        if name in values:
            raise Mistake(ArgumentTwice(place=value[1], callee=callee, name=name))
        values[name] = value
    for name in required:
        if name not in values:
            hint = f"it takes {listed(names)}"
            raise Mistake(MissingArgument(place=span, callee=callee, name=name, hint=hint))
    return Read(frame, callee, span, values, args.arrows)
