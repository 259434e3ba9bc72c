"""`window` and `unwindow`: sliding windows over axes, and their adjoint."""

from __future__ import annotations

from dlc.diagnostics import Span
from dlc.diagnostics.axes import SizeUnknown, WindowTooLarge
from dlc.diagnostics.calls import NotAWindow
from dlc.diagnostics.types import WrongKind
from dlc.graph import Axis, Size
from dlc.semantics.axes import each
from dlc.semantics.builtins.reading import Read, read
from dlc.semantics.builtins.views import distinct, fill_value, pair
from dlc.semantics.calls import Arguments
from dlc.semantics.indexing import at_least, require_axis
from dlc.semantics.machine import Machine
from dlc.semantics.origins import size_note
from dlc.semantics.scope import Frame, Mistake
from dlc.semantics.sizes import as_int, size_of_axis
from dlc.semantics.values import Arrow, Value

WINDOW = "`window(x, Y -> (Y, KY=3))`"
UNWINDOW = "`unwindow(x, (Y, KY) -> Y)`"


def window(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`window(x, over -> (over, Tap), stride=1, dilation=1, pad=0, value=0)`."""
    optional = ["stride", "dilation", "pad", "value"]
    given = read(frame, "window", args, span, ["x"], optional, arrows=1)
    x, arrow = given.tensor("x"), given.arrow(WINDOW)
    axes, n = arrow.source.items, len(arrow.source.items)
    taps = arrow.target.items[n:]
    if arrow.target.items[:n] != axes or len(taps) != n:
        raise Mistake(NotAWindow(place=arrow.target_span, what="window", form=WINDOW))
    for axis in axes:
        require_axis(x, axis, arrow.source_span, "the tensor in window")
    distinct([*x.type.axes, *taps], "the result of window", span)
    value = fill_value(frame, given, x)
    strides, dilations = steps(frame, given, "stride", n), steps(frame, given, "dilation", n)
    pads = _pads(given, n)
    for k, (axis, tap) in enumerate(zip(axes, taps, strict=True)):
        size = _tap_size(frame, arrow, n + k)
        reach = (size - 1) * dilations[k] + 1
        before, after = _pad(frame, pads[k], reach - 1, given.place("pad"))
        have = x.type.size(axis)
        message = f"a window fits axis {axis.name}"
        if not at_least(frame, have + before + after, reach, span, message):
            notes = size_note(x.node, axis, machine.axis_places)
            shown = str(have) if before == after == Size() else f"{have} with its padding"
            raise Mistake(
                WindowTooLarge(
                    place=span, axis=frame.shown(axis), size=shown, reach=str(reach), notes=notes
                )
            )
        x = frame.tensor(
            "window", (x.node,), span, axis=axis, tap=tap, size=size, stride=strides[k],
            dilation=dilations[k], before=before, after=after, value=value,
        )  # fmt: skip
    return x


def unwindow(machine: Machine, frame: Frame, args: Arguments, span: Span) -> Value:
    """`unwindow(x, (over, Tap) -> over, stride=1, dilation=1, pad=0, extra=0)`."""
    optional = ["stride", "dilation", "pad", "extra"]
    given = read(frame, "unwindow", args, span, ["x"], optional, arrows=1)
    x, arrow = given.tensor("x"), given.arrow(UNWINDOW)
    axes, n = arrow.target.items, len(arrow.target.items)
    taps = arrow.source.items[n:]
    if arrow.source.items[:n] != axes or len(taps) != n:
        raise Mistake(NotAWindow(place=arrow.source_span, what="unwindow", form=UNWINDOW))
    for axis in arrow.source.items:
        require_axis(x, axis, arrow.source_span, "the tensor in unwindow")
    strides, dilations = steps(frame, given, "stride", n), steps(frame, given, "dilation", n)
    extras = steps(frame, given, "extra", n, least=0, default=0)
    pads = _pads(given, n)
    for k, (axis, tap) in enumerate(zip(axes, taps, strict=True)):
        if isinstance(pads[k], str):
            raise Mistake(_no_same(given, x.type.size(tap), dilations[k], strides[k]))
        before, after = pair(frame, pads[k], given.place("pad"))
        if extras[k] >= strides[k]:
            wanted = f"less than its stride {strides[k]}"
            place, got = given.place("extra"), str(extras[k])
            raise Mistake(WrongKind(place=place, what="extra", wanted=wanted, got=got))
        reach = (x.type.size(tap) - 1) * dilations[k] + 1
        full = (x.type.size(axis) - 1) * strides[k] + reach + extras[k]
        message = f"the padding of axis {axis.name} leaves something"
        if not at_least(frame, full - before - after, Size.of(1), span, message):
            notes = size_note(x.node, axis, machine.axis_places)
            raise Mistake(
                WindowTooLarge(
                    place=span, axis=frame.shown(axis), size=str(full),
                    reach=str(before + after + 1), notes=notes,
                )
            )  # fmt: skip
        x = frame.tensor(
            "unwindow", (x.node,), span, axis=axis, tap=tap, size=full - before - after,
            stride=strides[k], dilation=dilations[k], before=before, after=after,
        )  # fmt: skip
    return x


def steps(
    frame: Frame, given: Read, name: str, n: int, *, least: int = 1, default: int = 1
) -> list[int]:
    """`stride`, `dilation` or `extra`: one whole number for each axis."""
    span, out = given.place(name), []
    for value in each(given.get(name, default), n, span, name):
        number = as_int(frame, value, span, name)
        if number < least:
            wanted = f"at least {least}"
            raise Mistake(WrongKind(place=span, what=name, wanted=wanted, got=str(number)))
        out.append(number)
    return out


def _pads(given: Read, n: int) -> list[Value]:
    """One pad for each axis; for a single axis a pair of numbers is (before, after)."""
    value = given.get("pad", 0)
    paired = isinstance(value, (tuple, list)) and len(value) == 2
    if n == 1 and paired and not any(isinstance(v, (tuple, list)) for v in value):
        return [value]
    return each(value, n, given.place("pad"), "pad")


def _pad(frame: Frame, value: Value, around: Size, span: Span) -> tuple[Size, Size]:
    if isinstance(value, str):
        if value != "same":
            wanted, got = 'a number, (before, after) or "same"', f'"{value}"'
            raise Mistake(WrongKind(place=span, what="pad", wanted=wanted, got=got))
        before = around // 2
        return before, around - before
    return pair(frame, value, span)


def _no_same(given: Read, taps: Size, dilation: int, stride: int) -> WrongKind:
    """The case of `pad="same"` where windows are summed: with a stride, several sizes are."""
    surplus = ((taps - 1) * dilation + 1 - stride).constant
    extra = surplus % 2 if surplus and stride > 1 else 0
    hint = None
    if surplus is not None and surplus >= 0 and (surplus + extra) % 2 == 0:
        goal = f"for {stride} times the size" if stride > 1 else "to keep the size"
        hint = f"{goal}, write `pad={(surplus + extra) // 2}{f', extra={extra}' if extra else ''}`"
    place, got = given.place("pad"), f'"{given.get("pad")}"'
    wanted = "a number or (before, after)"
    return WrongKind(place=place, what="pad", wanted=wanted, got=got, hint=hint)


def _tap_size(frame: Frame, arrow: Arrow, k: int) -> Size:
    size = arrow.sizes[k]
    axis: Axis = arrow.target.items[k]
    size = size if size is not None else size_of_axis(frame, axis, arrow.target_span)
    if size.constant is None:
        hint = "the size of a window is known while compiling"
        raise Mistake(SizeUnknown(place=arrow.target_span, axis=axis.name, hint=hint))
    return size
