"""Gradients of whole examples in float32 against float64, at the program's own decisions.

Where two elements of a pooling window, or an activation and 0, are as good as equal, rounding
decides which wins, and the gradient goes another way. So the reference takes the winners and the
signs that the native program had, after a check that they are its own but for ties.
"""

import numpy as np
import pytest
from native_runs import run_native
from test_examples import EXAMPLES, LONG, checked, feeds, initial

from dlc.graph import FLOATS, Graph, Node
from dlc.reference.interpreter import interpret
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

DECISIONS = ("argmax", "argmin", "gt", "ge", "lt", "le")
TIES = 1e-3
"""The share of decisions that may be ties."""
TOLERANCE = 1e-5
_LATER = [n for n in EXAMPLES if n in (*LONG, "gan", "vae", "breast_cancer")]
_NAMES = [pytest.param(n, marks=[pytest.mark.slow] if n in _LATER else []) for n in EXAMPLES]


def _decisions(graph: Graph) -> dict[str, Node]:
    found = [
        n
        for n in graph.nodes
        if n.op in DECISIONS and n.type.dims and n.args[0].type.dtype in FLOATS
    ]
    return {f"decision:{i}": n for i, n in enumerate(found)}


def _slots(graph: Graph) -> dict[str, Node]:
    """Slots after the first step from zero: multiples of the gradients, and their squares."""
    return {k: n for k, n in graph.outputs.items() if k.startswith("update:") and k.count(":") > 1}


@pytest.mark.parametrize("name", _NAMES)
def test_gradients_agree_with_float64(name):
    program = checked(name)
    for recipe, said in program.recipes.items():
        values = initial(program, recipe)
        for step in said.steps:
            lowered = lower(step.graph)
            outputs = _slots(lowered) | _decisions(lowered)
            graph = Graph(lowered.inputs, outputs, lowered.checks)
            given = feeds(program, step, np.random.default_rng(0))
            asked = {n.attrs["name"] for n in graph.inputs}
            given |= {k: v for k, v in values.items() if k in asked}
            if not step.inputs:
                pytest.skip("a step without inputs takes the batch's size")
            _compare(graph, given)


def _compare(graph: Graph, given: dict[str, np.ndarray]) -> None:
    own = run_native(graph, {k: np.asarray(v) for k, v in given.items()}, 2)
    wide = widen(graph)
    exact = {
        k: np.asarray(v, np.float64) if np.asarray(v).dtype.kind == "f" else np.asarray(v)
        for k, v in given.items()
    }
    taken = {n: own[k] for k, n in wide.outputs.items() if k.startswith("decision:")}
    free = interpret(wide, exact)
    for key, node in wide.outputs.items():
        if key.startswith("decision:"):
            assert np.mean(free[key] != own[key]) <= TIES, node
    want = interpret(wide, exact, decisions=taken)
    for key, expected in want.items():
        if not key.startswith("decision:"):
            largest = np.abs(expected).max()
            error = np.abs(own[key] - expected).max() / largest if largest > 1e-9 else 0.0
            assert error <= TOLERANCE, f"{key}: {error}"
