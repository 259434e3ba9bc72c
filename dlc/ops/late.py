"""A module that is imported when it is first used: checking a program needs no NumPy, a program
that was compiled before no compiler."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from dlc.graph import Attr


class Late:
    """Stands for a module by name, for `np = Late("numpy")` beside the import of type checkers."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self._module), name)
        setattr(self, name, value)
        return value


class LateAttrs(Mapping[str, Attr]):
    """Attributes that hold arrays, made when they are first read."""

    def __init__(self, make: Callable[[], Mapping[str, Attr]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Mapping[str, Attr]:
        return self._make()

    def __getitem__(self, name: str) -> Attr:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)
