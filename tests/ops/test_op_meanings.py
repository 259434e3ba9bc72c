"""Meanings against independent definitions: einsum, and loops over single elements."""

from itertools import product

import numpy as np
import pytest
from op_cases import applied, drawn

from dlc.graph import Axis
from dlc.ops import REGISTRY
from dlc.ops.arrays import round_bf16, shape_of


def samples(name):
    return [pytest.param(s, id=f"{name}-{k}") for k, s in enumerate(REGISTRY[name].samples)]


def letters(axes, names):
    return "".join(names.setdefault(a, "abcdefgh"[len(names)]) for a in axes)


@pytest.mark.parametrize("sample", samples("dot"))
def test_dot_is_einsum(sample):
    arrays = drawn(REGISTRY["dot"], sample)
    result = REGISTRY["dot"].type(sample.types, sample.attrs)
    names: dict[Axis, str] = {}
    left, right, out = (letters(t.axes, names) for t in (*sample.types, result))
    exact = np.einsum(f"{left},{right}->{out}", *(a.astype(float) for a in arrays))
    found = applied("dot", arrays, sample.types, **sample.attrs)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)


def test_dot_of_bf16_sums_in_float32():
    sample = REGISTRY["dot"].samples[0]
    types = [t.cast("bf16") for t in sample.types]
    x, y = (round_bf16(a) for a in drawn(REGISTRY["dot"], sample))
    found = applied("dot", [x, y], types, **sample.attrs)
    np.testing.assert_allclose(found, round_bf16(x @ y), rtol=2**-7)


@pytest.mark.parametrize("sample", samples("gather"))
def test_gather_element_by_element(sample):
    x, *indices = drawn(REGISTRY["gather"], sample)
    axes, types = sample.attrs["axes"], sample.types
    result = REGISTRY["gather"].type(types, sample.attrs)
    found = applied("gather", [x, *indices], types, **sample.attrs)
    for place in product(*map(range, shape_of(result))):
        at = dict(zip(result.axes, place, strict=True))
        read = {
            a: i[tuple(at[b] for b in t.axes)]
            for a, i, t in zip(axes, indices, types[1:], strict=True)
        }
        assert found[place] == x[tuple(read.get(a, at.get(a)) for a in types[0].axes)]


@pytest.mark.parametrize("sample", samples("scatter"))
def test_scatter_element_by_element(sample):
    x, *indices = drawn(REGISTRY["scatter"], sample)
    axes, types = sample.attrs["axes"], sample.types
    result = REGISTRY["scatter"].type(types, sample.attrs)
    expected = np.zeros(shape_of(result))
    dims = {a: n.constant for t in types for a, n in t.dims}
    for place in product(*map(range, dims.values())):
        at = dict(zip(dims, place, strict=True))
        value = x[tuple(at[a] for a in types[0].axes)]
        for axis, i, t in zip(axes, indices, types[1:], strict=True):
            at = {**at, axis: i[tuple(at[b] for b in t.axes)]}
        expected[tuple(at[a] for a in result.axes)] += value
    found = applied("scatter", [x, *indices], types, **sample.attrs)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sample", samples("window"))
def test_window_element_by_element(sample):
    (x,), a = drawn(REGISTRY["window"], sample), sample.attrs
    x = x if x.ndim == 3 else x[None, :, None]
    found = applied("window", [drawn(REGISTRY["window"], sample)[0]], sample.types, **a)
    found = found if found.ndim == 4 else found[None, :, :, None]
    for n, o, k, c in np.ndindex(found.shape):
        at = o * a["stride"] + k * a["dilation"] - a["before"].constant
        expected = x[n, at, c] if 0 <= at < x.shape[1] else a["value"]
        assert found[n, o, k, c] == np.float32(expected)


@pytest.mark.parametrize("name", ["reduce_sum", "reduce_max", "reduce_min"])
def test_reductions_are_numpys(name):
    function = {"reduce_sum": np.sum, "reduce_max": np.max, "reduce_min": np.min}[name]
    for sample in REGISTRY[name].samples:
        (x,) = drawn(REGISTRY[name], sample)
        over = tuple(sample.types[0].axes.index(a) for a in sample.attrs["over"])
        found = applied(name, [x], sample.types, **sample.attrs)
        np.testing.assert_allclose(found, function(x, axis=over), rtol=1e-6)
