"""All names that kernel text may use, for one machine."""

from __future__ import annotations

import math
from functools import lru_cache

from dlc.codegen.machine import Machine
from dlc.codegen.vector import arithmetic, casts, elementary, memory, random, scalars, trigonometry
from dlc.codegen.vector.define import Function, build


def functions() -> list[Function]:
    """Every function of the kernel language."""
    modules = (memory, arithmetic, elementary, trigonometry, casts, random, scalars)
    return [function for module in modules for function in module.functions()]


@lru_cache(maxsize=8)
def _table(machine: Machine) -> dict[str, object]:
    found = functions()
    names = [f.name for f in found]
    assert len(set(names)) == len(names), "a function of the kernel language is defined twice"
    return {f.name: build(f, machine) for f in found} | {"inf": math.inf, "nan": math.nan}


def namespace(machine: Machine) -> dict[str, object]:
    """The globals in which kernel text is executed; a new dictionary each time."""
    return dict(_table(machine))
