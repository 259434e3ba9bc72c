"""What depends on the weights alone is computed once, until somebody may have changed them."""

import numpy as np
import pytest

import dlc
from dlc.runtime.build import build_executable
from dlc.runtime.compiled import NativeExecutable
from dlc.runtime.workspace import Workspace

NET = """axis N, C = 16, Y = 8, X = 8, D = 16, TY = 3, TX = 3

model Net(x: f32[N, Y, X, C]) -> f32[N, D]:
    return x |> Conv(C -> D, kernel=3, pad="same") |> sum(over=(Y, X))
"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.dl").write_text(NET)
    return dlc.compile(tmp_path / "net.dl")


@pytest.fixture
def begun(monkeypatch):
    """Whether each run began with the rows that prepare weights."""
    found = []
    begin = Workspace.begin

    def noted(self, token):
        begin(self, token)
        found.append(self.whole)

    monkeypatch.setattr(Workspace, "begin", noted)
    return found


def images(count=3):
    return np.random.default_rng(0).uniform(-1, 1, (count, 8, 8, 16)).astype(np.float32)


def weight_of(net):
    return next(path for path in net.params if path.endswith("weight"))


def test_the_second_run_prepares_nothing(net, begun):
    x = images()
    first = net(x)
    assert all(np.array_equal(net(x), first) for _ in range(3))
    assert begun[0] is True
    assert begun[-1] is False


def test_assigned_weights_are_prepared_anew(net, begun):
    x = images()
    path = weight_of(net)
    for _ in range(3):
        before = net(x)
    net.params[path] = np.random.default_rng(1).uniform(-1, 1, (16, 3, 3, 16)).astype(np.float32)
    changed = net(x)
    assert not np.allclose(changed, before)
    assert begun[-1] is True
    assert np.array_equal(net(x), changed)
    assert begun[-1] is False


def test_arrays_that_were_given_away_are_read_at_each_run(net, begun):
    x = images()
    for _ in range(3):
        before = net(x)
    weight = net.params[weight_of(net)]
    for factor in (2.0, 0.5):
        weight *= np.float32(factor)
        before = before * np.float32(factor)
        np.testing.assert_allclose(net(x), before, rtol=1e-5, atol=1e-5)
        assert begun[-1] is True


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
