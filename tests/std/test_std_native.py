"""The standard library compiled: values and gradients in float32 against the float64 reference."""

import numpy as np
import pytest
from std_cases import ACTIVATIONS, CONVS, LAYERS, LOSSES, POOLS, model, result, weights

from dlc.graph import FLOATS, Graph, Node
from dlc.ops import build
from dlc.reference.interpreter import interpret
from dlc.runtime.build import build_executable
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

TWICE = ("plain", "still_dropout", "valid", "line", "doubled", "two_axes", "bce_one", "max_all")
"""Cases whose kernels another case has too, left out to save time."""
GROUPS = {"activations": ACTIVATIONS, "losses": LOSSES, "layers": LAYERS, "convs": CONVS,
          "pools": POOLS}  # fmt: skip
ZERO = "key.offset"
"""The end of the path whose slope is 0: a number added to all scores of a softmax."""


def together(cases):
    """One graph of all cases, with the gradients of their weighted results; and its inputs."""
    inputs, outputs, given = [], {}, {}
    for case in cases:
        given |= {**case.feeds(), **weights(case)}
        graph = model(case).graph
        out = graph.outputs[result(graph)]
        ports = [
            n for n in graph.inputs if n.type.dtype in FLOATS and not n.attrs["name"].endswith(ZERO)
        ]
        weight = Node("input", (), out.type, {"name": f"{case.name}_weight", "role": "data"})
        y = build.mul(out, weight)
        y = build.reduce_sum(y, y.type.axes) if y.type.axes else y
        slopes = {f"{case.name} d {n.attrs['name']}": build.grad(y, n) for n in ports}
        outputs |= {case.name: out, **slopes}
        inputs += [n for n in [*graph.inputs, weight] if n not in inputs]
        shape = interpret(widen(graph), {k: given[k] for k in names(graph)})[result(graph)].shape
        given[f"{case.name}_weight"] = np.random.default_rng(3).normal(size=shape)
    return Graph(tuple(inputs), outputs), given


def names(graph):
    return [n.attrs["name"] for n in graph.inputs]


def narrow(array):
    return array.astype(np.float32) if array.dtype.kind == "f" else array


@pytest.mark.parametrize("group", GROUPS)
def test_native_agrees_with_reference(group):
    graph, given = together([case for case in GROUPS[group] if case.name not in TWICE])
    given = {k: narrow(np.asarray(v)) for k, v in given.items()}
    wide = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in given.items()}
    want = interpret(widen(lower(graph)), wide)
    program = build_executable(graph, threads=2)
    bound = {n.attrs["name"] for n in graph.inputs if n.attrs["role"] != "data"}
    program.bind({k: v for k, v in given.items() if k in bound})
    found = program.run({k: v for k, v in given.items() if k not in bound})
    for name, exact in want.items():
        error = np.abs(found[name] - exact).max() / np.abs(exact).max()
        assert error <= 1e-5, f"{name}: {error:.2g}"
