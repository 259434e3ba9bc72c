import math

import numpy as np
import pytest

TESTED = np.vectorize(math.erf, otypes=[np.float64])


def logistic(x):
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, z) / (1 + z)


def soft(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# Largest error in units in the last place, over all float32.
FUNCTIONS = {
    "exp": (np.exp, 1.1),
    "log": (np.log, 1.0),
    "log1p": (np.log1p, 1.6),
    "expm1": (np.expm1, 1.6),
    "tanh": (np.tanh, 2.5),
    "sigmoid": (logistic, 2.5),
    "softplus": (soft, 2.0),
    "erf": (TESTED, 1.5),
    "sin": (np.sin, 1.0),
    "cos": (np.cos, 1.0),
    "tan": (np.tan, 1.0),
    "sqrt": (np.sqrt, 0.5),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5),
}
SPECIAL = np.array(
    [0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-40, -1e-40,
     1.1754944e-38, 3.4028235e38, -3.4028235e38, 88.72283, 88.72284, -87.33655, -103.97208,
     -104.5, 1e30, 2.0**30, 2.0**30 + 128, 2.0**31, 1e-8, 16777216, np.pi, 1.0000001, 0.99999994],
    np.float32,
)  # fmt: skip


def stride(step: int) -> np.ndarray:
    """Every `step`-th float32 by its bits: all magnitudes, both signs, NaNs."""
    return np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def ulps(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Errors against float64 values in units of their float32 neighbours' distance."""
    with np.errstate(all="ignore"):
        near = want.astype(np.float32)
        distance = np.spacing(np.minimum(np.abs(near), np.float32(3e38))).astype(np.float64)
        errors = np.abs(got.astype(np.float64) - want) / distance
    same = (got == near) | (np.isnan(got) & np.isnan(near))
    return np.where(same, np.minimum(np.nan_to_num(errors), 0.5), np.nan_to_num(errors, nan=1e9))


@pytest.fixture(scope="module")
def results(native):
    """All functions in one kernel, over a stride through all floats and a dense middle."""
    dense = np.linspace(-20, 20, 40001, dtype=np.float32)
    x = np.concatenate([SPECIAL, stride(64007), dense])
    formulas = {name: (f"{name}(x)", "f32") for name in FUNCTIONS}
    return x, native.map(formulas, ("f32", x))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bounds_hold(results, name):
    x, values = results
    reference, bound = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        want = reference(x.astype(np.float64))
    errors = ulps(values[name], want)
    worst = errors.argmax()
    assert errors[worst] <= bound, (errors[worst], x[worst], values[name][worst], want[worst])


@pytest.mark.parametrize("name", ["sin", "tan", "tanh", "erf", "expm1", "log1p", "sqrt"])
def test_zeros_keep_their_sign(results, name):
    _, values = results
    assert not np.signbit(values[name][0])
    assert np.signbit(values[name][1])


def test_doubles_agree_with_numpy(native):
    rng = np.random.default_rng(3)
    x = np.concatenate([SPECIAL.astype("f8"), rng.normal(size=200) * 5, [1e300, -1e300, 1e-320]])
    got = native.map({name: (f"{name}(x)", "f64") for name in FUNCTIONS}, ("f64", x))
    for name, (reference, _) in FUNCTIONS.items():
        with np.errstate(all="ignore"):
            want = reference(x)
        np.testing.assert_allclose(got[name], want, rtol=1e-14, err_msg=name)


POWERS = np.array(
    [0.0, -0.0, 1, -1, 2, -2, 3, 0.5, -0.5, -3, np.inf, -np.inf, np.nan, 1e30, -1e30, 3e-40, -3e-40,
     2.0**24, 2.0**25, 16777215, 1.0000001, 0.99999994],
    np.float32,
)  # fmt: skip


def test_powers(native):
    rng = np.random.default_rng(1)
    pairs = np.array([(a, b) for a in POWERS for b in POWERS], np.float32)
    base = np.concatenate([pairs[:, 0], np.exp(rng.normal(size=20000) * 8).astype("f4")])
    up = np.concatenate([pairs[:, 1], (rng.normal(size=20000) * 8).astype("f4")])
    base[-5000:] *= -1
    up[-5000:] = np.round(up[-5000:])
    got = native.map({"pow": ("pow(x, y)", "f32")}, ("f32", base), ("f32", up))["pow"]
    with np.errstate(all="ignore"):
        want = np.power(base.astype("f8"), up.astype("f8"))
    errors = ulps(got, want)
    worst = errors.argmax()
    assert errors[worst] <= 1, (base[worst], up[worst], got[worst], want[worst])
    double = native.map({"pow": ("pow(x, y)", "f64")}, ("f64", base), ("f64", up))["pow"]
    np.testing.assert_allclose(double, want, rtol=1e-14)
