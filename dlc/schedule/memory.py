"""The memory plan: where in one arena each intermediate lies, by the rows in which it lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dlc.graph import ITEM_BYTES
from dlc.schedule.plan import Buffer

ALIGNMENT = 64
SLACK = 64
"""Bytes behind each buffer, so that a whole vector may be read past its end."""
NOWHERE = -1
"""The offset of what is not in the arena."""


class Layout(NamedTuple):
    """Byte offsets in the arena by the place of the buffer, and the size of the arena."""

    offsets: tuple[int, ...]
    bytes: int


def buffer_bytes(buffer: Buffer, sizes: Mapping[str, int], slabs: int = 0) -> int:
    """The bytes of a buffer's elements, or of so many slabs of it if there is no more room."""
    elements = buffer.elements.value(sizes)
    if buffer.slab and slabs:
        elements = min(elements, buffer.slab * slabs)
    return elements * ITEM_BYTES[buffer.dtype]


def layout(buffers: Sequence[Buffer], sizes: Mapping[str, int], slabs: int = 0) -> Layout:
    """First fit, the largest buffer first: no two that live in one row share a byte.

    Of buffers that only a chain knows, `slabs` slabs have room; 0 for all of them.
    Zeroed and kept buffers have their place for ever, for what nobody writes must stay.
    """
    room = {
        k: _aligned(buffer_bytes(b, sizes, slabs) + SLACK)
        for k, b in enumerate(buffers)
        if b.place == "arena"
    }
    offsets = [NOWHERE] * len(buffers)
    placed: list[int] = []
    total = 0
    for k in sorted(room, key=lambda k: (-room[k], k)):
        busy = sorted((offsets[o], offsets[o] + room[o]) for o in placed if _meet(buffers, k, o))
        offsets[k] = _first_gap(busy, room[k])
        placed.append(k)
        total = max(total, offsets[k] + room[k])
    return Layout(tuple(offsets), total)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _meet(buffers: Sequence[Buffer], one: int, other: int) -> bool:
    """Whether two buffers live at one time."""
    a, b = buffers[one], buffers[other]
    alone = a.zeroed or b.zeroed or a.kept or b.kept
    return alone or (a.first <= b.last and b.first <= a.last)


def _first_gap(busy: Sequence[tuple[int, int]], size: int) -> int:
    """The lowest offset with `size` free bytes."""
    place = 0
    for start, end in busy:
        if start - place >= size:
            break
        place = max(place, end)
    return place
