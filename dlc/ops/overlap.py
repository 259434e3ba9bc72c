"""Sliding windows over an axis and their adjoint, overlap-add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlc.graph import Axis, Node, Size, TensorType
from dlc.ops import build as b
from dlc.ops.arrays import permuted, shape_of, stored, working
from dlc.ops.late import Late
from dlc.ops.op import Array, Attrs, Backward, Index, Op, Read, Sample, TypeRuleError, ViewCode
from dlc.ops.rules import NUMBERS, count, not_negative, number, one_dtype, size_of, tensor
from dlc.ops.samples import K, Y, floats

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")

Arrays = Sequence[Array]
Types = Sequence[TensorType]


def windows(
    n: Size, size: Size, stride: int, dilation: int, before: Size | int, after: Size | int
) -> Size:
    """How many windows an axis of `n` has."""
    return (n + before + after - (size - 1) * dilation - 1) // stride + 1


def _steps(attrs: Attrs) -> tuple[int, int]:
    stride, dilation = attrs["stride"], attrs["dilation"]
    if stride < 1 or dilation < 1:
        raise TypeRuleError("the stride and the dilation of a window are at least 1", attrs["axis"])
    return stride, dilation


def _window_type(types: Types, attrs: Attrs) -> TensorType:
    count("window", types, 1)
    axis, tap, size = attrs["axis"], attrs["tap"], Size.of(attrs["size"])
    n = size_of("window", types[0], axis)
    many = windows(n, size, *_steps(attrs), attrs["before"], attrs["after"])
    not_negative(axis, many, "a window larger than its padded axis:")
    dims: list[tuple[Axis, Size]] = []
    for a, m in types[0].dims:
        dims += [(a, many), (tap, size)] if a == axis else [(a, m)]
    return tensor(types[0].dtype, dims)


def _window(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    place = types[0].axes.index(attrs["axis"])
    n = arrays[0].shape[place]
    many, taps = shape_of(result)[place : place + 2]
    at = np.arange(many)[:, None] * attrs["stride"] + np.arange(taps) * attrs["dilation"]
    at = at - number(attrs["before"])
    inside = (at >= 0) & (at < n)
    value = stored(attrs["value"], result.dtype)
    if not n:
        return np.full(shape_of(result), value)
    taken = np.take(arrays[0], np.clip(at, 0, n - 1), axis=place)
    if inside.all():
        return np.asarray(taken)
    shaped = inside.reshape([1] * place + [many, taps] + [1] * (arrays[0].ndim - place - 1))
    return np.asarray(np.where(shaped, taken, value).astype(taken.dtype))


def _window_reads(attrs: Attrs, types: Types, out: TensorType, at: Index) -> tuple[Read, ...]:
    axis, before = attrs["axis"], number(attrs["before"])
    along = at[axis] if attrs["stride"] == 1 else at[axis] * attrs["stride"]
    tap = at[attrs["tap"]] if attrs["dilation"] == 1 else at[attrs["tap"]] * attrs["dilation"]
    place = along + tap
    if before != 0:
        place = place + number(-Size.of(attrs["before"]))
    index = {**{a: at[a] for a in types[0].axes}, axis: place}
    padded = before != 0 or number(attrs["after"]) != 0
    return (Read(0, index, ((place, types[0].size(axis)),) if padded else ()),)


def _window_gradient(r: Backward) -> tuple[Node, ...]:
    a = r.attrs
    x = r.args[0].type
    back = b.unwindow(
        r.cotangent, a["axis"], a["tap"], x.size(a["axis"]), stride=a["stride"],
        dilation=a["dilation"], before=a["before"], after=a["after"],
    )  # fmt: skip
    return (b.to_type(back, x),)


_CASES = (
    # n, size, stride, dilation, before, after
    (7, 3, 1, 1, 0, 0),
    (7, 3, 1, 1, 1, 1),
    (8, 2, 2, 1, 0, 0),
    (7, 3, 2, 1, 1, 0),
    (9, 3, 2, 2, 2, 3),
    (7, 2, 3, 1, 0, 0),
    (5, 1, 1, 1, 0, 0),
    (3, 5, 1, 1, 2, 2),
)


def _attrs(case: Sequence[int]) -> dict[str, object]:
    _, size, stride, dilation, before, after = case
    return {
        "axis": Y, "tap": K, "size": Size.of(size), "stride": stride, "dilation": dilation,
        "before": Size.of(before), "after": Size.of(after),
    }  # fmt: skip


window = Op(
    name="window",
    doc="Sliding windows: result[axis=o, tap=k] = x[axis=o * stride + k * dilation - before], a"
    " value outside; the tap axis stands right after the axis.",
    kind="view",
    type=_window_type,
    meaning=_window,
    gradient=_window_gradient,
    code=ViewCode(_window_reads),
    samples=(
        *(Sample((floats(N=2, Y=c[0], C=3),), {**_attrs(c), "value": 0}) for c in _CASES),
        Sample((floats(Y=7),), {**_attrs((7, 3, 1, 1, 1, 1)), "value": 0.5}),
    ),
)


def _unwindow_type(types: Types, attrs: Attrs) -> TensorType:
    count("unwindow", types, 1)
    one_dtype("unwindow", types, NUMBERS)
    axis, tap, size = attrs["axis"], attrs["tap"], Size.of(attrs["size"])
    _steps(attrs)
    for needed in (axis, tap):
        size_of("unwindow", types[0], needed)
    not_negative(axis, size, "the result of unwindow:")
    kept = types[0].without((tap,))
    return tensor(kept.dtype, ((a, size if a == axis else n) for a, n in kept.dims))


def _unwindow(arrays: Arrays, types: Types, result: TensorType, attrs: Attrs) -> Array:
    axis, tap = attrs["axis"], attrs["tap"]
    rest = [a for a in result.axes if a != axis]
    x = permuted(working(arrays[0], types[0].dtype), types[0].axes, [axis, tap, *rest])
    size = shape_of(result)[result.axes.index(axis)]
    out = np.zeros((size, *x.shape[2:]), x.dtype)
    with np.errstate(all="ignore"):
        for k in range(x.shape[1]):
            at = np.arange(x.shape[0]) * attrs["stride"] + k * attrs["dilation"]
            at = at - number(attrs["before"])
            inside = (at >= 0) & (at < size)
            out[at[inside]] += x[inside, k]
    return stored(permuted(out, [axis, *rest], result.axes), result.dtype)


def _unwindow_gradient(r: Backward) -> tuple[Node, ...]:
    """The windows of the cotangent, as many as there were."""
    a, x, g = r.attrs, r.args[0].type, r.cotangent
    axis, taps = a["axis"], x.size(a["tap"])
    many, size, before = x.size(axis), Size.of(a["size"]), Size.of(a["before"])
    after = Size.of(a["after"])
    if windows(size, taps, a["stride"], a["dilation"], before, after).compare(many) != "equal":
        reach = (many - 1) * a["stride"] + (taps - 1) * a["dilation"] + 1
        after = reach - size - before
        missing = after.constant
        if missing is not None and missing < 0:
            size, after = size + after, Size()
            g = b.slice(g, axis, size=size)
    out = b.window(
        g, axis, a["tap"], taps, stride=a["stride"], dilation=a["dilation"], before=before,
        after=after,
    )  # fmt: skip
    return (b.to_type(out, x),)


def _unwindow_sample(case: Sequence[int], extra: int = 0) -> Sample:
    n, size, stride, dilation, before, after = case
    many = windows(Size.of(n), Size.of(size), stride, dilation, before, after).constant
    assert many is not None
    attrs = {**_attrs(case), "size": Size.of(n + extra)}
    return Sample((floats(N=2, Y=many, K=size, C=3),), attrs)


unwindow = Op(
    name="unwindow",
    doc="The adjoint of window, overlap-add: result[axis=j] is the sum of x[axis=o, tap=k] with"
    " o * stride + k * dilation - before = j, taps in order.",
    kind="reduce",
    type=_unwindow_type,
    meaning=_unwindow,
    gradient=_unwindow_gradient,
    code=None,
    samples=(
        *(_unwindow_sample(c) for c in _CASES),
        _unwindow_sample((7, 3, 1, 1, 1, 1), extra=3),
        _unwindow_sample((7, 3, 2, 1, 1, 0), extra=-1),
    ),
)
