"""A plan run slowly and suspiciously: what kernels write outside of their buffers is found.

Each buffer has memory of its own between guards, filled with NaN. The rows between two barriers
run thread by thread, the last thread first: the order that shows a missing barrier.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dlc.graph import ITEM_BYTES
from dlc.runtime.blocks import Array, address_of, aligned_bytes
from dlc.runtime.compiled import Entry, NativeExecutable
from dlc.runtime.job import Job
from dlc.runtime.walker import walker
from dlc.runtime.workspace import POISON, Sized
from dlc.schedule.memory import SLACK
from dlc.schedule.plan import Buffer

GUARD = 4096
"""Bytes before and behind each buffer."""


class GuardError(AssertionError):
    """A kernel wrote where it may not: a bug of the compiler."""


@dataclass(slots=True)
class _Guarded:
    """One buffer in memory of its own."""

    buffer: Buffer
    whole: Array
    bytes: int
    before: Array | None = None
    """The contents of a buffer that no kernel may change."""

    @property
    def own(self) -> Array:
        """The bytes of the buffer itself."""
        return self.whole[GUARD : GUARD + self.bytes]

    def intact(self) -> bool:
        """Whether the guards, and the contents where they are fixed, are as they were."""
        outside = self.whole[:GUARD], self.whole[GUARD + self.bytes :]
        fine = all((part == POISON).all() for part in outside)
        return fine and (self.before is None or np.array_equal(self.own, self.before))


class CheckedExecutable(NativeExecutable):
    """A native program for tests. `run` raises GuardError for what no correct kernel does."""

    def _run(
        self,
        entry: Entry,
        arrays: Mapping[str, Array],
        out: Mapping[str, Array] | None,
        profile: Array | None,
    ) -> dict[str, Array]:
        sized = entry.sized
        results = self._outputs(sized, arrays, None)
        caller = {(False, name): array for name, array in {**self.bound, **arrays}.items()}
        caller |= {(True, name): array for name, array in results.items()}
        native = self._packed(arrays, results)
        caller |= native
        memory = [_guarded(b, sized, caller, k) for k, b in enumerate(self.plan.buffers)]
        arguments = np.concatenate([sized.arguments, np.zeros(1, np.int64)])
        arguments[sized.slots] = [address_of(memory[k].own) for k in sized.which]
        rows = sized.rows.copy()
        rows[:, 1] += address_of(arguments)
        for first, last in _groups(rows):
            self._walk_group(rows[first:last], self.threads or 1)
            self._inspect(memory, first, last)
        for guarded in memory:
            if guarded.buffer.place in ("output", "bound"):
                array = caller[_port(guarded.buffer)]
                array.reshape(-1).view(np.uint8)[...] = guarded.own
        self._unpack(native, arrays, results)
        return results

    def _walk_group(self, rows: Array, threads: int) -> None:
        free = np.ascontiguousarray(rows).copy()
        free[:, 3:5] = free[:, 11:12] = 0  # neither barriers nor chains
        job = Job(address_of(free), len(free))
        job.ready(threads, 0)
        for thread in reversed(range(threads)):
            walker().walk(job.address, thread, threads)

    def _inspect(self, memory: list[_Guarded], first: int, last: int) -> None:
        for guarded in memory:
            if not guarded.intact():
                labels = ", ".join(row.label for row in self.plan.rows[first:last])
                raise GuardError(
                    f"rows {first} to {last - 1} ({labels}) wrote where they may not,"
                    f" at {guarded.buffer}"
                )


def _groups(rows: Array) -> Iterator[tuple[int, int]]:
    """The rows between two barriers, as ranges."""
    first = 0
    for place, row in enumerate(rows):
        if row[3] or place == len(rows) - 1:
            yield first, place + 1
            first = place + 1


def _port(buffer: Buffer) -> tuple[bool, str]:
    """Whether it is an output, and its name: an output may be called as an input."""
    return buffer.place == "output", buffer.port


def _guarded(
    buffer: Buffer, sized: Sized, caller: Mapping[tuple[bool, str], Array], place: int
) -> _Guarded:
    count = buffer.elements.value(sized.sizes) * ITEM_BYTES[buffer.dtype]
    whole = aligned_bytes(GUARD + count + SLACK + GUARD, POISON)
    made = _Guarded(buffer, whole, count)
    if buffer.place == "constant":
        made.own[...] = sized.constants[place][:count]
        made.before = made.own.copy()
    elif buffer.place != "arena":
        made.own[...] = np.ascontiguousarray(caller[_port(buffer)]).reshape(-1).view(np.uint8)
        if buffer.place == "input":
            made.before = made.own.copy()
    elif buffer.zeroed:
        made.own[...] = 0
    return made
