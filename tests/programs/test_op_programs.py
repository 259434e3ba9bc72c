"""Every op and its gradient, compiled: the generated native tests of the records."""

import numpy as np
import pytest
from native_runs import assert_native_agrees, assert_same, run_native
from op_cases import CASES, IDS, drawn, gradients, inputs_of, smooth_cases

from dlc.graph import Graph, Node
from dlc.ops import Op, build
from dlc.ops.op import Sample
from dlc.reference.interpreter import interpret
from dlc.transform.pipeline import lower

# One in three runs with each kernel compiled apart; the rest shares programs of several ops.
GROUP = 8


def _operands(op: Op, sample: Sample, number: int) -> tuple[list[Node], dict[str, np.ndarray]]:
    inputs = inputs_of(sample.types)
    renamed = [
        Node(n.op, (), n.type, {**n.attrs, "name": f"case{number}_{n.attrs['name']}"})
        for n in inputs
    ]
    values = drawn(op, sample, seed=number)
    return renamed, {n.attrs["name"]: v for n, v in zip(renamed, values, strict=True)}


def _program(cases, *, backward: bool) -> tuple[Graph, dict[str, np.ndarray]]:
    inputs, feeds, outputs = [], {}, {}
    for number, (op, k) in enumerate(cases):
        sample = op.samples[k]
        nodes, values = _operands(op, sample, number)
        y = build.make(op.name, nodes, sample.attrs)
        if backward:
            cotangent = Node("input", (), y.type, {"name": f"case{number}_g", "role": "data"})
            shape = [n.constant for n in y.type.sizes]
            rng = np.random.default_rng(number)
            values[f"case{number}_g"] = np.asarray(rng.standard_normal(shape), np.float32).astype(
                {"f64": np.float64}.get(y.type.dtype, np.float32)
            )
            wanted = [n for n in nodes if n.type.dtype in ("f32", "f64")]
            for i, g in enumerate(gradients(y, cotangent, wanted)):
                outputs[f"{op.name}_{number}_{i}"] = g
            nodes = [*nodes, cotangent]
        else:
            outputs[f"{op.name}_{number}"] = y
        inputs += nodes
        feeds |= values
    return Graph(tuple(inputs), outputs), feeds


def _chunks(cases):
    return [cases[i : i + GROUP] for i in range(0, len(cases), GROUP)]


@pytest.mark.parametrize("cases", _chunks(CASES), ids=[c[0] for c in _chunks(IDS)])
def test_ops_compile_to_their_meaning(cases):
    assert_native_agrees(*_program(cases, backward=False))


_SMOOTH = [c for c in smooth_cases() if c[0].samples[c[1]].types[0].dtype in ("f32", "f64")]


@pytest.mark.parametrize(
    "cases", _chunks(_SMOOTH), ids=[f"{c[0][0].name}-{c[0][1]}" for c in _chunks(_SMOOTH)]
)
def test_gradients_compile_to_their_meaning(cases):
    graph, feeds = _program(cases, backward=True)
    lowered = lower(graph)
    assert_same(lowered, run_native(lowered, feeds), interpret(graph, feeds))
