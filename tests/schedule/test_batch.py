"""A batch of a declared number runs like one of any size."""

import numpy as np
import pytest
from native_runs import run_generated

import dlc
from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.diagnostics import DlcError, Source
from dlc.graph import Axis, Graph, TensorType, input_node
from dlc.ops import build
from dlc.reference.interpreter import interpret
from dlc.reference.verify import verify
from dlc.schedule.batch import opened
from dlc.semantics import check_file
from dlc.transform.pipeline import lower

NET = """axis N{size}, C = 3, Y = 12, X = 12, K = 10

model Net(x: f32[N, C, Y, X]) -> f32[N, K]:
    return x
        |> Conv(C -> 16, kernel=3, pad="same") |> relu |> max_pool(2)
        |> Linear((C, Y, X) -> K) |> softmax(over=K)
"""
PAIRS = """axis N = 6, Half = 3, Two = 2, D = 8

model Net(x: f32[N, D]) -> f32[Half, D]:
    return mean(split(x, N -> (Half, Two)), over=Two)
"""


def graph_of(text):
    return lower(check_file(Source("net.dl", text)).models["Net"].graph)


def drawn(graph, rows):
    rng = np.random.default_rng(0)
    shapes = {n.attrs["name"]: [s.value({"N": rows}) for s in n.type.sizes] for n in graph.inputs}
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def test_the_kernels_are_those_of_any_size():
    known, any_size = (generate(graph_of(NET.format(size=s)), host()) for s in (" = 20", ""))
    assert known.plan.kernels == any_size.plan.kernels
    assert not known.plan.symbols
    assert [row.slab for row in known.plan.rows] == [row.slab for row in any_size.plan.rows]


@pytest.mark.parametrize("rows", [2, 20])
def test_results_have_the_bits_of_any_size(rows):
    known, any_size = (graph_of(NET.format(size=s)) for s in (f" = {rows}", ""))
    feeds = drawn(any_size, rows)
    want = run_generated(generate(any_size, host()), any_size, feeds, 2)
    got = run_generated(generate(known, host()), known, feeds, 2)
    assert all(np.array_equal(got[name], want[name]) for name in want)


def test_another_number_of_rows_is_still_a_mistake(tmp_path):
    path = tmp_path / "net.dl"
    path.write_text(NET.format(size=" = 4"))
    net = dlc.compile(path)
    assert net(np.zeros((4, 3, 12, 12), np.float32)).shape == (4, 10)
    with pytest.raises(DlcError, match="N"):
        net(np.zeros((5, 3, 12, 12), np.float32))


def weighted():
    """With a table of the batch's rows."""
    rows, columns = Axis("N"), Axis("D")
    x = input_node("x", TensorType.of("f32", [(rows, 6), (columns, 8)]))
    table = build.table(np.arange(6, dtype=np.float32), (rows,), "f32")
    return Graph((x,), {"out": build.mul(x, table)})


@pytest.mark.parametrize("graph", [weighted(), graph_of(PAIRS)])
def test_batches_that_are_split_or_meet_tables_have_right_results(graph):
    feeds = drawn(graph, 6)
    got = run_generated(generate(graph, host()), graph, feeds, 2)["out"]
    np.testing.assert_allclose(got, interpret(graph, feeds)["out"], rtol=1e-6)


SCORES = """axis S = 32, D = 8, P = S

model Net(x: f32[S, D]) -> f32[S, P]:
    return softmax(dot(x, rename(x, S -> P), over=D), over=P)
"""
VECTOR = """axis D = 4096

model Net(x: f32[D]) -> f32[D]:
    return softmax(x, over=D)
"""


@pytest.mark.parametrize(
    "text", [NET.format(size=""), NET.format(size=" = 1"), SCORES, VECTOR],
    ids=["any size", "one", "scores of a sequence", "vector"],
)  # fmt: skip
def test_batches_of_any_size_and_of_one_and_what_is_none_stay(text):
    graph = graph_of(text)
    assert opened(graph)[0] is graph


def test_the_opened_graph_is_whole():
    graph, known = opened(graph_of(NET.format(size=" = 7")))
    verify(graph)
    assert graph.symbols == ("N",)
    assert {name: size.constant for name, size in known.items()} == {"N": 7}
