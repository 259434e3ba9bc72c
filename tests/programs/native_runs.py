"""Runs graphs natively and compares them with the interpreter."""

from collections.abc import Mapping

import numpy as np

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Graph
from dlc.reference.interpreter import interpret
from dlc.runtime.checked import CheckedExecutable
from dlc.runtime.compiled import NativeExecutable

TOLERANCE = {"f16": 3e-3, "bf16": 3e-2, "f32": 3e-5, "f64": 1e-12}


def run_native(
    graph: Graph, feeds: Mapping[str, np.ndarray], threads: int = 1, *, checked: bool = False
):
    """Outputs of the native program, and what it wrote into bound arrays as `update:NAME`.

    `checked` finds writes outside buffers and rows that should have waited for others.
    """
    generated = generate(graph, host())
    objects = generated.compile(1)
    if checked:
        executable = CheckedExecutable(generated.plan, objects)
    else:
        executable = NativeExecutable(generated.plan, objects, threads, fill_nan=True)
    roles = {n.attrs["name"]: n.attrs["role"] for n in graph.inputs}
    bound = {k: v.copy() for k, v in feeds.items() if roles[k] in ("param", "state", "slot")}
    executable.bind(bound)
    out = executable.run({k: v for k, v in feeds.items() if k not in bound})
    updates = [k for k in graph.outputs if k.startswith("update:")]
    return {**out, **{k: bound[k.removeprefix("update:")] for k in updates}}


def assert_same(graph: Graph, got, want) -> None:
    assert set(got) == set(want)
    for name, expected in want.items():
        value, dtype = np.asarray(got[name]), graph.outputs[name].type.dtype
        assert value.shape == expected.shape, name
        if dtype not in TOLERANCE:
            np.testing.assert_array_equal(value, expected, err_msg=name)
            continue
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(value), finite, err_msg=name)
        a, b = value[finite].astype(np.float64), expected[finite].astype(np.float64)
        if a.size:
            error = np.abs(a - b).max() / (np.abs(b).max() + 1e-6)
            assert error < TOLERANCE[dtype], f"{name}: {error}"


def assert_native_agrees(graph: Graph, feeds: Mapping[str, np.ndarray]) -> None:
    """Native code gives what the interpreter gives, in the same bits for 1 and 3 threads."""
    want = interpret(graph, dict(feeds))
    one, three = run_native(graph, feeds, checked=True), run_native(graph, feeds, 3)
    for name in one:
        assert one[name].tobytes() == three[name].tobytes(), f"{name}: threads change bits"
    assert_same(graph, one, want)
