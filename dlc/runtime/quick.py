"""The quick way into a program: a function of Python in native code (`call.ll`).

It looks at the arrays it is given, finds what is known of runs on such (a record), makes arrays for
the results and runs the job, all in one call. It gives None where it finds nothing, or where it is
not yet known how runs like these are made best.

Records are tables of 64-bit words:

    head    0 first record, 1 host
    host    0 type of arrays, 1 to 7 functions of Python, 8 None, 9 the pool's state
    record  0 next record, 1 job, 2 arguments, 3 its number, 4 and 5 addresses that stay (how many,
            pairs of a place and an address), 6 where the version of the weights is, 7 and 8 all
            rows (where, how many), 9 and 10 those after the preparing ones, 11 choice, 12 threads
            or 0, 13 and 14 inputs, 15 and 16 results, 17 its binding, 18 owner, 19 where the
            program's binding is
    input   0 dtype, 1 rank, 2 sizes, 3 and 4 places of its address, 5 bytes of an element, 6 the
            limit that elements have to be below, or 0
    result  0 shape and dtype, 1 and 2 places of its address, 3 what makes an array of these
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dlc.runtime import pool
from dlc.runtime.blocks import Array, address_of, aligned_words
from dlc.runtime.compiled import KEPT_SHAPES, Entry, NativeExecutable
from dlc.runtime.executable import Executable, new_version
from dlc.runtime.locks import Lock
from dlc.runtime.rows import InParts
from dlc.runtime.walker import INPUT_WORDS, OBJECT_BYTES, RESULT_WORDS, walker
from dlc.runtime.workspace import Workspace

_FUNCTIONS = (
    "PyEval_SaveThread", "PyEval_RestoreThread", "PyObject_CallObject", "PyList_New",
    "PyList_SetItem", "Py_IncRef", "Py_DecRef",
)  # fmt: skip
_FAST_CALL = 0x80
"""METH_FASTCALL: the function takes its object, an array of arguments and how many they are."""
_RANK, _SIZES, _DTYPE, _FLAGS = 8, 16, 40, 48
"""Where an array's fields are behind what every object begins with: NumPy's binary interface."""
_UNCHANGING = aligned_words(1)
_UNCHANGING[0] = new_version()
"""The version of weights that no row prepares."""


class _Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int), ("text", ctypes.c_char_p),
    )  # fmt: skip


class _Record:
    """What is known of runs on arrays of certain shapes in one workspace."""

    def __init__(
        self,
        program: NativeExecutable,
        entry: Entry,
        work: Workspace,
        names: Sequence[str],
        given: Mapping[str, Array],
        fixed: Mapping[str, Array],
    ) -> None:
        self._kept: list[object] = [entry, work, fixed, program.bound, program.watch]
        self.words = aligned_words(20)
        self.entry = entry
        slots = _slots(program, entry)
        staying = {**program.bound, **fixed}
        pairs = [
            (slot, address_of(array))
            for name, array in staying.items()
            for slot in slots.get((False, name), ())
        ]
        watched = program.watch.word if program.watch else aligned_words(1)
        if not work.prepared:
            watched = _UNCHANGING
        inputs = self._inputs(program, entry, names, given, slots)
        results = self._results(program, entry, slots)
        self.words[1:] = (
            work.job.address, address_of(work.arguments), new_version(), len(pairs),
            self._table(pairs), self._keep(watched), *work.rows_from(0),
            *work.rows_from(work.prepared), self._keep(entry.choice.words), program.threads or 0,
            len(names), inputs, len(program.result_dtypes), results, program.binding[0], id(self),
            self._keep(program.binding),
        )  # fmt: skip

    def _inputs(
        self,
        program: NativeExecutable,
        entry: Entry,
        names: Sequence[str],
        given: Mapping[str, Array],
        slots: Mapping[tuple[bool, str], tuple[int, ...]],
    ) -> int:
        limits = {c.input: c.size.value(entry.sized.sizes) for c in program.range_checks}
        rows = []
        for name in names:
            array, places = given[name], slots.get((False, name), ())
            self._kept.append(array.dtype)
            row = (
                id(array.dtype), array.ndim, self._table(array.shape), len(places),
                self._table(places), array.itemsize, limits.get(name, 0),
            )  # fmt: skip
            assert len(row) == INPUT_WORDS
            rows.append(row)
        return self._table(rows)

    def _results(
        self,
        program: NativeExecutable,
        entry: Entry,
        slots: Mapping[tuple[bool, str], tuple[int, ...]],
    ) -> int:
        rows = []
        for name, dtype in program.result_dtypes:
            asked, places = (entry.sized.shapes[name], dtype), slots.get((True, name), ())
            make = program.results.maker(name, *asked)
            self._kept += [asked, make]
            row = (id(asked), len(places), self._table(places), id(make))
            assert len(row) == RESULT_WORDS
            rows.append(row)
        return self._table(rows)

    def _table(self, values: Sequence[Any]) -> int:
        """The address of a table of these words, which lives as long as the record."""
        words = np.array(values, np.int64).reshape(-1)
        table = aligned_words(max(1, len(words)))
        table[: len(words)] = words
        return self._keep(table)

    def _keep(self, array: Array) -> int:
        self._kept.append(array)
        return address_of(array)


class Quick:
    """Runs a program on arrays by position; the others that it is fed with stay the same.

    `call` takes the arrays and gives the results in order, as a list; None where `Executable.run`
    has to look at the arrays first.
    """

    def __init__(
        self, program: NativeExecutable, names: Sequence[str], fixed: Mapping[str, Array]
    ) -> None:
        self._program = program
        self._names, self._fixed = tuple(names), dict(fixed)
        self.results = tuple(name for name, _ in program.result_dtypes)
        """The names of what a run gives."""
        self._lock = Lock()
        self._records: dict[Workspace, _Record] = {}
        self._head = aligned_words(2)
        self._head[1] = address_of(_host())
        self.call: Callable[..., list[Array] | None] = _function(self._head)

    def learn(self, arrays: Sequence[Any]) -> None:
        """Remembers the shapes of arrays that the program has run on, if nothing was converted."""
        given = dict(zip(self._names, arrays, strict=True))
        entry = self._program.entry_of({**self._fixed, **given})
        if entry is None:
            return
        if self._head[0] and all(self._knows(work) for work in tuple(entry.sized.works)):
            return
        with self._lock:
            self._head[0] = 0  # native code finds no record while they change
            self._add(entry, given)
            self._link()

    def _add(self, entry: Entry, given: Mapping[str, Array]) -> None:
        if len({id(record.entry) for record in self._records.values()}) >= KEPT_SHAPES:
            self._records.clear()
        for work in tuple(entry.sized.works):
            if not self._knows(work):
                record = _Record(self._program, entry, work, self._names, given, self._fixed)
                self._records[work] = record

    def _knows(self, work: Workspace) -> bool:
        record = self._records.get(work)
        return record is not None and record.words[_BINDING] == self._program.binding[0]

    def _link(self) -> None:
        """Makes the records a list, the newest first."""
        following = 0
        for record in self._records.values():
            record.words[0] = following
            following = address_of(record.words)
        self._head[0] = following


_BINDING = 17


def _slots(program: NativeExecutable, entry: Entry) -> dict[tuple[bool, str], tuple[int, ...]]:
    """Where the addresses of the caller's arrays stand: by whether they are results, and name."""
    places = entry.sized.places
    return {
        (buffer.place == "output", buffer.port): places[k]
        for k, buffer in enumerate(program.plan.buffers)
        if k in places
    }


def quick_of(program: Executable, names: Sequence[str], fixed: Mapping[str, Array]) -> Quick | None:
    """The quick way into a program with `names` given and `fixed` staying, where there is one."""
    inner = program.program if isinstance(program, InParts) else program
    if type(inner) is not NativeExecutable or inner.half or not _layout_holds():
        return None
    fed = {name for name, _ in inner.fed_dtypes}
    checked = {check.input for check in inner.range_checks}
    fits = fed == {*names, *fixed} and len(fed) == len(names) + len(fixed)
    return Quick(inner, names, fixed) if fits and checked <= {*names} else None


@lru_cache(maxsize=1)
def _layout_holds() -> bool:
    """Whether arrays lie in memory as native code takes it, and Python runs a thread at a time."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    array = np.zeros((3, 5), np.float32)
    start = id(array) + OBJECT_BYTES
    pointer, number = ctypes.c_int64.from_address, ctypes.c_int32.from_address
    sizes = pointer(start + _SIZES).value
    return (
        pointer(start - ctypes.sizeof(ctypes.c_void_p)).value == id(np.ndarray)
        and pointer(start).value == address_of(array)
        and number(start + _RANK).value == array.ndim
        and pointer(start + _DTYPE).value == id(array.dtype)
        and number(start + _FLAGS).value == array.flags.num
        and [pointer(sizes + 8 * k).value for k in range(array.ndim)] == list(array.shape)
    )


@lru_cache(maxsize=1)
def _host() -> Array:
    """What native code needs of this process."""
    functions = [_place(getattr(ctypes.pythonapi, name)) for name in _FUNCTIONS]
    table = aligned_words(10)
    table[:] = [id(np.ndarray), *functions, id(None), pool.state_address()]
    return table


def _place(function: Any) -> int:
    """The address of a function of Python's interface."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@lru_cache(maxsize=1)
def _method() -> _Method:
    return _Method(b"call", walker().call, _FAST_CALL, b"Runs a program on arrays.")


def _function(head: Array) -> Callable[..., Any]:
    """The native function with a table of its own."""
    make = ctypes.pythonapi.PyCFunction_NewEx
    prototype = ctypes.PYFUNCTYPE(
        ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p
    )
    made = prototype(_place(make))
    function: Callable[..., Any] = made(ctypes.addressof(_method()), head, None)
    return function
