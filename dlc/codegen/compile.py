"""Kernel text to native code: Numba's front end, LLVM for a machine, objects cached by content."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import re
import time
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import llvmlite
import llvmlite.binding as llvm
import numba
from numba.core.compiler_lock import global_compiler_lock

from dlc import cache
from dlc.codegen.elf import undefined_symbols
from dlc.codegen.front_end import ENTRY, llvm_text
from dlc.codegen.machine import Machine
from dlc.codegen.workers import Workers

KIND = "kernels"
"""The kind of the entries in the cache."""
PARALLEL_FROM = 8
"""Fewer missing kernels than this are compiled here: starting another process takes as long."""
_LIBM = (
    "exp exp2 exp10 ldexp cbrt expm1 log log1p pow tanh erf sin cos tan"
    " fma fmod floor ceil rint roundeven trunc sqrt"
)
ALLOWED_SYMBOLS = frozenset(
    [*_LIBM.split(), *(f"{name}f" for name in _LIBM.split()), "memset", "memcpy", "memmove"]
)
"""What native code of a kernel may call outside itself: all in the C library."""


class CompileError(Exception):
    """A bug of the printer or of this layer: the message holds the kernel's text."""


@dataclass(slots=True)
class CompileTimes:
    """What the compilations of this process took."""

    kernels: int = 0
    seconds: float = 0.0
    hits: int = 0
    each: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds by key, of the kernels compiled in this process."""


TIMES = CompileTimes()


def compile_kernel(text: str, machine: Machine, *, checked: bool = False) -> bytes:
    """The relocatable object of a kernel: position independent, with the one symbol `kernel`.

    The text defines `kernel(lo, hi, args)` over 64-bit integers in the names of
    `namespace(machine)`. `checked` keeps frame pointers for debuggers. Raises CompileError.
    """
    try:
        with global_compiler_lock:
            module, inner = llvm_text(text, machine)
            code = _back_end(module, inner, machine, checked=checked)
    except CompileError:
        raise
    except Exception as error:
        raise CompileError(f"{error}\nin the kernel\n{text}") from error
    foreign = undefined_symbols(code) - ALLOWED_SYMBOLS
    if foreign:
        raise CompileError(f"calls of {', '.join(sorted(foreign))} in the kernel\n{text}")
    return code


def kernel_key(text: str, machine: Machine, *, checked: bool = False) -> str:
    """The name of a kernel's object: of its text without comments, the machine and all versions."""
    versions = f"{_revision()} {numba.__version__} {llvmlite.__version__} {llvm.llvm_version_info}"
    target = f"{machine.name} {machine.lanes} {machine.cpu} {machine.features} {machine.triple}"
    whole = "\n".join((versions, target, str(checked), plain(text)))
    return hashlib.sha256(whole.encode()).hexdigest()


@lru_cache(maxsize=1)
def _revision() -> str:
    """A hash of this layer itself, so that objects that another form of it made do not count."""
    whole = hashlib.sha256()
    folder = Path(__file__).parent
    for path in (
        folder / "compile.py",
        folder / "front_end.py",
        *sorted(folder.glob("vector/*.py")),
    ):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def plain(text: str) -> str:
    """Kernel text without comments, blank lines and trailing spaces."""
    if "#" not in text:
        return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def compile_all(
    texts: Mapping[str, str], machine: Machine, *, workers: int = 2, checked: bool = False
) -> dict[str, bytes]:
    """The objects of several kernels by the caller's keys; equal texts are compiled once.

    Objects come from the cache where it has them. The others are compiled here and, from
    `PARALLEL_FROM` on, in `workers` - 1 more processes. Raises CompileError.
    """
    names = {key: kernel_key(text, machine, checked=checked) for key, text in texts.items()}
    found: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for key, name in names.items():
        if name in found or name in missing:
            continue
        data = cache.get(KIND, name)
        if data is None or not data.startswith(b"\x7fELF"):
            missing[name] = texts[key]
        else:
            found[name] = data
            TIMES.hits += 1
    found |= _compile_missing(missing, machine, workers, checked=checked)
    return {key: found[name] for key, name in names.items()}


def _compile_missing(
    missing: Mapping[str, str], machine: Machine, workers: int, *, checked: bool
) -> dict[str, bytes]:
    def one(name: str) -> bytes:
        start = time.perf_counter()
        code = compile_kernel(missing[name], machine, checked=checked)
        TIMES.each[name] = time.perf_counter() - start
        return code

    start = time.perf_counter()
    # The longest first, so that no process waits for a late long one.
    order = sorted(missing, key=lambda name: -len(missing[name]))
    others = min(workers - 1, len(order) - 1) if len(order) >= PARALLEL_FROM else 0
    tasks = {name: missing[name] for name in order}
    with _no_collection():
        done = Workers(machine, others, checked=checked).run(tasks, one)
    for name, code in done.items():
        cache.put(KIND, name, code)
    TIMES.kernels += len(done)
    TIMES.seconds += time.perf_counter() - start
    return done


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
            module, target = _optimised(*llvm_text(text, machine), machine, checked=False)
            return str(module) if form == "llvm" else str(target.emit_assembly(module))
    except Exception as error:
        raise CompileError(f"{error}\nin the kernel\n{text}") from error


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Python's garbage collector at rest: it costs a fifth of the time of a compilation."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _back_end(module: str, inner: str, machine: Machine, *, checked: bool) -> bytes:
    """The object of a kernel for the machine."""
    parsed, target = _optimised(module, inner, machine, checked=checked)
    return bytes(target.emit_object(parsed))


def _optimised(module: str, inner: str, machine: Machine, *, checked: bool) -> tuple[Any, Any]:
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
    optimise(parsed, target)
    return parsed, target


def optimise(module: Any, target: Any) -> None:
    """LLVM's passes at level 3 without its vectorisers: kernels are written in vectors."""
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = False
    options.slp_vectorization = False
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
