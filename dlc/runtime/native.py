"""Native objects in this process: loaded by LLVM's linker, found by content, kept for good."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm

from dlc import cache
from dlc.runtime.locks import Lock

KIND = "native"
"""The kind of the objects in the cache."""
ENTRY = "kernel"
"""The symbol that every object exports."""
_Key = tuple[str, tuple[str, ...]]
"""An object by its hash, and the functions asked of it."""


class LoadError(Exception):
    """Bytes that are no object for this processor, or that call what is not there."""


@dataclass(slots=True)
class Loader:
    """The objects loaded so far. One for the process: `LOADER`."""

    _lock: Lock = field(default_factory=Lock)
    _addresses: dict[_Key, dict[str, int]] = field(default_factory=dict["_Key", dict[str, int]])
    _libraries: list[Any] = field(default_factory=list[Any])
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    """A name is never used again, not even after a failure."""
    _session: Any = None

    def address(self, code: bytes, symbol: str = ENTRY) -> int:
        """The address of the function `symbol` of an object. Raises LoadError."""
        return self.addresses(code, (symbol,))[symbol]

    def addresses(self, code: bytes, symbols: Sequence[str]) -> dict[str, int]:
        """The addresses of functions of an object by name. Raises LoadError.

        Equal objects are loaded once. Code stays loaded until the process ends.
        """
        key = hashlib.sha256(code).hexdigest(), tuple(symbols)
        with self._lock:
            if key not in self._addresses:
                self._addresses[key] = self._load(code, symbols)
            return self._addresses[key]

    def _load(self, code: bytes, symbols: Sequence[str]) -> dict[str, int]:
        if self._session is None:
            self._session = _start()
        builder = llvm.JITLibraryBuilder().add_object_img(code)
        for symbol in symbols:
            builder.export_symbol(symbol)
        builder.add_current_process()
        try:
            library = builder.link(self._session, f"library{next(self._numbers)}")
        except RuntimeError as error:
            raise LoadError(str(error)) from error
        self._libraries.append(library)
        missing = [symbol for symbol in symbols if not library[symbol]]
        if missing:
            raise LoadError(f"the object has no function {', '.join(missing)}")
        return {symbol: int(library[symbol]) for symbol in symbols}


LOADER = Loader()
"""Of this process."""


def assembled(text: str) -> bytes:
    """The object of a module in LLVM IR, for any processor of this machine's family.

    It comes from the cache where that has it: making one takes LLVM longer than all else that a
    process does before its first run.
    """
    _prepare()
    target = llvm.Target.from_default_triple()
    whole = f"{target.triple} {llvm.llvm_version_info}\n{text}"
    key = hashlib.sha256(whole.encode()).hexdigest()
    code = cache.get(KIND, key)
    if code is None:
        module = llvm.parse_assembly(text)
        machine = target.create_target_machine(opt=2, reloc="pic", codemodel="default")
        code = bytes(machine.emit_object(module))
        cache.put(KIND, key, code)
    return code


def _start() -> Any:
    _prepare()
    _load_libm()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    # JITLink puts all of an object into one block. LLVM's older linker maps code and constants
    # apart, where the system finds room: between large arrays that is too far for an instruction.
    return llvm.create_lljit_compiler(machine, use_jit_link=True, suppress_errors=True)


@lru_cache(maxsize=1)
def _prepare() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _load_libm() -> None:
    """Makes the mathematical library's functions visible to native code."""
    try:
        ctypes.CDLL("libm.so.6", mode=ctypes.RTLD_GLOBAL)
    except OSError:  # another C library, or another system
        name = ctypes.util.find_library("m")
        if name:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
