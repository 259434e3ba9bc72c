"""What a kernel is said to do: operations as `dlc cost` counts them, bytes of distinct elements."""

from dlc.diagnostics import Source, Span
from dlc.graph import Axis, Graph, Node, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.schedule.plan import Line
from dlc.schedule.schedule import schedule
from dlc.schedule.tile import Target
from dlc.schedule.work import flops_of, work_of
from dlc.transform.pipeline import lower

N, C, H, Y, KY = (Axis(a) for a in ("N", "C", "H", "Y", "KY"))
ROWS = Size.symbol("N")
FILE = Source("net.dl", "one\ntwo\n")
FIRST, SECOND = (Span(FILE, 0, 3),), (Span(FILE, 4, 7),)


def _tensor(name, *dims, dtype="f32"):
    return input_node(name, TensorType.of(dtype, dims))


def _works(*outputs):
    nodes = Graph((), {str(k): node for k, node in enumerate(outputs)}).nodes
    inputs = tuple(node for node in nodes if node.op == "input")
    graph = Graph(inputs, {f"out{k}": node for k, node in enumerate(outputs)})
    found = schedule(lower(graph), Target(lanes=8, registers=16))
    works = [work_of(found.facts, kernel) for kernel in found.kernels]
    total = sum((flops_of(node) for node in found.graph.nodes if node.op != "input"), Size())
    return works, total


def _placed(node, spans):
    return Node(node.op, node.args, node.type, node.attrs, spans, node.path)


def test_a_dense_layer():
    x, w = _tensor("x", (N, ROWS), (C, 40)), _tensor("w", (C, 40), (H, 32))
    bias = _tensor("b", (H, 32))
    product = _placed(b.dot(x, w, (C,)), FIRST)
    (work,), total = _works(_placed(b.add(product, bias), SECOND))
    assert work.flops == total == ROWS * (2 * 40 * 32 + 32)
    assert work.bytes == (ROWS * 40 + 40 * 32 + 32 + ROWS * 32) * 4
    assert set(work.lines) == {
        Line("net.dl", 1, ROWS * (2 * 40 * 32)),
        Line("net.dl", 2, ROWS * 32),
    }


def test_elements_that_windows_share_count_once():
    x, w = _tensor("x", (N, ROWS), (Y, 20), (C, 8)), _tensor("w", (C, 8), (KY, 3), (H, 16))
    works, total = _works(b.dot(b.window(x, Y, KY, 3, before=0, after=0), w, (C, KY)))
    assert sum((work.flops for work in works), Size()) == total == ROWS * (18 * 16 * 2 * 24)
    assert works[-1].bytes == (ROWS * (20 * 8) + 24 * 16 + ROWS * (18 * 16)) * 4


def test_what_a_kernel_reads_twice_counts_once():
    x = _tensor("x", (N, ROWS), (C, 100))
    (work,), total = _works(b.sub(x, b.reduce_max(x, (C,))))
    assert work.flops == total == ROWS * 200
    assert work.bytes == ROWS * (100 + 100) * 4


def test_a_slice_moves_what_it_takes():
    x = _tensor("x", (N, ROWS), (C, 100))
    (work,), _ = _works(b.neg(b.slice(x, C, start=10, size=20)))
    assert work.bytes == ROWS * (20 + 20) * 4


def test_a_gather_moves_the_rows_it_is_asked_for():
    table, index = _tensor("t", (H, 1000), (C, 8)), _tensor("i", (N, ROWS), dtype="i32")
    (work,), _ = _works(b.neg(b.gather(table, (index,), (H,))))
    assert work.bytes == ROWS * (8 * 4 + 4 + 8 * 4)
    assert work.flops == ROWS * 8


def test_parts_of_a_sum_share_its_operations():
    x, g = _tensor("x", (N, ROWS), (Y, 100), (C, 24)), _tensor("g", (N, ROWS), (Y, 100), (H, 32))
    works, _ = _works(b.dot(x, g, (N, Y)))
    assert len(works) == 2
    assert works[0].flops == ROWS * (100 * 24 * 32 * 2)
