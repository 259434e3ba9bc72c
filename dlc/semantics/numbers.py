"""Arithmetic on numbers and sizes that are known while compiling."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from dlc.diagnostics import Span
from dlc.diagnostics.limits import TooLarge
from dlc.diagnostics.types import NumberError
from dlc.graph import Size
from dlc.semantics.scope import Mistake
from dlc.semantics.values import HyperFloat, Ratio, Value

LARGEST = 2**63


class AtRunTime(Exception):
    """The operation has no value while compiling: it must become part of the graph."""


def calculate(op: str, values: tuple[Value, ...], span: Span) -> Value:
    """The result of an op of the graph (`add`, `sqrt`) on numbers and sizes.

    Raises AtRunTime where run-time sizes make it a computation, Mistake where there is no result.
    """
    if any(isinstance(v, (Size, Ratio)) for v in values):
        return _sizes(op, values)
    plain = tuple(float(v) if isinstance(v, HyperFloat) else v for v in values)
    try:
        result = NUMBERS[op](*plain)
    except ZeroDivisionError:
        raise Mistake(NumberError(place=span, what="a division by zero")) from None
    except OverflowError:
        raise Mistake(TooLarge(place=span, what="a number this large", limit="64 bits")) from None
    except (ValueError, TypeError):
        shown = ", ".join(f"{v:g}" for v in plain)
        raise Mistake(NumberError(place=span, what=f"{op} of {shown} has no value")) from None
    if isinstance(result, complex):
        raise Mistake(NumberError(place=span, what="a root of a negative number"))
    if isinstance(result, int) and abs(result) >= LARGEST:
        raise Mistake(TooLarge(place=span, what="a number this large", limit="64 bits"))
    if isinstance(result, float) and any(isinstance(v, HyperFloat) for v in values):
        return HyperFloat(result, (op, values))
    return result


def _sizes(op: str, values: tuple[Value, ...]) -> Value:
    if not all(isinstance(v, (int, Size)) for v in values):
        raise AtRunTime
    if op in SIZE_COMPARE:
        return _compare(op, Size.of(values[0]), Size.of(values[1]))
    if op == "pow" and isinstance(values[1], int) and 0 <= values[1] <= 8:
        return math.prod([values[0]] * values[1], start=Size.of(1))
    rule = SIZES.get(op)
    if rule is None:
        raise AtRunTime
    result = rule(*(Size.of(v) for v in values))
    known = result.constant if isinstance(result, Size) else None
    return result if known is None else known


def _compare(op: str, a: Size, b: Size) -> bool:
    verdict = a.compare(b)
    if op in ("eq", "ne"):
        if verdict == "unknown":
            raise AtRunTime
        return (verdict == "equal") == (op == "eq")
    more, less = {
        "lt": (b.at_least(a + 1), a.at_least(b)), "le": (b.at_least(a), a.at_least(b + 1)),
        "gt": (a.at_least(b + 1), b.at_least(a)), "ge": (a.at_least(b), b.at_least(a + 1)),
    }[op]  # fmt: skip
    if not more and not less:
        raise AtRunTime
    return more


def _divide(a: Size, b: Size) -> Size | Ratio | float:
    exact = a.divide(b)
    return exact if exact is not None else Ratio(a, b)


def _power(a: float, b: float) -> Any:
    bits = abs(b) * math.log2(abs(a)) if isinstance(a, int) and isinstance(b, int) and a else 0
    if bits > 64:
        raise OverflowError
    return a**b


SIZES: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": operator.floordiv,
    "mod": operator.mod, "neg": operator.neg, "div": _divide,
}  # fmt: skip
SIZE_COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")


def _extended(f: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: x if math.isinf(x) else f(x)


NUMBERS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": _power, "neg": operator.neg,
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le,
    "gt": operator.gt, "ge": operator.ge, "maximum": max, "minimum": min,
    "exp": math.exp, "log": math.log, "log1p": math.log1p, "expm1": math.expm1,
    "sqrt": math.sqrt, "rsqrt": lambda x: 1 / math.sqrt(x), "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0), "floor": _extended(math.floor),
    "ceil": _extended(math.ceil), "round": _extended(round), "sin": math.sin, "cos": math.cos,
    "tan": math.tan, "tanh": math.tanh, "erf": math.erf,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)),
    "softplus": lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))),
}  # fmt: skip
