"""Large batches run in parts, with the same bits, where rows do not meet."""

import numpy as np
import pytest
from small_modules import dense_graph, module, noise_graph, pair_graph

import dlc
from dlc.diagnostics.record import replaced
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build
from dlc.runtime import rows
from dlc.runtime.rows import InParts, independent_rows

N, F, M = Axis("N"), Axis("F"), Axis("M")
ROWS = Size.symbol("N")


def graph_of(make, extra=()):
    x = input_node("x", TensorType.of("f32", [(N, ROWS), (F, 4)]))
    return Graph((x, *extra), {"out": make(x)})


@pytest.mark.parametrize(
    "make",
    [
        lambda x: build.exp(x),
        lambda x: build.reduce_max(x, over=(F,)),
        lambda x: build.make(
            "slice", (x,), {"axis": F, "start": Size(), "step": 1, "size": Size.of(2)}
        ),
    ],
    ids=["map", "reduce", "slice"],
)
def test_rows_that_do_not_meet(make):
    assert independent_rows(graph_of(make)) is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda x: build.sub(x, build.reduce_max(x, over=(N,))),
        lambda x: build.reduce_sum(x, over=(N,)),
        lambda x: build.mul(x, build.cast(build.size(ROWS), "f32")),
        lambda x: build.add(x, build.cast(build.index(N, ROWS), "f32")),
        lambda x: build.make(
            "slice", (x,), {"axis": N, "start": ROWS - 1, "step": -1, "size": ROWS}
        ),
        lambda x: build.make("merge", (x,), {"axes": (N, F), "into": M}),
        lambda x: build.make("broadcast", (x,), {"dims": ((F, Size.of(4)), (N, ROWS))}),
    ],
    ids=["centred", "summed", "counted", "numbered", "turned", "merged", "inner"],
)
def test_rows_that_meet(make):
    assert independent_rows(graph_of(make)) is None


def test_graphs_without_a_batch():
    assert independent_rows(noise_graph()) is None
    assert independent_rows(pair_graph()) is None
    fixed = input_node("x", TensorType.of("f32", [(F, 4)]))
    assert independent_rows(Graph((fixed,), {"out": build.exp(fixed)})) is None


@pytest.mark.parametrize("interpret", [True, False])
def test_parts_give_the_bits_of_the_whole(monkeypatch, interpret):
    data = module(M=dense_graph()).to_bytes()
    x = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    whole = dlc.load(data, interpret=interpret)(x)
    monkeypatch.setattr(rows, "PART_BYTES", 1)
    net = dlc.load(data, interpret=interpret)
    program = net.only().prepare()
    assert isinstance(program, InParts)
    assert program.rows == replaced(program.rows, part=rows.SMALLEST_PART)
    np.testing.assert_array_equal(net(x), whole)
    out = np.empty((1000, 2), np.float32)
    assert net(x, out=out) is out
    np.testing.assert_array_equal(out, whole)
    np.testing.assert_array_equal(net.value("M.fc", x)[:10], net.value("M.fc", x[:10]))
    with pytest.raises(dlc.DlcError, match="axis F"):
        net(np.zeros((1000, 4), np.float32))
