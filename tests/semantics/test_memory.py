"""What is refused for its size could not run: a plan needs at least as much."""

from pathlib import Path

import pytest

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Graph, Node, input_node, rebuilt
from dlc.ops import build as b
from dlc.reference.random_graphs import random_graph
from dlc.runtime.workspace import room_for_slabs
from dlc.schedule.memory import buffer_bytes
from dlc.semantics import check_file
from dlc.semantics.memory import largest
from dlc.transform.pipeline import lower

EXAMPLES = Path(__file__).parents[2] / "examples"
OPS = (
    "dot", "add", "mul", "tanh", "gt", "where", "cast", "rename", "broadcast", "merge", "slice",
    "window", "unwindow", "gather", "reduce_sum", "reduce_max",
)  # fmt: skip


def largest_buffer(graph: Graph, sizes: dict[str, int]) -> int:
    buffers = generate(lower(graph), host()).plan.buffers
    """Of a run on two threads."""
    slabs = room_for_slabs(2)
    return max(buffer_bytes(buffer, sizes, slabs) for buffer in buffers if buffer.place != "bound")


def summed(graph: Graph) -> Graph:
    """The graph with scalar outputs, its inputs as parameters: only products count."""
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        if node.op == "input":
            new[node] = input_node(node.attrs["name"], node.type, "param")
        else:
            new[node] = rebuilt(node, tuple(new[a] for a in node.args))
    outputs = {
        name: b.reduce_sum(b.cast(new[node], "f32"), node.type.axes)
        for name, node in graph.outputs.items()
    }
    return Graph(tuple(new[i] for i in graph.inputs), outputs)


@pytest.mark.parametrize("seed", range(40))
def test_no_plan_needs_less(seed):
    graph = summed(random_graph(seed, ops=OPS)[0])
    sizes = {"N": 37, "T": 23}
    _, needed = largest(graph, sizes, 0)
    assert needed <= largest_buffer(graph, sizes)


def test_plans_of_products_need_little_more():
    program = check_file(EXAMPLES / "resnet.dl")
    recipe = program.recipes["fit"]
    graph = recipe.steps[0].graph
    node, needed = largest(graph, recipe.batch, 0)
    assert node is not None
    assert node.op == "dot"
    assert needed <= largest_buffer(graph, dict(recipe.batch)) < 3 * needed
