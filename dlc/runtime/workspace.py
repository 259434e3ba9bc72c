"""What one run of a plan works on: its arena, its tables of rows and arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlc.diagnostics import fail
from dlc.diagnostics.runtime_checks import RunTooLarge
from dlc.graph import ITEM_BYTES
from dlc.memory import memory_bytes
from dlc.runtime.blocks import Array, address_of, aligned_bytes, aligned_words
from dlc.runtime.job import Job
from dlc.runtime.walker import BANDS, COUNTS, IS, MOVES, ROW_WORDS, SLAB_ARGUMENTS
from dlc.schedule.memory import Layout, buffer_bytes, layout
from dlc.schedule.plan import PARTS, BufferRef, Plan, Row, Slab, Work

POISON = 0xFF
"""Bytes of NaN in every float dtype, and of -1 in the integers."""
CLAIM_SECONDS = 4e-6
"""Work that no thread takes from another: much more than a claim costs, little beside a row."""
THREAD_FLOPS, THREAD_BYTES = 50e9, 20e9
"""What a thread is expected to do in a second, to guess times: it need not be near."""


@dataclass(frozen=True, slots=True, eq=False)
class Sized:
    """A plan for certain run-time sizes: offsets, unit counts and arguments are numbers."""

    plan: Plan
    sizes: Mapping[str, int]
    addresses: Mapping[int, int]
    """Native functions by the place of the kernel."""
    constants: Mapping[int, Array]
    """The tables of the program by the place of the buffer."""
    layout: Layout
    slabs: int
    """How many slabs have room in the buffers that only a chain of rows knows."""
    moves: Array
    """The tables of `ROW_WORDS` for rows in chains."""
    rows: Array
    """int64 [rows, ROW_WORDS]: function, byte offset of its arguments, units, barrier, ..."""
    arguments: Array
    """int64: the arguments of all rows in order; 0 where an address stands."""
    slots: Array
    """Where addresses stand in `arguments`."""
    which: Array
    """The place of the buffer of each slot."""
    places: Mapping[int, tuple[int, ...]]
    """Where the addresses of each of the caller's buffers stand in `arguments`."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of the outputs."""
    works: list[Workspace] = field(default_factory=list)
    """What runs have worked on so far, one at a time each."""

    def take(self, *, fill_nan: bool) -> Workspace:
        """A workspace whose job it takes: a free one, or a new one, poisoned with `fill_nan`."""
        for work in tuple(self.works):
            if work.job.take():
                return work
        made = Workspace.make(self, fill_nan=fill_nan)
        made.job.take()
        self.works.append(made)
        return made


def size_plan(
    plan: Plan,
    addresses: Mapping[int, int],
    constants: Mapping[int, Array],
    sizes: Mapping[str, int],
    threads: int,
) -> Sized:
    """Evaluates all sizes of a plan; `threads` is how many are expected to run it.

    Raises KeyError for a size that is not given, DlcError (E0719) where memory is too small.
    """
    slabs = room_for_slabs(threads)
    places_in_arena = layout(plan.buffers, sizes, slabs)
    _check_memory(plan, sizes, places_in_arena.bytes)
    rows = np.zeros((len(plan.rows), ROW_WORDS), np.int64)
    values: list[int] = []
    slots: list[int] = []
    which: list[int] = []
    moves: list[int] = []
    for r, row in enumerate(plan.rows):
        units = max(0, row.units.value(sizes))
        rows[r, :4] = addresses[row.kernel], len(values) * 8, units, row.barrier
        rows[r, 9:11] = _claimed(row.work, units, sizes), row.run
        if row.slab:
            rows[r, 4:9] = _slab_words(row.slab, len(moves) * 8, slabs)
            rows[r, 11:13] = row.slab.inner, row.slab.bands
            moves += _moves(plan, row, row.slab)
        for argument in row.args:
            if isinstance(argument, BufferRef):
                slots.append(len(values))
                which.append(argument.index)
                values.append(0)
            else:
                values.append(argument.value(sizes))
    places: dict[int, list[int]] = {k: [] for k, b in enumerate(plan.buffers) if b.port}
    for slot, k in zip(slots, which, strict=True):
        if k in places:
            places[k].append(slot)
    shapes = {p.name: tuple(n.value(sizes) for _, n in p.dims) for p in plan.outputs}
    table = aligned_words(max(1, len(moves)))
    table[: len(moves)] = moves
    rows[rows[:, 4] > 0, 6] += address_of(table)
    return Sized(
        plan, dict(sizes), addresses, constants, places_in_arena, slabs, table, rows,
        np.array(values, np.int64), np.array(slots, np.intp), np.array(which, np.intp),
        {k: tuple(found) for k, found in places.items()}, shapes,
    )  # fmt: skip


def room_for_slabs(threads: int) -> int:
    """For so many slabs a chain's own buffers have room: with fewer, threads share each row.

    That is so of no more than `PARTS` on any number of threads: sums in parts count on it.
    """
    return max(2 * threads, PARTS)


def _claimed(work: Work, units: int, sizes: Mapping[str, int]) -> int:
    """The units that a thread claims at a time: those of `CLAIM_SECONDS`, by a guess."""
    seconds = work.flops.value(sizes) / THREAD_FLOPS + work.bytes.value(sizes) / THREAD_BYTES
    return max(1, int(units * CLAIM_SECONDS / max(seconds, CLAIM_SECONDS)))


def _slab_words(slab: Slab, moves: int, room: int) -> tuple[int, ...]:
    return slab.rows, slab.units, moves, room, slab.parts


def _moves(plan: Plan, row: Row, slab: Slab) -> list[int]:
    """What of a row's arguments changes from slab to slab; see `ROW_WORDS`."""
    moved = []
    for place, argument in enumerate(row.args):
        buffer = plan.buffers[argument.index] if isinstance(argument, BufferRef) else None
        if buffer is not None and buffer.slab:
            step = buffer.slab * ITEM_BYTES[buffer.dtype]
            moved.append((place, step, BANDS if buffer.banded else MOVES))
    sums = slab.extent > 0
    if sums:
        moved += [(slab.begin, slab.height, COUNTS), (slab.extent, slab.height, IS)]
    assert len(row.args) <= SLAB_ARGUMENTS, row.label
    return [len(row.args), len(moved), sums, *(word for move in moved for word in move)]


def _check_memory(plan: Plan, sizes: Mapping[str, int], arena: int) -> None:
    outputs = sum(buffer_bytes(b, sizes) for b in plan.buffers if b.place == "output")
    available = memory_bytes()
    if arena + outputs > available:
        raise fail(RunTooLarge(arena + outputs, available, tuple(sorted(sizes.items()))))


@dataclass(slots=True, eq=False)
class Workspace:
    """Memory of one run at a time."""

    arena: Array
    rows: Array
    arguments: Array
    job: Job
    words: memoryview
    """The arguments, for quick writing."""
    bound: object = None
    """Which binding the addresses of bound arrays are of."""
    kept: tuple[Any, ...] = ()
    prepared: int = 0
    """The first rows: what they compute stays, as long as the weights do."""

    @staticmethod
    def make(sized: Sized, *, fill_nan: bool) -> Workspace:
        """Allocates and lays out everything but the caller's arrays."""
        buffers = sized.plan.buffers
        arena = aligned_bytes(sized.layout.bytes, POISON if fill_nan else None)
        start = address_of(arena)
        addresses = np.zeros(max(1, len(buffers)), np.int64)
        for k, buffer in enumerate(buffers):
            offset = sized.layout.offsets[k]
            if buffer.place == "arena":
                addresses[k] = start + offset
                if buffer.zeroed:
                    arena[offset : offset + buffer_bytes(buffer, sized.sizes, sized.slabs)] = 0
            elif buffer.place == "constant":
                addresses[k] = address_of(sized.constants[k])
        arguments = aligned_words(max(1, len(sized.arguments)))
        arguments[: len(sized.arguments)] = sized.arguments
        arguments[sized.slots] = addresses[sized.which]
        rows = sized.rows.copy()
        rows[:, 1] += address_of(arguments)
        return Workspace(
            arena, rows, arguments, Job(address_of(rows), len(rows)), memoryview(arguments.data),
            kept=(sized.moves, *sized.constants.values()), prepared=sized.plan.prepared,
        )  # fmt: skip

    def begin(self, version: int) -> None:
        """Before a run on weights of this version: leaves out rows that have run on them."""
        known = version and self.job.version == version
        self.job.set_rows(*self.rows_from(self.prepared if known else 0))
        self.job.version = version

    def rows_from(self, first: int) -> tuple[int, int]:
        """Where the rows from one on are, and how many."""
        return address_of(self.rows[first:]), len(self.rows) - first
