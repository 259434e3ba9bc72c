"""The standard library against NumPy's formulas and against differences, in float64."""

import numpy as np
import pytest
from std_cases import CASES, expected, model, result, weights

from dlc.graph import FLOATS, Graph
from dlc.ops import build
from dlc.reference.interpreter import interpret
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

IDS = [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_values(case):
    feeds, params = case.feeds(), weights(case)
    graph = widen(model(case).graph)
    found = interpret(graph, {**feeds, **params})[result(graph)]
    np.testing.assert_allclose(found, expected(case, feeds, params), 1e-9, 1e-9)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_slopes(case):
    """The derivative along a random direction, of the outputs weighted at random."""
    given = {**case.feeds(), **weights(case)}
    graph = widen(model(case).graph)
    out = graph.outputs[result(graph)]
    rng = np.random.default_rng(1)
    weight = rng.normal(size=interpret(graph, given)[result(graph)].shape)
    inputs = [n for n in graph.inputs if n.type.dtype in FLOATS]
    y = weighted(out, weight)
    slopes = {n.attrs["name"]: build.grad(y, n) for n in inputs}
    found = interpret(lower(Graph(graph.inputs, slopes)), given)
    along = {n.attrs["name"]: rng.normal(size=given[n.attrs["name"]].shape) for n in inputs}
    step = 1e-6
    up, down = (
        interpret(graph, {**given, **{k: given[k] + s * step * d for k, d in along.items()}})
        for s in (1, -1)
    )
    name = result(graph)
    differences = np.sum(weight * (up[name] - down[name])) / (2 * step)
    exact = sum(np.sum(found[k] * d) for k, d in along.items())
    assert abs(exact - differences) <= 1e-6 * (1 + abs(differences))


def weighted(out, weight):
    """sum(out * weight), the weight as a table."""
    if not weight.ndim:
        return build.mul(out, float(weight))
    table = build.table(weight, out.type.axes, "f64")
    return build.reduce_sum(build.mul(out, table), out.type.axes)
