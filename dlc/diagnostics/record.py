"""Immutable records that cost almost nothing to declare, for packages with very many of them.

`@record` reads like `@dataclass(frozen=True, slots=True)`, and type checkers take it for that. A
dataclass compiles the text of its methods when it is declared, a millisecond each: too much for
`dlc check`, which loads hundreds and meets few. Records share their methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, field
from typing import Any, ClassVar, TypeVar, dataclass_transform, overload

_Class = TypeVar("_Class", bound=type)
_Record = TypeVar("_Record")
_set = object.__setattr__


@overload
def record(kind: _Class) -> _Class: ...
@overload
def record(*, kw_only: bool = False) -> Callable[[_Class], _Class]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(kind: Any = None, *, kw_only: bool = False) -> Any:
    """Makes a class of annotated names a frozen, slotted record compared by content.

    A field may be given as `field(kw_only=True, compare=False)` or have a plain default.
    """
    return (lambda kind: _made(kind, kw_only)) if kind is None else _made(kind, kw_only)


def _made(kind: Any, kw_only: bool) -> Any:
    contents = dict(kind.__dict__)
    annotations = contents.get("__annotations__", {})
    own = [name for name, kind_of in annotations.items() if not kind_of.startswith("ClassVar")]
    fields = _inherited(kind)
    for name in own:
        given = contents.pop(name, MISSING)
        own_field = given if isinstance(given, Field) else field(default=given)
        own_field.kw_only = kw_only or own_field.kw_only is True
        fields[name] = own_field
    for name in ("__dict__", "__weakref__"):
        contents.pop(name, None)
    contents["_fields"] = fields
    contents["_positional"] = tuple(n for n, f in fields.items() if not f.kw_only)
    contents["_compared"] = tuple(n for n, f in fields.items() if f.compare)
    contents["__match_args__"] = contents["_positional"]
    contents["__slots__"] = tuple(own)
    for method in _METHODS:
        contents.setdefault(method.__name__, method)
    made: Any = type(kind)(kind.__name__, kind.__bases__, contents)
    made.__qualname__ = kind.__qualname__
    made._setters = {name: getattr(made, name).__set__ for name in fields}
    made._puts = tuple([made._setters[name] for name in made._positional])
    return made


def names_of(kind: type) -> tuple[str, ...]:
    """The names of a record's fields, those of its bases first."""
    return tuple(kind.__dict__["_fields"])


def replaced(value: _Record, **changes: object) -> _Record:
    """The record with other values in some fields."""
    known = {name: value.__getattribute__(name) for name in names_of(type(value))}
    make: Callable[..., _Record] = type(value)
    return make(**{**known, **changes})


def _inherited(kind: type) -> dict[str, Field[Any]]:
    found: dict[str, Field[Any]] = {}
    for base in reversed(kind.__mro__[1:]):
        found.update(base.__dict__.get("_fields", {}))
    return found


def _fill(value: Any, kind: Any, given: set[str]) -> None:
    for name, entry in kind._fields.items():
        if name not in given:
            if entry.default is not MISSING:
                _set(value, name, entry.default)
            elif entry.default_factory is not MISSING:
                _set(value, name, entry.default_factory())
            else:
                raise TypeError(f"{kind.__name__} needs {name}")


def contents_of(value: Any) -> tuple[Any, ...]:
    """The values of those fields of a record by which it is compared."""
    return tuple(value.__getattribute__(name) for name in type(value)._compared)


class _Shared:
    """The methods of all records, and what they know of their class."""

    _fields: ClassVar[dict[str, Field[Any]]]
    _positional: ClassVar[tuple[str, ...]]
    _compared: ClassVar[tuple[str, ...]]
    _setters: ClassVar[dict[str, Callable[..., None]]]
    _puts: ClassVar[tuple[Callable[..., None], ...]]
    """The setters of the positional fields, in order."""

    def __init__(self, *values: object, **named: object) -> None:
        kind = type(self)
        positional = kind._positional
        if len(values) > len(positional):
            raise TypeError(f"{kind.__name__} takes {len(positional)} values, not {len(values)}")
        for put, value in zip(kind._puts, values, strict=False):
            put(self, value)
        if named:
            setters = kind._setters
            for name, value in named.items():
                setters[name](self, value)
        if len(values) + len(named) != len(kind._fields):
            _fill(self, kind, {*positional[: len(values)], *named})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or contents_of(self) == contents_of(other)

    def __hash__(self) -> int:
        return hash((type(self), contents_of(self)))

    def __repr__(self) -> str:
        kind = type(self)
        shown = (f"{n}={getattr(self, n)!r}" for n, f in kind._fields.items() if f.repr)
        return f"{kind.__name__}({', '.join(shown)})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__getattribute__(name) for name in type(self)._fields}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            _set(self, name, value)


_METHODS: list[Any] = [m for m in vars(_Shared).values() if callable(m)]
