"""How a function of the kernel language is defined: a typing rule and a body that emits LLVM IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from dlc.codegen.machine import Machine
from dlc.codegen.vector.emit import Emit, Value
from dlc.codegen.vector.types import Element, VectorType, vector_type

Body = Callable[[Emit, Sequence[Value]], "Value | None"]
"""Emits the code of a call from the values of its arguments; None where nothing is returned."""
Rule = Callable[[Machine, Sequence[Any]], "Call | None"]
"""From the Numba types of the arguments to the call they make; None where they fit none."""
INT = types.int64
VOID = types.void


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what the arguments are converted to, what it returns, its code."""

    result: Any
    parameters: tuple[Any, ...]
    body: Body


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the kernel language, before a machine is chosen."""

    name: str
    arity: int
    rule: Rule
    literal: bool = False
    """Whether the rule sees the values of literal arguments."""


def fixed(name: str, result: object, parameters: Sequence[object], body: Body) -> Function:
    """A function of one signature: Numba types, or elements for vectors of them."""

    def rule(machine: Machine, _: Sequence[Any]) -> Call:
        kinds = tuple(_resolve(machine, p) for p in parameters)
        return Call(_resolve(machine, result), kinds, body)

    return Function(name, len(parameters), rule)


def elementwise(
    name: str, arity: int, bodies: dict[Element, Body], result: Element | None = None
) -> Function:
    """A function of `arity` vectors of one type, with a body for each element type it takes.

    The result has the type of the operands, or elements `result`.
    """

    def rule(machine: Machine, arguments: Sequence[Any]) -> Call | None:
        first = arguments[0]
        if not isinstance(first, VectorType) or any(a != first for a in arguments):
            return None
        if first.element not in bodies:
            return None
        kind = first if result is None else vector_type(result, machine.lanes)
        return Call(kind, tuple(arguments), bodies[first.element])

    return Function(name, arity, rule)


def build(function: Function, machine: Machine) -> object:
    """The Numba intrinsic of a function for one machine."""

    def typing(_context: Any, *arguments: Any) -> Any:
        call = function.rule(machine, arguments)
        if call is None:
            return None

        def generate(context: Any, builder: Any, _signature: Any, values: Sequence[Value]) -> Value:
            value = call.body(Emit(builder, machine), values)
            return context.get_dummy_value() if value is None else value

        return call.result(*call.parameters), generate

    definition = _ARITIES[function.arity](typing)
    definition.__name__ = definition.__qualname__ = function.name
    if function.literal:
        return intrinsic(prefer_literal=True)(definition)
    return intrinsic(definition)


# Numba asks for functions with the right number of parameters.
_ARITIES: dict[int, Callable[[Callable[..., Any]], Any]] = {
    0: lambda f: lambda c: f(c),
    1: lambda f: lambda c, x: f(c, x),
    2: lambda f: lambda c, x, y: f(c, x, y),
    3: lambda f: lambda c, x, y, z: f(c, x, y, z),
    4: lambda f: lambda c, x, y, z, u: f(c, x, y, z, u),
    5: lambda f: lambda c, x, y, z, u, v: f(c, x, y, z, u, v),
    6: lambda f: lambda c, x, y, z, u, v, w: f(c, x, y, z, u, v, w),
}


def _resolve(machine: Machine, kind: Any) -> Any:
    return vector_type(kind, machine.lanes) if isinstance(kind, str) else kind
