import numpy as np
import pytest
from numpy.testing import assert_array_equal

RNG = np.random.default_rng(0)
FLOATS, INTEGERS = ("f32", "f64"), ("i32", "i64", "u8")
NUMPY = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64, "u8": np.uint8}
SPECIAL = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 3e9, -7])


def values(dtype: str, count: int = 333) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of values, special ones met with each other."""
    if dtype in FLOATS:
        a, b = (g.ravel() for g in np.meshgrid(SPECIAL, SPECIAL))
        rest = RNG.normal(size=(2, count)) * 10
        return tuple(np.concatenate(p).astype(NUMPY[dtype]) for p in ((a, rest[0]), (b, rest[1])))
    limits = np.iinfo(NUMPY[dtype])
    edge = np.array([0, 1, 2, 3, 7, limits.max, limits.min, limits.min + 1, limits.max - 1])
    if dtype != "u8":
        edge = np.concatenate([edge, [-1, -2, -3, -7]])
    a, b = (g.ravel() for g in np.meshgrid(edge, edge))
    rest = RNG.integers(limits.min, limits.max, size=(2, count), endpoint=True)
    rest[1, ::2] = rest[1, ::2] % 100 - (50 if dtype != "u8" else 0)
    return tuple(np.concatenate(p).astype(NUMPY[dtype]) for p in ((a, rest[0]), (b, rest[1])))


def quiet(function, *operands):
    with np.errstate(all="ignore"):
        return function(*operands)


BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum,
    "minimum": np.minimum,
}  # fmt: skip
COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip
UNARY = {"neg": np.negative, "abs": np.abs, "sign": np.sign}
ROUNDING = {"floor": np.floor, "ceil": np.ceil, "round": np.round}


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_arithmetic(native, dtype):
    x, y = values(dtype)
    formulas = {n: (f"{n}(x, y)", dtype) for n in BINARY}
    formulas |= {n: (f"{n}(x, y)", "bool") for n in COMPARE}
    formulas |= {n: (f"{n}(x)", dtype) for n in UNARY}
    formulas |= {"select": ("select(gt(x, y), x, y)", dtype)}
    got = native.map(formulas, (dtype, x), (dtype, y))
    for name, function in (BINARY | COMPARE).items():
        assert_array_equal(got[name], quiet(function, x, y), err_msg=name)
    for name, function in UNARY.items():
        assert_array_equal(got[name], quiet(function, x), err_msg=name)
    assert_array_equal(got["select"], np.where(x > y, x, y))


@pytest.mark.parametrize("dtype", FLOATS)
def test_division_and_rounding_of_floats(native, dtype):
    x, y = values(dtype)
    formulas = {n: (f"{n}(x)", dtype) for n in ROUNDING}
    formulas |= {n: (f"{n}(x, y)", dtype) for n in ("div", "floordiv", "mod")}
    formulas |= {n: (f"{n}(x)", "bool") for n in ("is_finite", "is_nan")}
    formulas |= {"fma": ("fma(x, y, x)", dtype), "fast": ("fadd_fast(x, y)", dtype)}
    got = native.map(formulas, (dtype, x), (dtype, y))
    for name, function in ROUNDING.items():
        assert_array_equal(got[name], function(x), err_msg=name)
    assert_array_equal(got["div"], quiet(np.divide, x, y))
    assert_array_equal(got["floordiv"], quiet(np.floor_divide, x, y))
    assert_array_equal(got["mod"], quiet(np.mod, x, y))
    assert_array_equal(got["is_finite"], np.isfinite(x))
    assert_array_equal(got["is_nan"], np.isnan(x))
    assert_array_equal(got["fast"], quiet(np.add, x, y))
    if dtype == "f32":
        wide = quiet(lambda a, b: (a * b + a).astype("f4"), x.astype("f8"), y.astype("f8"))
        np.testing.assert_allclose(got["fma"], wide, rtol=2e-7)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_division_of_integers_rounds_down_and_never_traps(native, dtype):
    x, y = values(dtype, 20000)
    formulas = {n: (f"{n}(x, y)", dtype) for n in ("floordiv", "mod", "div")}
    got = native.map(formulas, (dtype, x), (dtype, y))
    safe = np.where(y == 0, 1, y)
    down = np.where(y == 0, 0, quiet(np.floor_divide, x, safe))
    assert_array_equal(got["floordiv"], down)
    assert_array_equal(got["div"], down)
    assert_array_equal(got["mod"], np.where(y == 0, 0, quiet(np.mod, x, safe)))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_powers_of_integers_wrap(native, dtype):
    x, y = values(dtype)
    got = native.map({"pow": ("pow(x, y)", dtype)}, (dtype, x), (dtype, y))["pow"]
    bits = NUMPY[dtype]().itemsize * 8
    for base, up, power in zip(x.tolist(), y.tolist(), got.tolist(), strict=True):
        if up < 0:
            want = {1: 1, -1: -1 if up % 2 else 1}.get(base, 0)
        else:
            want = pow(base, up, 2**bits)
            want -= 2**bits if dtype != "u8" and want >= 2 ** (bits - 1) else 0
        assert power == want, (base, up)


def saturated(x: np.ndarray, dtype: str) -> np.ndarray:
    limits = np.iinfo(NUMPY[dtype])
    out = []
    for v in x.tolist():
        whole = 0 if np.isnan(v) else (limits.max if v > 0 else limits.min) if np.isinf(v) else v
        out.append(min(max(int(whole), limits.min), limits.max))
    return np.array(out, NUMPY[dtype])


@pytest.mark.parametrize("source", [*FLOATS, *INTEGERS, "bool"])
def test_casts(native, source):
    x = values(source)[0] if source != "bool" else RNG.integers(0, 2, 100).astype(bool)
    x = np.concatenate([x, x * 300]) if source in FLOATS else x
    targets = [*FLOATS, *INTEGERS, "bool", "f16"]
    got = native.map({t: (f"cast_{t}(x)", t) for t in targets}, (source, x))
    for target in targets:
        if target in INTEGERS and source in FLOATS:
            want = saturated(x, target)
        else:
            kind = NUMPY.get(target, {"bool": np.bool_, "f16": np.float16}.get(target))
            middle = x.astype(np.float32) if target == "f16" else x  # the value is a float32
            want = quiet(middle.astype, kind)
        assert_array_equal(got[target], want, err_msg=target)


def every_half() -> np.ndarray:
    return np.arange(2**16, dtype=np.uint16)


@pytest.mark.parametrize("hardware", [True, False])
def test_half_floats_round_to_nearest_even(native, make_native, hardware):
    machine = native.machine
    if not hardware:  # the code for processors without conversions, on this one
        features = machine.features.replace("+f16c", "-f16c") + ",-avx512f,-avx2,-fma"
        kind = type(machine)
        machine = kind("x86-64-v2", 4, 16, "x86-64-v2", "+sse4.2", machine.triple)
        assert "-f16c" in features or not native.machine.has("f16c")
    if not hardware and not native.machine.name.startswith("x86"):
        pytest.skip("this processor has them always")
    halves = every_half().view(np.float16)
    here = make_native(machine)
    wide = here.map({"y": ("x", "f32")}, ("f16", halves))["y"]
    with np.errstate(invalid="ignore"):  # NumPy's own conversion of signaling NaNs on arm64
        assert_array_equal(wide, halves.astype(np.float32))
    finite = halves[np.isfinite(halves)].astype(np.float32)
    step = np.nextafter(finite, np.float32(np.inf))
    ties = (finite + np.roll(finite, 1)) / 2
    x = np.concatenate([finite, step, ties, [65519.9, 65520, 65536, 1e30, 2e-8, 2.9e-8, 3.1e-8]])
    x = np.concatenate([x, -x, SPECIAL]).astype(np.float32)
    got = here.map({"y": ("x", "f16")}, ("f32", x))["y"]
    with np.errstate(all="ignore"):
        assert_array_equal(got, x.astype(np.float16))


def test_bfloat16(native):
    bits = every_half()
    got = native.map({"same": ("x", "bf16"), "wide": ("x", "f32")}, ("bf16", bits))
    want = (bits.astype(np.uint32) << 16).view(np.float32)
    assert_array_equal(got["wide"], want)
    numbers = ~np.isnan(want)
    assert_array_equal(got["same"][numbers], bits[numbers])
    x = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, 3.4e38, np.nan], "f4")
    rounded = native.map({"y": ("cast_bf16(x)", "f32")}, ("f32", x))["y"]
    assert_array_equal(rounded, np.array([1, 1 + 2**-6, 1 + 2**-7, np.inf, np.nan], "f4"))


def test_masks(native):
    x, y = RNG.integers(0, 2, (2, 64)).astype(bool)
    formulas = {
        "and": ("and_(x, y)", "bool"), "or": ("or_(x, y)", "bool"), "xor": ("xor_(x, y)", "bool"),
        "not": ("not_(x)", "bool"), "all": ("all_lanes()", "bool"), "no": ("no_lanes()", "bool"),
        "eq": ("eq(x, y)", "bool"), "of": ("mask_of(u % 2 == 0)", "bool"),
        "below": ("below(u - 1)", "bool"), "far": ("below(u * 1000000000000 - 1)", "bool"),
        "select": ("select(x, x, y)", "bool"), "fold_and": ("fold_and(or_(x, y))", "bool"),
        "fold_or": ("fold_or(and_(x, y))", "bool"), "any": ("mask_of(any_lane(x))", "bool"),
    }  # fmt: skip
    got = native.map(formulas, ("bool", x), ("bool", y))
    lanes = native.lanes
    unit, lane = np.arange(64) // lanes, np.arange(64) % lanes
    fold = lambda m, f: np.repeat(f(m.reshape(-1, lanes), axis=1), lanes)  # noqa: E731
    want = {
        "and": x & y, "or": x | y, "xor": x ^ y, "not": ~x, "all": x | True, "no": x & False,
        "eq": x == y, "of": unit % 2 == 0, "below": lane < unit - 1, "far": unit > 0,
        "select": x | y, "fold_and": fold(x | y, np.all), "fold_or": fold(x & y, np.any),
        "any": fold(x, np.any),
    }  # fmt: skip
    for name, value in want.items():
        assert_array_equal(got[name], value, err_msg=name)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_folds_and_lanes(native, dtype):
    x = np.resize(values(dtype)[0], 320)
    names = ("fold_add", "fold_max", "fold_min")
    formulas = {n: (f"{n}(x)", dtype) for n in names}
    formulas |= {"lane": ("lane(x, u % 4)", dtype), "last": (f"lane(x, {native.lanes - 1})", dtype)}
    got = native.map(formulas, (dtype, x))
    rows = x.reshape(-1, native.lanes)
    tree = rows.copy()
    while tree.shape[1] > 1:
        half = tree.shape[1] // 2
        tree = quiet(np.add, tree[:, :half], tree[:, half:])
    spread = lambda v: np.repeat(v, native.lanes)  # noqa: E731
    assert_array_equal(got["fold_add"], spread(tree[:, 0]))
    assert_array_equal(got["fold_max"], spread(rows.max(axis=1)))
    assert_array_equal(got["fold_min"], spread(rows.min(axis=1)))
    assert_array_equal(got["last"], spread(rows[:, -1]))
    assert_array_equal(got["lane"], spread(rows[np.arange(len(rows)), np.arange(len(rows)) % 4]))


def test_constants_and_counting(native):
    x = np.zeros(64, "f4")
    formulas = {
        "a": ("const_f32(0.1)", "f32"), "b": ("const_f32(3)", "f32"),
        "c": ("const_f32(inf)", "f32"),
        "d": ("const_i32(-5)", "i32"), "e": ("const_u8(255)", "u8"),
        "f": ("const_bool(True)", "bool"),
        "g": ("const_i64(1 << 40)", "i64"), "h": ("const_bf16(1.00390625)", "f32"),
        "i": ("const_f64(0.1)", "f64"), "j": ("const_f32(u + 1)", "f32"),
        "k": ("lanes_i64(u * 10)", "i64"), "l": ("lanes_i32(u * 10)", "i32"),
        "m": ("const_f16(0.1)", "f16"), "n": ("const_i32(u > 2)", "i32"),
        "o": ("const_f32(-inf)", "f32"), "p": ("const_f32(nan)", "f32"),
    }  # fmt: skip
    got = native.map(formulas, ("f32", x))
    unit, lane = np.arange(64) // native.lanes, np.arange(64) % native.lanes
    want = {
        "a": np.float32(0.1), "b": 3, "c": np.inf, "d": -5, "e": 255, "f": True, "g": 1 << 40,
        "h": 1, "i": 0.1, "j": unit + 1, "k": unit * 10 + lane, "l": unit * 10 + lane,
        "m": np.float16(0.1), "n": unit > 2, "o": -np.inf, "p": np.nan,
    }  # fmt: skip
    for name, value in want.items():
        assert_array_equal(got[name], np.broadcast_to(value, 64), err_msg=name)


def test_scalar_functions(native):
    a = np.array([-7, -1, 0, 1, 7, 2**40, -(2**40)])
    b = np.array([3, 1, 5, 9, 2, 7, 7])
    out = np.zeros((4, 7), "i8")
    body = "\n".join(
        f"set_i64(c, {row * 7} + u, {name}(get_i64(a, u), get_i64(b, u)))"
        for row, name in enumerate(("imin", "imax", "floor_div", "floor_mod"))
    )
    native.call(body, 0, 7, a, b, out)
    assert_array_equal(out, [np.minimum(a, b), np.maximum(a, b), a // b, a % b])
