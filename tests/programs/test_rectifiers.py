"""Gradients through rectifiers whose cuts are read from their results."""

import numpy as np
import pytest
from native_runs import run_generated

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.transform.pipeline import lower

N, C, H = Axis("N"), Axis("C"), Axis("H")


@pytest.mark.parametrize("turned", [False, True])
def test_zeros_and_what_is_no_number(turned):
    x, w = (
        input_node("x", TensorType.of("f32", [(N, Size.symbol("N")), (C, 24)])),
        input_node("w", TensorType.of("f32", [(C, 24), (H, 16)]), "param"),
    )
    moved = b.sub(x, 1.0)
    y = b.where(b.gt(moved, 0.0), moved, 0.0) if turned else b.where(b.le(moved, 0.0), 0.0, moved)
    z = b.dot(y, w, (C,))
    loss = b.reduce_sum(b.mul(z, z), (N, H))
    graph = lower(Graph((x, w), {"dx": b.grad(loss, x), "dw": b.grad(loss, w)}))
    rng = np.random.default_rng(0)
    given = rng.normal(1, 1, (40, 24)).astype(np.float32)
    given[::3, ::5], given[1::7, 3], given[2::9, 4] = 1.0, -0.0, np.inf
    given[5, 5] = np.nan
    feeds = {"x": given, "w": rng.normal(size=(24, 16)).astype(np.float32)}
    want, found = interpret(graph, feeds), run_generated(generate(graph, host()), graph, feeds)
    for name, value in want.items():
        np.testing.assert_array_equal(np.isfinite(found[name]), np.isfinite(value), name)
        fine = np.isfinite(value)
        np.testing.assert_allclose(found[name][fine], value[fine], rtol=1e-4, atol=1e-4)
