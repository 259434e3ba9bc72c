"""The object that users call."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from small_modules import WEIGHTS, dense_graph, expected, module, noise_graph, pair_graph

import dlc

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


class Foreign:
    """An array of another library."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **named):
        return self._array.__dlpack__(**named)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


@pytest.fixture(scope="module")
def net():
    return module()


def codes(call):
    with pytest.raises(dlc.DlcError) as caught:
        call()
    return [d.code for d in caught.value.diagnostics], str(caught.value)


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_any_batch(net, rows):
    result = net(X[:rows])
    assert result.shape == (rows, 2)
    np.testing.assert_array_equal(result, expected(X[:rows]))


@pytest.mark.parametrize(
    "value",
    [X.tolist(), X.astype(np.float64), np.asfortranarray(X), X[::-1][::-1], Foreign(X.copy())],
    ids=["list", "float64", "fortran", "negative strides", "dlpack"],
)
def test_kinds_of_arrays(net, value):
    np.testing.assert_array_equal(net(x=value), expected(X))


def test_read_only_and_strided(net):
    x = np.repeat(X, 2, axis=0)[::2]
    x.flags.writeable = False
    np.testing.assert_array_equal(net(x), expected(X))


def test_integers_become_floats(net):
    np.testing.assert_array_equal(net([[1, 2, 3]]), expected(np.array([[1, 2, 3]], np.float32)))


def test_out(net):
    out = np.empty((5, 2), np.float32)
    assert net(X, out=out) is out
    np.testing.assert_array_equal(out, expected(X))
    for bad in (np.empty((4, 2), np.float32), np.empty((5, 2)), [1.0]):
        assert codes(lambda bad=bad: net(X, out=bad))[0] == ["E0796"]


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (lambda n: n(X[:, :2]), "E0713", ["axis F", "2", "3"]),
        (lambda n: n(X[0]), "E0712", ["f32[N, F=3]", "(3,)"]),
        (lambda n: n(X.astype(np.complex64)), "E0795", ["complex64"]),
        (lambda n: n("hello"), "E0795", ["str"]),
        (lambda n: n([[1, 2, 3], [1, 2]]), "E0795", ["x"]),
        (lambda n: n(), "E0710", ["x"]),
        (lambda n: n(X, X), "E0791", ["number 2"]),
        (lambda n: n(X, x=X), "E0791", ["x twice"]),
        (lambda n: n(image=X), "E0791", ["image", "it takes x"]),
    ],
)
def test_wrong_calls(net, call, code, words):
    found, text = codes(lambda: call(net))
    assert found == [code], text
    for word in words:
        assert word in text


def test_several_results():
    both = module(P=pair_graph())(np.ones(4))
    twice, total = both
    assert total == 4
    np.testing.assert_array_equal(twice, [2, 2, 2, 2])
    assert both.named().keys() == {"twice", "total"}
    assert pickle.loads(pickle.dumps(both)).names == ("twice", "total")


def test_models_by_name():
    net = module(M=dense_graph(), P=pair_graph())
    np.testing.assert_array_equal(net.M(X), expected(X))
    assert codes(lambda: net(X))[0] == ["E0789"]
    assert not hasattr(net, "Q")


def test_draws_need_a_size():
    net = module(G=noise_graph())
    assert codes(net)[0] == ["E0717"]
    first = net(N=6, seed=3)
    assert first.shape == (6,)
    np.testing.assert_array_equal(first, net(N=6, seed=3))
    assert (first != net(N=6, seed=4)).all()


def test_params_are_read_and_written():
    net = module()
    contents = net.contents
    weight = net.params["M.fc.weight"]
    weight += 1
    net.params["M.fc.weight"][0, 1] = 9
    expected = WEIGHTS["M.fc.weight"] + 1
    expected[0, 1] = 9
    np.testing.assert_array_equal(net.params["M.fc.weight"], expected)
    np.testing.assert_array_equal(
        net(np.eye(3)[:1]), np.maximum(expected[:1] + np.float32([-1, 1]), 0)
    )
    np.testing.assert_array_equal(contents.weights["M.fc.weight"], WEIGHTS["M.fc.weight"])
    net.params["M.fc.offset"] *= 2
    np.testing.assert_array_equal(net.params["M.fc.offset"], [-2, 2])
    np.testing.assert_array_equal(net(np.zeros((1, 3))), [[0, 2]])
    assert list(net.params) == ["M.fc.weight", "M.fc.offset"]
    found, text = codes(lambda: net.params.update({"M.fc.offset": np.zeros(3)}))
    assert found == ["E0713"], text
    assert codes(lambda: net.params.update({"M.gone": 0}))[0] == ["E0798"]
    for call in (lambda: net.params["M.fc.weigth"], lambda: net.params.update({"M.fc.weigth": 0})):
        found, text = codes(call)
        assert (found, "did you mean M.fc.weight?" in text) == (["E0798"], True)
        with pytest.raises(KeyError):
            call()
        assert text.startswith("error[E0798]: there is no parameter M.fc.weigth")
    assert "M.gone" not in net.params
    assert net.params.get("M.gone") is None


def test_values_by_name(net):
    before = X @ WEIGHTS["M.fc.weight"] + WEIGHTS["M.fc.offset"]
    np.testing.assert_array_equal(net.value("M.fc", X), before)
    np.testing.assert_array_equal(net.value("M.fc.offset", X), WEIGHTS["M.fc.offset"])
    found, text = codes(lambda: net.value("M.fd", X))
    assert found == ["E0798"]
    assert "M.fc" in text


def test_gradients_by_name(net):
    slope = expected(X) > 0
    np.testing.assert_allclose(net.gradient("M.fc.offset", X), slope.sum(0))
    np.testing.assert_allclose(net.gradient("x", X), slope @ WEIGHTS["M.fc.weight"].T)
    np.testing.assert_allclose(net.gradient("M.fc", X), slope)
    weighed = net.gradient("M.fc", X, cotangent=np.full((5, 2), 3.0))
    np.testing.assert_allclose(weighed, 3 * slope)


def test_pickle():
    net = module()
    net.params["M.fc.offset"] = [3, 4]
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again(X), net(X))
    assert again.signature == net.signature


def test_threads_at_once(net):
    batches = [X * k for k in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for x, result in zip(batches, pool.map(net, batches), strict=True):
            np.testing.assert_array_equal(result, expected(x))


def test_shows_itself(net):
    assert repr(net) == "<dlc module m.dl: 8 parameters\n  M(x: f32[N, F=3]) -> f32[N, H=2]>"
    assert "M.fc.weight: param f32[F=3, H=2]" in repr(net.params)
