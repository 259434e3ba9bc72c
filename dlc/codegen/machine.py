"""The processors that code is generated for: vector width, registers, what LLVM is told."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import llvmlite.binding as llvm

from dlc.diagnostics import fail
from dlc.diagnostics.machine import LevelUnknown, MachineUnsupported

Level = Literal["x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"]
LEVEL_VARIABLE = "DLC_CPU_LEVEL"
"""The environment variable that forces a lower level (for tests of portability)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One kind of processor. Equal machines run each other's native code."""

    name: Level
    lanes: int
    """float32 elements in one vector register; every value of a kernel has so many lanes."""
    registers: int
    """Vector registers that a tile may count on."""
    cpu: str
    """LLVM's name of the processor."""
    features: str
    """LLVM's features in the form `+avx2,-sse4a`."""
    triple: str
    first_cache: int = 32 * 1024
    """Bytes of a core's nearest cache that the level counts on."""

    def has(self, feature: str) -> bool:
        """Whether instructions of this LLVM feature may be used."""
        return f"+{feature}" in self.features.split(",")


_X86_V2 = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+sahf"
_X86_V3 = _X86_V2 + ",+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe"
_X86_V4 = _X86_V3 + ",+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,-prefer-256-bit"
_LINUX_X86 = "x86_64-unknown-linux-gnu"
_FAMILIES = {"x86_64": "x86", "AMD64": "x86", "aarch64": "aarch64", "arm64": "aarch64"}
LEVELS: dict[Level, Machine] = {
    "x86-64-v2": Machine("x86-64-v2", 4, 16, "x86-64-v2", _X86_V2, _LINUX_X86),
    "x86-64-v3": Machine("x86-64-v3", 8, 16, "x86-64-v3", _X86_V3, _LINUX_X86),
    "x86-64-v4": Machine(
        "x86-64-v4", 16, 32, "x86-64-v4", _X86_V4, _LINUX_X86, first_cache=48 * 1024
    ),
    "aarch64": Machine("aarch64", 4, 30, "generic", "+neon,+fp-armv8", "aarch64-unknown-linux-gnu"),
}
"""The levels that artifacts may carry code for, lowest first in each family."""


@lru_cache(maxsize=1)
def host() -> Machine:
    """This machine, or the level that `DLC_CPU_LEVEL` names. Raises DlcError (E0950, E0951)."""
    family = _FAMILIES.get(platform.machine())
    if sys.platform != "linux" or family is None:
        raise fail(MachineUnsupported(platform.system(), platform.machine()))
    known = [level for level in LEVELS.values() if level.name.startswith(family)]
    forced = os.environ.get(LEVEL_VARIABLE)
    if forced:
        for level in known:
            if level.name == forced:
                return replace(level, triple=llvm.get_process_triple())
        raise fail(LevelUnknown(forced, tuple(level.name for level in known)))
    flags = llvm.get_host_cpu_features()
    level = LEVELS[_level(flags)]
    features = flags.flatten()
    if level.name == "x86-64-v4":  # most such processors ask LLVM for half vectors
        features += ",-prefer-256-bit"
    return replace(
        level,
        cpu=llvm.get_host_cpu_name(),
        features=features,
        triple=llvm.get_process_triple(),
    )


def _level(flags: dict[str, bool]) -> Level:
    if platform.machine() in ("aarch64", "arm64"):
        return "aarch64"
    wide = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
    if all(flags.get(name) for name in wide):
        return "x86-64-v4"
    if flags.get("avx2") and flags.get("fma"):
        return "x86-64-v3"
    return "x86-64-v2"
