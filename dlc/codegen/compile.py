"""Kernel text to native code: Numba's front end, then LLVM for a machine."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

import llvmlite.binding as llvm
from numba.core.compiler_lock import global_compiler_lock

from dlc.codegen.elf import undefined_symbols
from dlc.codegen.front_end import ENTRY, llvm_text
from dlc.codegen.machine import Machine

_LIBM = (
    "exp exp2 exp10 ldexp cbrt expm1 log log1p pow tanh erf sin cos tan"
    " fma fmod floor ceil rint roundeven trunc sqrt"
)
ALLOWED_SYMBOLS = frozenset(
    [*_LIBM.split(), *(f"{name}f" for name in _LIBM.split()), "memset", "memcpy", "memmove"]
)
"""What native code of a kernel may call outside itself: all in the C library."""
ROLLED = "rolled()"
"""The statement of a kernel whose loops LLVM shall leave as they are."""


class CompileError(Exception):
    """A bug of the printer or of this layer: the message holds the kernel's text."""


def compile_kernel(text: str, machine: Machine, *, checked: bool = False) -> bytes:
    """The relocatable object of a kernel: position independent, with the one symbol `kernel`.

    The text defines `kernel(lo, hi, args)` over 64-bit integers in the names of
    `namespace(machine)`. `checked` keeps frame pointers for debuggers. Raises CompileError.
    """
    try:
        with global_compiler_lock:
            module, inner = llvm_text(text, machine)
            parsed, target = _optimised(
                module, inner, machine, checked=checked, unroll=ROLLED not in text
            )
            code = bytes(target.emit_object(parsed))
    except CompileError:
        raise
    except Exception as error:
        raise CompileError(f"{error}\nin the kernel\n{text}") from error
    foreign = undefined_symbols(code) - ALLOWED_SYMBOLS
    if foreign:
        raise CompileError(f"calls of {', '.join(sorted(foreign))} in the kernel\n{text}")
    return code


_WRAPPER = """
define void @{entry}(i64 %lo, i64 %hi, i64 %args) nounwind {attributes} {{
  %result = alloca ptr
  %error = alloca ptr
  %status = call i32 @{inner}(ptr %result, ptr %error, i64 %lo, i64 %hi, i64 %args) alwaysinline
  ret void
}}
"""


def show_kernel(text: str, machine: Machine, form: Literal["llvm", "asm"]) -> str:
    """The optimised LLVM text of a kernel, or its assembly: for people. Raises CompileError."""
    try:
        with global_compiler_lock:
            module, target = _optimised(
                *llvm_text(text, machine), machine, checked=False, unroll=ROLLED not in text
            )
            return str(module) if form == "llvm" else str(target.emit_assembly(module))
    except Exception as error:
        raise CompileError(f"{error}\nin the kernel\n{text}") from error


def _optimised(
    module: str, inner: str, machine: Machine, *, checked: bool, unroll: bool
) -> tuple[Any, Any]:
    """Adds the C entry, hides all else, optimises; gives LLVM's module and code generator."""
    attributes = '"frame-pointer"="all"' if checked else ""
    quoted = inner if re.fullmatch(r"[\w.$]+", inner) else f'"{inner}"'
    wrapper = _WRAPPER.format(entry=ENTRY, inner=quoted, attributes=attributes)
    parsed = llvm.parse_assembly(module + wrapper)
    target = target_machine(machine)
    parsed.triple = machine.triple
    parsed.data_layout = str(target.target_data)
    for function in parsed.functions:
        if not function.is_declaration and function.name != ENTRY:
            function.linkage = llvm.Linkage.internal
    for variable in parsed.global_variables:
        if not variable.is_declaration:
            variable.linkage = llvm.Linkage.internal
    optimise(parsed, target, unroll=unroll)
    return parsed, target


def optimise(module: Any, target: Any, *, unroll: bool) -> None:
    """LLVM's passes at level 3 without its vectorisers: kernels are written in vectors.

    Loops around a register tile are not unrolled: what neighbouring turns both read would be kept
    in registers that the tile needs.
    """
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_unrolling = unroll
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)


@lru_cache(maxsize=8)
def target_machine(machine: Machine) -> Any:
    """LLVM's code generator for a machine: position-independent code at level 3."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(machine.triple)
    return target.create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=3, reloc="pic", codemodel="default"
    )
