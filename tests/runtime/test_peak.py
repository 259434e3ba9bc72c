"""The loops that the machine's peak is measured with do what they are counted for."""

import threading

import numpy as np
import pytest

from dlc.codegen.machine import host
from dlc.runtime import peak


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_the_copy_copies(count):
    program = peak._program(peak._copy(host()), host())
    x, out = np.arange(count, dtype="f4"), np.full(count + 64, -1, "f4")
    program.run({"x": x}, out={"out": out[:count]})
    np.testing.assert_array_equal(out[:count], x)
    assert (out[count:] == -1).all()


def test_every_multiply_add_is_made():
    lanes, chains, turns = host().lanes, 5, 7
    program = peak._program(peak._multiply_adds(host(), chains, turns), host())
    x = np.random.default_rng(0).random(chains * lanes, np.float32)
    want = x.reshape(chains, lanes)
    for _ in range(turns):
        want = want * np.float32(0.5) + np.float32(0.5)
    out = program.run({"x": x})["out"]
    np.testing.assert_allclose(out[:lanes], want.sum(axis=0), rtol=1e-6)


def test_rates(monkeypatch):
    monkeypatch.setattr(peak, "_LANE_TURNS", 100)
    monkeypatch.setattr(peak, "COPY_BYTES", 1 << 16)
    before = threading.active_count()
    found = peak.peak.__wrapped__(2)
    assert found.threads == 2
    assert 1e6 < found.bytes < 1e15
    assert 1e6 < found.flops < 1e15
    assert threading.active_count() == before
