"""The arrays and sizes given to a program: converted, checked, and its run-time sizes found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dlc.diagnostics import Diagnostic, DlcError, fail
from dlc.diagnostics.record import record
from dlc.diagnostics.runtime_checks import (
    IndexOutside,
    InputDType,
    InputMissing,
    InputRank,
    InputSize,
    InputUnknown,
    SizeMissing,
    SizesDisagree,
    SizeWrong,
)
from dlc.graph import INTEGERS, Axis, RangeCheck, Size, SizeCheck, TensorType
from dlc.ops import NUMPY_DTYPES
from dlc.ops.arrays import round_bf16

Array = np.ndarray[Any, Any]


@record
class Bound:
    """What a program runs on: an array of the declared dtype for each input, a number a size."""

    arrays: dict[str, Array]
    sizes: dict[str, int]


def bind_feeds(
    ports: Mapping[str, TensorType],
    symbols: Iterable[str],
    checks: Sequence[SizeCheck | RangeCheck],
    feeds: Mapping[str, Any],
    sizes: Mapping[str, int],
) -> Bound:
    """Converts and checks all feeds. Raises DlcError (E0710 to E0718) with every mistake."""
    problems: list[Diagnostic] = [
        InputUnknown(name, tuple(ports)) for name in feeds if name not in ports
    ]
    problems += [
        InputMissing(name, written(type), tuple(feeds))
        for name, type in ports.items()
        if name not in feeds
    ]
    if problems:
        raise DlcError(problems)
    arrays = {name: convert(name, type, feeds[name]) for name, type in ports.items()}
    known = _given(sizes, {*symbols, *_symbols(ports)})
    _infer(ports, arrays, known)
    missing = sorted({*symbols} - {*known})
    if missing:
        raise DlcError(SizeMissing(name) for name in missing)
    run_checks(checks, arrays, known)
    return Bound(arrays, known)


def convert(name: str, type: TensorType, value: Any) -> Array:
    """The array of an input in its dtype. Raises DlcError for a wrong rank or dtype."""
    array = np.asarray(value)
    if array.ndim != len(type.dims):
        raise fail(InputRank(name, written(type), array.shape))
    wanted = np.dtype(NUMPY_DTYPES[type.dtype])
    if array.dtype == wanted:
        return round_bf16(array) if type.dtype == "bf16" else array
    whole = array.dtype.kind in "iu" and type.dtype in INTEGERS
    if not whole and not np.can_cast(array.dtype, wanted, "same_kind"):
        raise fail(InputDType(name, type.dtype, str(array.dtype)))
    with np.errstate(all="ignore"):
        out = array.astype(wanted)
    if whole and not np.array_equal(out, array):
        lost = array[out != array].flat[0]
        reason = f"{lost} does not fit"
        raise fail(InputDType(name, type.dtype, str(array.dtype), reason))
    return round_bf16(out) if type.dtype == "bf16" else out


def written(type: TensorType) -> str:
    """A type as the language writes it: `u8[N, C=1]`."""
    dims = [a.name if str(n) == a.name else f"{a.name}={n}" for a, n in type.dims]
    return f"{type.dtype}[{', '.join(dims)}]" if dims else type.dtype


def _symbols(ports: Mapping[str, TensorType]) -> set[str]:
    return {s for type in ports.values() for size in type.sizes for s in size.symbols}


def _given(sizes: Mapping[str, int], symbols: set[str]) -> dict[str, int]:
    for name, value in sizes.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0
        if name not in symbols or not whole:
            raise fail(SizeWrong(name, str(value), tuple(sorted(symbols))))
    return {name: int(value) for name, value in sizes.items()}


def _infer(
    ports: Mapping[str, TensorType], arrays: Mapping[str, Array], known: dict[str, int]
) -> None:
    """Finds the run-time sizes in the shapes, simple ones first, then compares every size."""
    origin = dict.fromkeys(known, "as given")
    facts = [
        (name, axis, size, n)
        for name, type in ports.items()
        for (axis, size), n in zip(type.dims, arrays[name].shape, strict=True)
    ]
    for name, axis, size, n in sorted(facts, key=lambda f: len(f[2].terms)):
        found = _solve(size, n, known)
        if found is None:
            continue
        symbol, value = found
        if value < 0:
            raise fail(InputSize(name, axis.name, str(size), n))
        known[symbol] = value
        origin[symbol] = f"axis {axis.name} of {name}"
    for name, axis, size, n in facts:
        if size.symbols <= known.keys() and size.value(known) != n:
            raise fail(_wrong_size(name, axis, size, n, known, origin))


def _solve(size: Size, n: int, known: Mapping[str, int]) -> tuple[str, int] | None:
    """The one unknown symbol of an affine size and its value; None where there is not one."""
    open_size = size.substitute({s: Size.of(v) for s, v in known.items()})
    if len(open_size.symbols) != 1:
        return None
    (symbol,) = open_size.symbols
    slope = open_size - open_size.substitute({symbol: Size.of(0)})
    factor = slope.divide(Size.symbol(symbol))
    if factor is None or not factor.constant:
        return None
    rest = n - open_size.value({symbol: 0})
    return (symbol, rest // factor.constant) if rest % factor.constant == 0 else (symbol, -1)


def _wrong_size(
    name: str,
    axis: Axis,
    size: Size,
    n: int,
    known: Mapping[str, int],
    origin: Mapping[str, str],
) -> Diagnostic:
    value = size.value(known)
    text = str(value) if size.constant is not None else f"{size} = {value}"
    where = "; ".join(f"{s} is {known[s]} {_from(origin[s])}" for s in sorted(size.symbols))
    return InputSize(name, axis.name, text, n, where)


def _from(origin: str) -> str:
    return origin if origin == "as given" else f"from {origin}"


def run_checks(
    checks: Sequence[SizeCheck | RangeCheck], arrays: Mapping[str, Array], sizes: Mapping[str, int]
) -> None:
    """Runs the checks that were left to the entry of the program. Raises DlcError."""
    problems: list[Diagnostic] = []
    for check in checks:
        found = (
            _size_problem(check, sizes)
            if isinstance(check, SizeCheck)
            else _range_problem(check, arrays, sizes)
        )
        problems += [found] if found is not None else []
    if problems:
        raise DlcError(problems)


def _size_problem(check: SizeCheck, sizes: Mapping[str, int]) -> Diagnostic | None:
    left, right = check.left.value(sizes), check.right.value(sizes)
    match check.relation:
        case "==":
            holds = left == right
        case ">=":
            holds = left >= right
        case "divisible":
            holds = right != 0 and left % right == 0
    if holds:
        return None
    return SizesDisagree(
        check.message, str(check.left), check.relation, str(check.right), left, right, check.spans
    )


def _range_problem(
    check: RangeCheck, arrays: Mapping[str, Array], sizes: Mapping[str, int]
) -> Diagnostic | None:
    array, size = arrays[check.input], check.size.value(sizes)
    if not array.size or (array.min() >= 0 and array.max() < size):
        return None
    place = tuple(int(k) for k in np.argwhere((array < 0) | (array >= size))[0])
    return IndexOutside(
        check.input, str(check.axis), size, int(array[place]), place, check.spans
    )  # fmt: skip
