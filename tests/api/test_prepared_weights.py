"""What depends on the weights alone is computed once, until somebody may have changed them."""

import ctypes

import numpy as np
import pytest

import dlc
from dlc.runtime.build import build_executable
from dlc.runtime.compiled import NativeExecutable

NET = """axis N, C = 16, Y = 8, X = 8, D = 16, TY = 3, TX = 3

model Net(x: f32[N, Y, X, C]) -> f32[N, D]:
    return x |> Conv(C -> D, kernel=3, pad="same") |> sum(over=(Y, X))
"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.dl").write_text(NET)
    return dlc.compile(tmp_path / "net.dl")


@pytest.fixture(params=[1, 2], autouse=True)
def threads(request):
    """One thread: from the second run on by the quick way; several: by the whole way at first."""
    dlc.set_threads(request.param)
    yield
    dlc.set_threads(None)


def prepared(net):
    """Whether the last run began with the rows that prepare weights."""
    program = net.only().prepare()
    native = getattr(program, "program", program)
    ((_, entry),) = native._entries.items()
    (work,) = entry.sized.works
    return work.job._words[1] == len(work.rows)


def images(count=3):
    return np.random.default_rng(0).uniform(-1, 1, (count, 8, 8, 16)).astype(np.float32)


def weight_of(net):
    return next(path for path in net.params if path.endswith("weight"))


def test_the_second_run_prepares_nothing(net):
    x = images()
    first = net(x)
    assert prepared(net)
    net(x)
    assert all(np.array_equal(net(x), first) and not prepared(net) for _ in range(3))


def test_assigned_weights_are_prepared_anew(net):
    x = images()
    path = weight_of(net)
    for _ in range(3):
        before = net(x)
    net.params[path] = np.random.default_rng(1).uniform(-1, 1, (16, 3, 3, 16)).astype(np.float32)
    changed = net(x)
    assert not np.allclose(changed, before)
    assert prepared(net)
    assert np.array_equal(net(x), changed)
    assert not prepared(net)


def test_arrays_that_were_given_away_are_read_at_each_run(net):
    x = images()
    for _ in range(3):
        before = net(x)
    weight = net.params[weight_of(net)]
    for factor in (2.0, 0.5):
        weight *= np.float32(factor)
        before = before * np.float32(factor)
        np.testing.assert_allclose(net(x), before, rtol=1e-5, atol=1e-5)
        assert prepared(net)


def test_weights_fed_for_one_run_leave_the_others(net):
    """Programs are also run with other arrays than those that they keep."""
    graph = net.contents.graphs["Net"]
    program = build_executable(graph)
    assert isinstance(program, NativeExecutable)
    arrays = {path: array.copy() for path, array in net.contents.weights.items()}
    other = {path: array * 2 for path, array in arrays.items()}
    program.bind(arrays, net.params.watch)
    feeds = {"x": images()}
    (out,) = program.run(feeds).values()
    for _ in range(2):
        (twice,) = program.run({**feeds, **other}).values()
        np.testing.assert_allclose(twice, 2 * out, rtol=1e-5, atol=1e-5)
        (again,) = program.run(feeds).values()
        assert np.array_equal(again, out)
    program.bind(other, net.params.watch)
    (bound,) = program.run(feeds).values()
    assert np.array_equal(bound, twice)


def test_a_call_that_finds_no_memory_prepares_nothing(net, monkeypatch):
    """The next one does not take for prepared what was not."""
    x, path = images(), weight_of(net)
    dlc.set_threads(1)  # how such runs go is known at once
    for _ in range(3):
        net(x)
    quick = net.only()._quick
    (record,) = quick._records.values()
    asked = ctypes.c_int64.from_address(int(record.words[16]))
    good, bad = asked.value, ("no shape", np.dtype(np.float32))
    net.params[path] = np.ones((16, 3, 3, 16), np.float32)
    asked.value = id(bad)
    with pytest.raises(TypeError):
        quick.call(x)
    asked.value = good
    (want,) = (
        build_executable(net.contents.graphs["Net"], interpret=True)
        .run({"x": x, **net.contents.weights})
        .values()
    )
    np.testing.assert_allclose(net(x), want, rtol=1e-4, atol=1e-3)
