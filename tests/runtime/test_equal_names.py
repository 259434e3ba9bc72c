"""Outputs called as inputs or params are arrays of their own, whatever runs the program."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import dlc
from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.runtime.build import build_executable
from dlc.runtime.checked import CheckedExecutable

LONG = TensorType.of("f32", [(Axis("N"), Size.symbol("N"))])
SHORT = TensorType.of("bf16", [(Axis("M"), Size.symbol("M"))])
X, Y = np.arange(20, dtype="f4"), np.array([1, -2, 3], "f4")


def program() -> Graph:
    """The outputs `x` and `y` have the types of the inputs `y` and `x`; `w` is a param too."""
    x, y, w = input_node("x", LONG), input_node("y", SHORT), input_node("w", LONG, "param")
    outputs = {"x": b.mul(y, 2.0), "y": b.add(x, w), "w": b.sub(w, x), "update:w": b.add(w, 1.0)}
    return Graph((x, y, w), outputs)


def checked(graph: Graph) -> CheckedExecutable:
    generated = generate(graph, host())
    return CheckedExecutable(generated.plan, generated.compile(1), 3)


@pytest.fixture(
    params=[
        partial(build_executable, interpret=True),
        partial(build_executable, threads=1),
        partial(build_executable, threads=3),
        checked,
    ],
    ids=["interpreted", "one thread", "three threads", "checked"],
)
def made(request):
    """A program with the param that it is bound to."""
    executable, w = request.param(program()), np.full(20, 5, "f4")
    executable.bind({"w": w})
    return executable, w


def test_outputs_called_as_inputs(made):
    executable, w = made
    x, y = X.copy(), Y.copy()
    for k in range(3):
        got = executable.run({"x": x, "y": y})
        np.testing.assert_array_equal(got["x"], 2 * Y)
        np.testing.assert_array_equal(got["y"], X + 5 + k)
        np.testing.assert_array_equal(got["w"], 5 + k - X)
        np.testing.assert_array_equal(w, np.full(20, 6 + k))
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)
        assert not any(np.may_share_memory(a, c) for a in got.values() for c in (x, y, w))


def test_given_arrays_for_outputs_called_as_inputs(made):
    executable, _ = made
    x, y = X.copy(), Y.copy()
    got = executable.run({"x": x, "y": y}, out={"x": y, "y": x})  # each other's place
    assert got["x"] is y
    assert got["y"] is x
    np.testing.assert_array_equal(y, 2 * Y)
    np.testing.assert_array_equal(x, X + 5)


@pytest.mark.parametrize("interpret", [True, False])
def test_a_model_with_a_result_called_as_its_input(tmp_path, interpret):
    text = "axis N\nmodel M(x: f32[N]) -> (y: f32[N], x: f32[N]):\n    return x + 1, x * 2\n"
    (tmp_path / "m.dl").write_text(text)
    model = dlc.compile(tmp_path / "m.dl", interpret=interpret)
    x = X.copy()
    y, doubled = model(x=x)
    np.testing.assert_array_equal(y, X + 1)
    np.testing.assert_array_equal(doubled, 2 * X)
    np.testing.assert_array_equal(x, X)
