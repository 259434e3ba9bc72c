"""The quick way into a program: runs on arrays like those of a run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import empty, ndarray

from dlc.runtime import pool
from dlc.runtime.blocks import address_of
from dlc.runtime.choice import Choice
from dlc.runtime.compiled import KEPT_SHAPES, Entry, NativeExecutable
from dlc.runtime.executable import Array, Executable
from dlc.runtime.rows import InParts
from dlc.runtime.walker import walker
from dlc.runtime.workspace import Workspace

Slots = tuple[int, ...]
"""Where the address of an array stands in the table of arguments."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """What is known of runs on arrays of certain shapes."""

    entry: Entry
    bound: Mapping[str, Array]
    staying: Mapping[int, int]
    """Addresses by slot, of all arrays that stay."""
    spare: list[Workspace]
    choice: Choice
    inputs: tuple[tuple[int, Slots], ...]
    outputs: tuple[tuple[tuple[int, ...], np.dtype[Any], Slots], ...]
    limits: tuple[tuple[int, int, int], ...]
    """The inputs whose elements, of so many bytes, have to be at least 0 and below what."""

    def settle(self, work: Workspace) -> None:
        """Writes the addresses that stay."""
        for slot, address in self.staying.items():
            work.words[slot] = address
        work.bound = self
        work.token = None


class Quick:
    """Runs a program on arrays by position; the others that it is fed with stay the same."""

    def __init__(
        self, program: NativeExecutable, names: Sequence[str], fixed: Mapping[str, Array]
    ) -> None:
        self._program = program
        self._names, self._fixed = tuple(names), dict(fixed)
        dtypes = dict(program.fed_dtypes)
        self._dtypes = tuple((place, dtypes[name]) for place, name in enumerate(names))
        self.results = tuple(name for name, _ in program.result_dtypes)
        """The names of what a run gives."""
        self._known: dict[tuple[tuple[int, ...], ...], _Ready] = {}
        self._alone, self._outside = walker().alone, walker().outside

    def run(self, arrays: Sequence[Any]) -> list[Array] | None:
        """The results in order; None where `Executable.run` has to look at the arrays first."""
        ready = self._find(arrays)
        if ready is None:
            return None
        addresses = [address_of(array) for array in arrays]
        for place, item, limit in ready.limits:
            count = arrays[place].size
            if self._outside(addresses[place], count, item, limit) != count:
                return None
        program, spare = self._program, ready.spare
        try:
            work = spare.pop()
        except IndexError:
            work = ready.entry.sized.take(fill_nan=program.fill_nan)
        try:
            if work.bound is not ready:
                ready.settle(work)
            if work.prepared:
                watch = program.watch
                work.begin(watch.token if watch else None)
            words = work.words
            for place, slots in ready.inputs:
                for slot in slots:
                    words[slot] = addresses[place]
            results = []
            for shape, dtype, slots in ready.outputs:
                result = empty(shape, dtype)
                results.append(result)
                address = address_of(result)
                for slot in slots:
                    words[slot] = address
            choice, threads = ready.choice, program.threads or pool.threads()
            if choice.alone and choice.threads == threads and choice.left:
                choice.left -= 1
                self._alone(work.job.address)
            else:
                choice.run(work, threads)
        finally:
            spare.append(work)
        return results

    def _find(self, arrays: Sequence[Any]) -> _Ready | None:
        """What is known of arrays like these, if they may be read as they are."""
        if len(arrays) != len(self._dtypes):
            return None
        shapes = []
        for place, dtype in self._dtypes:
            array = arrays[place]
            if type(array) is not ndarray or not array.flags.c_contiguous:
                return None
            if array.dtype is not dtype and array.dtype != dtype:
                return None
            shapes.append(array.shape)
        ready = self._known.get(tuple(shapes))
        if ready is None or ready.bound is not self._program.bound:
            return None
        return ready

    def learn(self, arrays: Sequence[Any]) -> None:
        """Remembers the shapes of arrays that the program has run on, if nothing was converted."""
        given = dict(zip(self._names, arrays, strict=True))
        entry = self._program.entry_of({**self._fixed, **given})
        if entry is None:
            return
        if len(self._known) >= KEPT_SHAPES:
            self._known.clear()
        self._known[tuple(array.shape for array in arrays)] = self._ready(entry, given)

    def _ready(self, entry: Entry, given: Mapping[str, Any]) -> _Ready:
        program, places = self._program, entry.sized.places
        buffers = program.plan.buffers
        slots = {
            (b.place == "output", b.port): places[k] for k, b in enumerate(buffers) if k in places
        }
        kept = {**program.bound, **self._fixed}
        staying = {
            slot: address_of(array)
            for name, array in kept.items()
            for slot in slots.get((False, name), ())
        }
        shapes = entry.sized.shapes
        outputs = tuple(
            (shapes[name], dtype, slots.get((True, name), ()))
            for name, dtype in program.result_dtypes
        )
        inputs = tuple((k, slots.get((False, name), ())) for k, name in enumerate(self._names))
        limits = tuple(
            (
                self._names.index(check.input),
                given[check.input].itemsize,
                check.size.value(entry.sized.sizes),
            )
            for check in program.range_checks
        )
        return _Ready(
            entry, program.bound, staying, entry.sized.spare, entry.choice, inputs, outputs, limits,
        )  # fmt: skip


def quick_of(program: Executable, names: Sequence[str], fixed: Mapping[str, Array]) -> Quick | None:
    """The quick way into a program with `names` given and `fixed` staying, where there is one."""
    inner = program.program if isinstance(program, InParts) else program
    if type(inner) is not NativeExecutable or inner.half:
        return None
    fed = {name for name, _ in inner.fed_dtypes}
    checked = {check.input for check in inner.range_checks}
    fits = fed == {*names, *fixed} and len(fed) == len(names) + len(fixed)
    return Quick(inner, names, fixed) if fits and checked <= {*names} else None
