"""Native objects in this process: loaded by LLVM's linker, found by content, kept for good."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import llvmlite.binding as llvm

ENTRY = "kernel"
"""The symbol that every object exports."""


class LoadError(Exception):
    """Bytes that are no object for this processor, or that call what is not there."""


@dataclass(slots=True)
class Loader:
    """The objects loaded so far. One for the process: `LOADER`."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _addresses: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    _libraries: list[Any] = field(default_factory=list[Any])
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    """A name is never used again, not even after a failure."""
    _session: Any = None

    def address(self, code: bytes, symbol: str = ENTRY) -> int:
        """The address of the function `symbol` of an object. Raises LoadError.

        Equal objects are loaded once. Code stays loaded until the process ends.
        """
        key = hashlib.sha256(code).hexdigest(), symbol
        with self._lock:
            if key not in self._addresses:
                self._addresses[key] = self._load(code, symbol)
            return self._addresses[key]

    def assemble(self, text: str, symbols: Sequence[str]) -> dict[str, int]:
        """The addresses of functions of a module in LLVM IR, compiled here. Raises LoadError."""
        with self._lock:
            builder = llvm.JITLibraryBuilder().add_ir(text)
            library = self._link(builder, symbols)
            return {symbol: int(library[symbol]) for symbol in symbols}

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock, and is gone."""
        self._lock = threading.Lock()

    def _load(self, code: bytes, symbol: str) -> int:
        library = self._link(llvm.JITLibraryBuilder().add_object_img(code), (symbol,))
        return int(library[symbol])

    def _link(self, builder: Any, symbols: Sequence[str]) -> Any:
        if self._session is None:
            self._session = _start()
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
        return library


LOADER = Loader()
"""Of this process."""


def _start() -> Any:
    _load_libm()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    return llvm.create_lljit_compiler(machine, use_jit_link=False, suppress_errors=True)


def _load_libm() -> None:
    """Makes the mathematical library's functions visible to native code."""
    try:
        ctypes.CDLL("libm.so.6", mode=ctypes.RTLD_GLOBAL)
    except OSError:  # another C library, or another system
        name = ctypes.util.find_library("m")
        if name:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
