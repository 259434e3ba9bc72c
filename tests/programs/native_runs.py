"""Runs graphs natively and compares them with the interpreter."""

from collections.abc import Callable, Mapping

import numpy as np

from dlc.codegen.machine import host
from dlc.codegen.program import Generated, generate
from dlc.graph import Graph
from dlc.reference.interpreter import interpret
from dlc.runtime.checked import CheckedExecutable
from dlc.runtime.compiled import NativeExecutable
from dlc.transform.precision import widen

Arrays = Mapping[str, np.ndarray]
TOLERANCE = {"f16": 3e-3, "bf16": 3e-2, "f32": 3e-5, "f64": 1e-12}
MAGNIFIED = 4


def run_native(
    graph: Graph, feeds: Mapping[str, np.ndarray], threads: int = 1, *, checked: bool = False
):
    """Outputs of the native program, and what it wrote into bound arrays as `update:NAME`.

    `checked` finds writes outside buffers and rows that should have waited for others; the last
    thread's units run first, so that none may write into another's.
    """
    return run_generated(generate(graph, host()), graph, feeds, threads, checked=checked)


def run_generated(
    generated: Generated,
    graph: Graph,
    feeds: Mapping[str, np.ndarray],
    threads: int = 1,
    sizes: Mapping[str, int] | None = None,
    *,
    checked: bool = False,
):
    """What `run_native` gives, of a graph that is generated already."""
    objects = generated.compile(1)
    if checked:
        executable = CheckedExecutable(generated.plan, objects, max(2, threads))
    else:
        executable = NativeExecutable(generated.plan, objects, threads, fill_nan=True)
    roles = {n.attrs["name"]: n.attrs["role"] for n in graph.inputs}
    bound = {k: v.copy() for k, v in feeds.items() if roles[k] in ("param", "state", "slot")}
    executable.bind(bound)
    out = executable.run({k: v for k, v in feeds.items() if k not in bound}, sizes)
    updates = [k for k in graph.outputs if k.startswith("update:")]
    return {**out, **{k: bound[k.removeprefix("update:")] for k in updates}}


def assert_near_float64(graph: Graph, rows: int) -> None:
    """On drawn inputs a graph of N rows is near its float64 form, and equal for any threads."""
    rng = np.random.default_rng(3)
    shapes = {n.attrs["name"]: [s.value({"N": rows}) for s in n.type.sizes] for n in graph.inputs}
    feeds = {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    want = interpret(widen(graph), {k: v.astype(np.float64) for k, v in feeds.items()})
    generated = generate(graph, host())
    one = run_generated(generated, graph, feeds, checked=True)
    three = run_generated(generated, graph, feeds, threads=3)
    for name, value in want.items():
        assert np.abs(one[name] - value).max() <= 1e-5 * np.abs(value).max(), name
        assert np.array_equal(one[name], three[name]), name


def assert_same(graph: Graph, got, want, exact: Callable[[], Arrays] | None = None) -> None:
    """The outputs of a graph are the same but for rounding.

    Where they are not, `exact` gives what float64 has: the first may then be a few times as far
    from it as the others, which are wrong themselves where rounding is magnified.
    """
    assert set(got) == set(want)
    for name, expected in want.items():
        value, dtype = np.asarray(got[name]), graph.outputs[name].type.dtype
        assert value.shape == expected.shape, name
        if dtype not in TOLERANCE:
            np.testing.assert_array_equal(value, expected, err_msg=name)
            continue
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(value), finite, err_msg=name)
        np.testing.assert_array_equal(value[~finite], expected[~finite], err_msg=name)
        error = _distance(value[finite], expected[finite])
        if error >= TOLERANCE[dtype]:
            assert exact is not None, f"{name}: {error}"
            right = exact()[name][finite]
            limit = MAGNIFIED * _distance(expected[finite], right)
            assert _distance(value[finite], right) <= limit, f"{name}: {error}"


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, of the largest element."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(np.abs(a - b).max() / (np.abs(b).max() + 1e-6)) if a.size else 0.0


def assert_native_agrees(graph: Graph, feeds: Mapping[str, np.ndarray]) -> None:
    """Native code gives what the interpreter gives, in the same bits for 1 and 3 threads."""
    assert_native_gives(graph, feeds, interpret(graph, dict(feeds)))


def assert_native_gives(
    graph: Graph,
    feeds: Arrays,
    want: Arrays,
    sizes: Mapping[str, int] | None = None,
    exact: Callable[[], Arrays] | None = None,
) -> None:
    """Native code gives these outputs, in the same bits for 1 and 3 threads; see `assert_same`."""
    generated = generate(graph, host())
    one = run_generated(generated, graph, feeds, 1, sizes, checked=True)
    three = run_generated(generated, graph, feeds, 3, sizes)
    for name in one:
        assert one[name].tobytes() == three[name].tobytes(), f"{name}: threads change bits"
    assert_same(graph, one, want, exact)
