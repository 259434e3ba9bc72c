"""Ties, infinities, NaN, extremes of integers, and known answers."""

import math

import numpy as np
import pytest
from op_cases import applied, gradients, inputs_of, run

from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import TypeRuleError, build
from dlc.ops.arrays import converted, round_bf16
from dlc.ops.philox import philox, uniform_words
from dlc.reference.interpreter import interpret

N, K, T = Axis("N"), Axis("K"), Axis("T")
I32, I64 = np.iinfo(np.int32), np.iinfo(np.int64)
INF, NAN = math.inf, math.nan


def vector(dtype, n):
    return TensorType.of(dtype, [(N, n)])


def on(op, dtype, *columns):
    types = [vector(dtype, len(c)) for c in columns]
    arrays = [
        converted(np.asarray(c), "i64" if dtype[0] in "iu" else "f64", dtype) for c in columns
    ]
    return applied(op, arrays, types)


def test_integer_arithmetic_wraps_and_divides_down():
    big, small = I32.max, I32.min
    np.testing.assert_array_equal(on("add", "i32", [big], [1]), [small])
    np.testing.assert_array_equal(on("neg", "i32", [small]), [small])
    np.testing.assert_array_equal(on("abs", "i32", [small]), [small])
    np.testing.assert_array_equal(
        on("floordiv", "i32", [7, -7, 7, -7, 5, small, 0], [2, 2, -2, -2, 0, -1, 0]),
        [3, -4, -4, 3, 0, small, 0],
    )
    np.testing.assert_array_equal(
        on("mod", "i32", [7, -7, 7, -7, 5, small], [2, 2, -2, -2, 0, -1]), [1, 1, -1, -1, 0, 0]
    )
    np.testing.assert_array_equal(on("sub", "u8", [1], [2]), [255])
    np.testing.assert_array_equal(on("floordiv", "u8", [9], [0]), [0])


def test_integer_powers():
    found = on(
        "pow", "i32", [2, 3, -2, 1, -1, -1, 2, 0, 0, 7], [10, 4, 3, -5, -3, -2, -1, 0, -1, 1]
    )
    np.testing.assert_array_equal(found, [1024, 81, -8, 1, -1, 1, 0, 1, 0, 7])
    np.testing.assert_array_equal(
        on("pow", "i32", [2, 3], [32, 21]), [0, np.int64(3**21).astype(np.int32)]
    )


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("f32", "i32", 2.9, 2), ("f32", "i32", -2.9, -2), ("f32", "i32", NAN, 0),
        ("f32", "i32", INF, I32.max), ("f32", "i32", -INF, I32.min), ("f32", "i32", 3e9, I32.max),
        ("f64", "i64", 1e19, I64.max), ("f64", "i64", -1e19, I64.min),
        ("f64", "i64", 2.0**62, 2**62), ("f32", "u8", 300.0, 255), ("f32", "u8", -1.0, 0),
        ("f32", "u8", 255.7, 255), ("i32", "u8", 300, 44), ("i64", "i32", 2**32 + 5, 5),
        ("f32", "bool", 0.5, True), ("f32", "bool", NAN, True), ("i32", "bool", 0, False),
        ("bool", "f32", True, 1.0), ("f64", "f32", 1e300, INF), ("f32", "f16", 1e6, INF),
        ("f32", "bf16", 1.00390625, 1.0), ("f32", "bf16", 1.01171875, 1.015625),
    ],
)  # fmt: skip
def test_casts(source, target, value, expected):
    array = np.array(
        value, {"f32": "f4", "f64": "f8", "i32": "i4", "i64": "i8", "bool": "?"}[source]
    )
    assert applied("cast", [array], [TensorType(source)], dtype=target) == expected


def test_bf16_rounds_to_even_and_keeps_nan_and_infinity():
    bits = np.array(
        [0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0xFF812345],
        np.uint32,
    )
    found = round_bf16(bits.view(np.float32)).view(np.uint32) >> 16
    np.testing.assert_array_equal(found[:5], [0x3F80, 0x3F82, 0x3F81, 0x7F80, 0x7F80])
    assert np.isnan(round_bf16(bits.view(np.float32))[5:]).all()


def test_low_precision_rounds_after_every_op():
    third = converted(np.array([1 / 3]), "f64", "bf16")
    out = applied("mul", [third, third], [vector("bf16", 1)] * 2)
    np.testing.assert_array_equal(out, round_bf16(third * third))
    assert (
        applied("add", [np.float16([60000]), np.float16([60000])], [vector("f16", 1)] * 2)[0] == INF
    )


def test_nan_wins_and_halves_round_to_even():
    assert np.isnan(on("maximum", "f32", [NAN, 1], [1, NAN])).all()
    np.testing.assert_array_equal(on("round", "f32", [0.5, 1.5, 2.5, -0.5]), [0, 2, 2, 0])
    np.testing.assert_array_equal(on("sign", "f32", [-INF, 0, 3]), [-1, 0, 1])
    np.testing.assert_array_equal(on("ne", "f32", [NAN], [NAN]), [True])
    np.testing.assert_array_equal(on("mod", "f32", [-1, 1], [3, -3]), [2, -2])


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_delicate_functions_do_not_overflow(dtype):
    x = [-1e4, -80.0, 0.0, 80.0, 1e4, INF, -INF]
    np.testing.assert_allclose(
        on("sigmoid", dtype, x), [0, math.exp(-80), 0.5, 1, 1, 1, 0], rtol=1e-5
    )
    np.testing.assert_allclose(
        on("softplus", dtype, x), [0, math.exp(-80), math.log(2), 80, 1e4, INF, 0], rtol=1e-5
    )
    np.testing.assert_array_equal(on("tanh", dtype, [-INF, -1e4, 0, 1e4]), [-1, -1, 0, 1])
    np.testing.assert_allclose(
        on("erf", dtype, [-INF, -0.5, 0, 0.5, 6]),
        [-1, -math.erf(0.5), 0, math.erf(0.5), 1],
        rtol=1e-6,
    )
    nodes = inputs_of([vector(dtype, len(x))])
    slope = gradients(build.softplus(nodes[0]), build.ones(nodes[0].type), nodes)
    found = run(
        {"d": slope[0]}, nodes, [np.array(x, dtype.replace("f32", "f4").replace("f64", "f8"))]
    )["d"]
    np.testing.assert_array_equal(found, on("sigmoid", dtype, x))


def test_reductions_over_nothing_and_nan():
    empty = TensorType.of("f32", [(N, 2), (K, 0)])
    array = np.zeros((2, 0), np.float32)
    assert (applied("reduce_max", [array], [empty], over=(K,)) == -INF).all()
    assert (applied("reduce_min", [array], [empty], over=(K,)) == INF).all()
    assert (applied("reduce_sum", [array], [empty], over=(K,)) == 0).all()
    assert (applied("argmax", [array], [empty], over=(K,)) == 0).all()
    ints = empty.cast("i32")
    assert (applied("reduce_max", [array.astype("i4")], [ints], over=(K,)) == I32.min).all()
    bools = empty.cast("bool")
    assert not applied("reduce_max", [array.astype("?")], [bools], over=(K,)).any()
    assert applied("reduce_min", [array.astype("?")], [bools], over=(K,)).all()
    type = vector("f32", 4)
    values = np.array([1, NAN, 5, NAN], np.float32)
    assert applied("argmax", [values], [type], over=(N,)) == 1
    assert applied("argmin", [values], [type], over=(N,)) == 1
    assert np.isnan(applied("reduce_max", [values], [type], over=(N,)))


@pytest.mark.parametrize(("over", "linear", "first"), [((N, K), 1, (0, 1)), ((K, N), 1, (1, 0))])
def test_extremes_count_in_the_order_named(over, linear, first):
    type = TensorType.of("f32", [(N, 2), (K, 3)])
    array = np.array([[0, 7, 7], [7, 1, 2]], np.float32)
    assert applied("argmax", [array], [type], over=over) == linear
    nodes = inputs_of([type])
    y = build.reduce_max(nodes[0], over)
    found = run({"d": gradients(y, build.const(1, "f32"), nodes)[0]}, nodes, [array])["d"]
    expected = np.zeros((2, 3))
    expected[first] = 1
    np.testing.assert_array_equal(found, expected)


def test_ties_of_maximum_are_halved_and_rows_of_infinity_have_a_first():
    nodes = inputs_of([vector("f32", 3)] * 2)
    g = build.ones(nodes[0].type)
    parts = gradients(build.maximum(*nodes), g, nodes)
    found = run(
        {"a": parts[0], "b": parts[1]}, nodes, [np.float32([1, 2, 0]), np.float32([1, 0, 2])]
    )
    np.testing.assert_array_equal(found["a"], [0.5, 1, 0])
    np.testing.assert_array_equal(found["b"], [0.5, 0, 1])
    x = nodes[0]
    y = build.reduce_max(x, (N,))
    (d,) = gradients(y, build.const(1, "f32"), [x])
    np.testing.assert_array_equal(run({"d": d}, [x], [np.full(3, -INF, "f4")])["d"], [1, 0, 0])


def test_a_guarded_product_has_its_true_second_derivative():
    """(x * x - 1) ** 2 at 1: the inner cotangent is 0 there, the second derivative 8."""
    (x,) = inputs_of([TensorType("f64")])
    inner = build.sub(build.mul(x, x), 1)
    one = build.const(1, "f64")
    (first,) = gradients(build.mul(inner, inner), one, [x])
    (second,) = gradients(first, one, [x])
    found = run({"1": first, "2": second}, [x], [np.float64(1)])
    assert (found["1"], found["2"]) == (0, 8)


@pytest.mark.parametrize("bad", [0.0, -1.0, -INF, NAN])
def test_where_shields_what_it_does_not_choose(bad):
    for function in (build.sqrt, build.log, build.rsqrt, lambda v: build.mul(v, build.log(v))):
        (x,) = inputs_of([vector("f64", 2)])
        y = build.where(build.gt(x, 0), function(x), 0)
        (d,) = gradients(y, build.ones(x.type), [x])
        found = run({"d": d}, [x], [np.array([bad, 1.0])])["d"]
        assert found[0] == 0
        assert np.isfinite(found[1])


def test_powers_of_constants():
    (x,) = inputs_of([vector("f64", 4)])
    values = np.array([-2.0, 0.0, 1.0, 3.0])
    for exponent in (0, 1, 2, 3):
        y = build.pow(x, exponent)
        (d,) = gradients(y, build.ones(x.type), [x])
        expected = exponent * values ** max(exponent - 1, 0)
        np.testing.assert_array_equal(run({"d": d}, [x], [values])["d"], expected)


def test_gather_clamps_and_scatter_drops():
    table, index = vector("f32", 4).cast("f32"), TensorType.of("i32", [(T, 3)])
    values, at = np.arange(4, dtype=np.float32), np.array([-7, 2, 9], np.int32)
    np.testing.assert_array_equal(
        applied("gather", [values, at], [table, index], axes=(N,)), [0, 2, 3]
    )
    x = TensorType.of("f32", [(T, 3)])
    sums = applied(
        "scatter", [values[1:], at], [x, index], axes=(K,), sizes=(Size.of(4),), over=(T,)
    )
    np.testing.assert_array_equal(sums, [0, 0, 2, 0])
    nodes = inputs_of([table, index])
    (d,) = gradients(build.gather(nodes[0], nodes[1:], (N,)), build.ones(x), nodes[:1])
    np.testing.assert_array_equal(run({"d": d}, nodes, [values, at])["d"], [1, 0, 1, 1])
    nodes = inputs_of([x, index])
    y = build.scatter(nodes[0], nodes[1:], (K,), (4,), (T,))
    (d,) = gradients(y, build.ones(y.type), nodes[:1])
    np.testing.assert_array_equal(run({"d": d}, nodes, [values[1:], at])["d"], [0, 1, 0])


def test_gather_places_axes_by_name():
    x = TensorType.of("f32", [(N, 2), (K, 3), (T, 4)])
    i = TensorType.of("i32", [(Axis("P"), 5), (N, 2)])
    out = build.gather(input_node("x", x), [input_node("i", i)], (K,))
    assert [a.name for a in out.type.axes] == ["N", "P", "T"]
    out = build.gather(input_node("x", x), [input_node("i", i)], (N,))
    assert [a.name for a in out.type.axes] == ["P", "N", "K", "T"]


def test_scatter_sums_in_order():
    """1e8 + 1 - 1e8 in float32 is 0 from the left, 1 from the right."""
    x, i = TensorType.of("f32", [(N, 1), (K, 3)]), TensorType.of("i32", [(K, 3)])
    values = np.array([[1e8, 1, -1e8]], np.float32)
    at = np.zeros(3, np.int32)
    attrs = {"axes": (T,), "sizes": (Size.of(1),)}
    assert applied("scatter", [values, at], [x, i], over=(N, K), **attrs)[0] == 0
    np.testing.assert_array_equal(
        applied("scatter", [values, at], [x, i], over=(K,), **attrs), [[0]]
    )


def test_argsort_is_stable_with_nan_last():
    found = applied("argsort", [np.float32([NAN, 2, 1, 2, -INF])], [vector("f32", 5)], over=(N,))
    np.testing.assert_array_equal(found, [4, 2, 1, 3, 0])


def test_types_that_do_not_fit():
    a, b = input_node("a", vector("f32", 3)), input_node("b", vector("f32", 4))
    with pytest.raises(TypeRuleError, match="axis N has two sizes here: 3 and 4") as caught:
        build.add(a, b)
    assert caught.value.axis == N
    with pytest.raises(TypeRuleError, match="one dtype, not f32 and i32"):
        build.add(a, input_node("c", vector("i32", 3)))
    with pytest.raises(TypeRuleError, match="needs axis K"):
        build.reduce_sum(a, (K,))
    with pytest.raises(TypeRuleError, match="stand twice"):
        build.rename(input_node("c", TensorType.of("f32", [(N, 3), (K, 3)])), {N: K})
    with pytest.raises(TypeRuleError, match="has two sizes here: 5 and 3"):
        build.broadcast(a, [(N, 5)])
    with pytest.raises(TypeRuleError, match="leaves axis N"):
        build.slice(a, N, start=2, size=2)
    with pytest.raises(TypeRuleError, match="300 is not a number of u8"):
        build.const(300, "u8")
    with pytest.raises(TypeRuleError, match="larger than its padded axis"):
        build.window(a, N, K, 6)


def test_unknown_sizes_are_accepted_and_stay_symbols():
    n, m = Size.symbol("N"), Size.symbol("M")
    a = input_node("a", TensorType.of("f32", [(N, n)]))
    b = input_node("b", TensorType.of("f32", [(N, m)]))
    assert build.add(a, b).type.size(N) == n
    assert build.window(a, N, K, 3, stride=2, before=1, after=1).type.size(N) == (n - 1) // 2 + 1
    assert build.concat([a, b], N).type.size(N) == n + m


def test_philox_known_answers():
    """The vectors of Random123's kat_vectors for philox4x32-10."""
    full, pi = "ffffffff ", "243f6a88 85a308d3 13198a2e 03707344"
    table = [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (full * 4, full * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (pi, "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ]
    for counter, key, expected in table:
        words = [np.array([int(w, 16)], np.uint64) for w in counter.split()]
        k0, k1 = (int(w, 16) for w in key.split())
        found = philox((words[0], words[1], words[2], words[3]), (k0, k1))
        assert " ".join(f"{int(w[0]):08x}" for w in found) == expected


def test_uniform_is_open_and_numbers_the_batch_outermost():
    seed, step = input_node("seed", TensorType("i64")), input_node("step", TensorType("i64"))
    n = Size.symbol("N")
    drawn = build.uniform(seed, step, [(K, 3), (N, n)], place=5 << 32 | 9, word=2)
    assert drawn.attrs["order"] == (N, K)
    two = run_sized(drawn, [seed, step], 2)
    three = run_sized(drawn, [seed, step], 3)
    np.testing.assert_array_equal(two, three[:, :2])
    flat = uniform_words(11, 3, np.arange(6, dtype=np.uint64), 5 << 32 | 9, 2)
    np.testing.assert_array_equal(two.T.ravel(), flat)
    many = uniform_words(-1, 2**40, np.arange(20_000, dtype=np.uint64), 1, 0)
    assert 0 < many.min() < 1e-3 < 1 - 1e-3 < many.max() < 1
    assert abs(many.mean() - 0.5) < 0.01


def run_sized(node, inputs, n):
    feeds = {"seed": np.int64(11), "step": np.int64(3)}
    return interpret(Graph(tuple(inputs), {"u": node}), feeds, {"N": n})["u"]
