"""The interpreter on whole graphs, and what it says of feeds that do not fit."""

import numpy as np
import pytest

from dlc.diagnostics import DlcError
from dlc.graph import Axis, Graph, RangeCheck, Size, SizeCheck, TensorType, input_node
from dlc.ops import build
from dlc.reference.interpreter import interpret

N, K, T = Axis("N"), Axis("K"), Axis("T")
n, t = Size.symbol("N"), Size.symbol("T")


def graph(*types, out=None, checks=()):
    inputs = [input_node(f"x{k}", TensorType.of(d, dims)) for k, (d, dims) in enumerate(types)]
    out = out or (lambda *xs: xs[0])
    return Graph(tuple(inputs), {"out": out(*inputs)}, tuple(checks))


def failure(program, feeds, sizes=None):
    with pytest.raises(DlcError) as caught:
        interpret(program, feeds, sizes)
    assert caught.value.exit_code == 3
    (problem,) = caught.value.diagnostics
    return problem.code, problem.message


ROW = ("f32", [(N, n), (K, 3)])


def test_a_softmax():
    def softmax(x):
        e = build.exp(build.sub(x, build.reduce_max(x, (K,))))
        return build.div(e, build.reduce_sum(e, (K,)))

    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    found = interpret(graph(ROW, out=softmax), {"x0": x})["out"]
    expected = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32
    assert interpret(graph(ROW, out=softmax), {"x0": x[:0]})["out"].shape == (0, 3)


def test_sizes_are_found_in_shapes_and_attributes():
    double = Size.of(2) * n + 1
    program = graph(("f32", [(N, double)]), out=lambda x: build.pad(x, N, after=n))
    assert interpret(program, {"x0": np.ones(7)})["out"].shape == (10,)
    counted = graph(("f32", [(T, t)]), out=lambda x: build.size(t * 3))
    assert interpret(counted, {"x0": np.ones(5)})["out"] == 15


def test_a_size_that_no_input_has_is_given_by_name():
    program = Graph((), {"out": build.index(T, t)})
    np.testing.assert_array_equal(interpret(program, {}, {"T": 3})["out"], [0, 1, 2])
    code, message = failure(program, {})
    assert (code, message) == ("E0717", "the size of axis T is not known: no input has it")
    assert failure(program, {}, {"T": -1})[0] == "E0718"
    assert failure(program, {}, {"S": 1}) == ("E0718", "there is no run-time size S; there is T")


def test_a_size_that_only_a_check_has_is_asked_for():
    program = graph(ROW, checks=[SizeCheck(n, ">=", t, "N and T")])
    assert failure(program, {"x0": np.ones((2, 3))})[0] == "E0717"
    assert interpret(program, {"x0": np.ones((2, 3))}, {"T": 2})["out"].shape == (2, 3)


def test_outputs_are_the_callers_own():
    x = np.ones((2, 3), np.float32)
    out = interpret(graph(ROW), {"x0": x})["out"]
    out[0] = 5
    assert x[0, 0] == 1


def test_decisions_force_results():
    program = graph(ROW, out=lambda x: build.argmax(x, (K,)))
    x = np.zeros((2, 3), np.float32)
    forced = {program.outputs["out"]: np.array([2, 1], np.int32)}
    np.testing.assert_array_equal(interpret(program, {"x0": x}, decisions=forced)["out"], [2, 1])


def test_feeds_convert_where_no_value_changes():
    assert interpret(graph(ROW), {"x0": np.ones((1, 3))})["out"].dtype == np.float32
    assert interpret(graph(ROW), {"x0": np.ones((1, 3), np.uint8)})["out"].dtype == np.float32
    labels = graph(("i32", [(N, n)]))
    assert interpret(labels, {"x0": np.array([1, 2])})["out"].dtype == np.int32
    scalar = graph(("i64", []))
    assert interpret(scalar, {"x0": 3})["out"] == 3


def test_what_does_not_fit_is_told():
    assert failure(graph(ROW), {}) == (
        "E0710", "input x0: f32[N, K=3] is missing; given: none",
    )  # fmt: skip
    assert failure(graph(ROW), {"x0": np.ones((1, 3)), "y": 1})[0] == "E0711"
    assert failure(graph(ROW), {"x0": np.ones(3)})[0] == "E0712"
    assert failure(graph(ROW), {"x0": np.ones((2, 4))}) == (
        "E0713", "axis K of input x0 is 4, not 3",
    )  # fmt: skip
    pair = graph(ROW, ("f32", [(N, n)]))
    assert failure(pair, {"x0": np.ones((2, 3)), "x1": np.ones(5)}) == (
        "E0713", "axis N of input x1 is 5, not N = 2 (N is 2 from axis N of x0)",
    )  # fmt: skip
    labels = graph(("i32", [(N, n)]))
    assert failure(labels, {"x0": np.ones(2)})[0] == "E0714"
    assert failure(labels, {"x0": np.array([1, 2**40])}) == (
        "E0714", "input x0 is i32, but int64 was given: 1099511627776 does not fit",
    )  # fmt: skip


def test_checks_at_the_entry():
    size = SizeCheck(n, "==", t, "axis N of x0 and axis T of x1")
    pair = graph(("f32", [(N, n)]), ("f32", [(T, t)]), checks=[size])
    assert interpret(pair, {"x0": np.ones(2), "x1": np.ones(2)})["out"].shape == (2,)
    assert failure(pair, {"x0": np.ones(2), "x1": np.ones(3)}) == (
        "E0715", "axis N of x0 and axis T of x1: N = 2 must equal T = 3",
    )  # fmt: skip
    whole = graph(("f32", [(N, n)]), checks=[SizeCheck(n, "divisible", Size.of(4), "N / 4")])
    assert failure(whole, {"x0": np.ones(6)})[0] == "E0715"
    labels = graph(("i32", [(N, n)]), checks=[RangeCheck("x0", Size.of(10), K)])
    assert interpret(labels, {"x0": np.array([0, 9])})["out"].size == 2
    assert failure(labels, {"x0": np.array([3, 10])}) == (
        "E0716", "input x0 indexes axis K of size 10, but holds 10 at [1]",
    )  # fmt: skip
    assert failure(labels, {"x0": np.array([-1])})[0] == "E0716"


def test_sizes_that_turn_out_unequal_never_stretch():
    """An equality that the type rule left open is no licence for NumPy to repeat a size of 1."""
    pair = graph(("f32", [(N, n)]), ("f32", [(N, t)]), out=build.add)
    assert interpret(pair, {"x0": np.ones(3), "x1": np.ones(3)})["out"].shape == (3,)
    with pytest.raises(Exception, match="two sizes"):
        interpret(pair, {"x0": np.ones(3), "x1": np.ones(1)})
