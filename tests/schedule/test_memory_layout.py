import random

import pytest

from dlc.graph import Size
from dlc.schedule.memory import ALIGNMENT, NOWHERE, SLACK, buffer_bytes, layout
from dlc.schedule.plan import Buffer

N = Size.symbol("N")


def arena(name: str, elements, first: int, last: int, **more) -> Buffer:
    return Buffer(name, "f32", Size.of(elements), "arena", "", first, last, **more)


@pytest.mark.parametrize("seed", range(30))
def test_buffers_that_live_together_never_share_a_byte(seed):
    rng = random.Random(seed)
    buffers = []
    for k in range(40):
        first = rng.randrange(30)
        last, elements = first + rng.randrange(6), rng.choice([0, 1, 16, 100, N, N * 3 + 1])
        buffers.append(arena(f"b{k}", elements, first, last, zeroed=rng.random() < 0.1))
    for n in (0, 1, 500):
        offsets, total = layout(buffers, {"N": n})
        ends = [
            o + buffer_bytes(b, {"N": n}) + SLACK for o, b in zip(offsets, buffers, strict=True)
        ]
        assert total == max(-(-e // ALIGNMENT) * ALIGNMENT for e in ends)
        for i, a in enumerate(buffers):
            assert offsets[i] % ALIGNMENT == 0
            for j in range(i):
                b = buffers[j]
                together = a.zeroed or b.zeroed or (a.first <= b.last and b.first <= a.last)
                if together:
                    assert ends[i] <= offsets[j] or ends[j] <= offsets[i], (a, b)


def test_a_chain_needs_two_places():
    buffers = [arena(f"t{k}", 1000, k, k + 1) for k in range(10)]
    assert layout(buffers, {}).bytes == 2 * (4000 + SLACK + 32)


def test_only_the_arena_is_laid_out():
    buffers = [Buffer("x", "f32", N, "input", "x"), arena("t", N, 0, 1)]
    assert layout(buffers, {"N": 16}) == ((NOWHERE, 0), 128)
    assert layout([], {}) == ((), 0)
