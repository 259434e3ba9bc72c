import pytest

from dlc.graph import Axis, Graph, Node, RangeCheck, Size, TensorType, input_node
from dlc.ops import build
from dlc.reference.random_graphs import random_graph
from dlc.reference.verify import verify

N = Size.symbol("N")
ROW = TensorType.of("f32", [(Axis("N"), N)])
X = input_node("x", ROW)
COUNT = input_node("count", TensorType("i32"))
WORD = input_node("x", TensorType("f32"))


def node(op, *args, type=ROW, **attrs):
    return Node(op, args, type, attrs)


def cycle():
    first = node("neg", X)
    second = node("neg", first)
    object.__setattr__(first, "args", (second,))
    return first


@pytest.mark.parametrize(
    ("graph", "fault"),
    [
        (Graph((X,), {"y": node("frobnicate", X)}), "no op is called frobnicate"),
        (Graph((X,), {"y": node("add", X)}), "add takes 2 operands, not 1"),
        (Graph((X,), {"y": node("neg", X, type=TensorType("f32"))}), "its rule says"),
        (Graph((X,), {"y": node("neg", X, type=ROW.cast("f64"))}), "its rule says"),
        (Graph((X, COUNT), {"y": node("add", X, COUNT)}), "one dtype, not f32 and i32"),
        (Graph((X,), {"y": node("reduce_sum", X)}), "not those of reduce_sum"),
        (Graph((X,), {"y": node("reduce_sum", X, over=(Axis("K"),))}), "needs axis K"),
        (Graph((X, WORD), {"y": X}), "two inputs have one name"),
        (Graph((), {"y": X}), "input x is not listed"),
        (Graph((build.neg(X),), {"y": X}), "a listed input is a neg"),
        (Graph((X,), {"update:x": COUNT}), "update:x is i32"),
        (Graph((X,), {"update:z": X}), "update:z is"),
        (Graph((X,), {"y": X}, (RangeCheck("x", N, Axis("N")),)), "no integer input"),
        (Graph((X,), {"y": cycle()}), "a cycle"),
        (Graph((node("input"),), {}), "an input without"),
        (
            Graph((X,), {"y": node("neg", X, body=Graph((), {"z": node("nothing", X)}))}),
            "in the body of node 1: ",
        ),
    ],
)
def test_faults_are_shown_with_the_graph(graph, fault):
    with pytest.raises(AssertionError) as caught:
        verify(graph)
    assert fault in str(caught.value)
    assert "graph {" in str(caught.value) or "no text form" in str(caught.value)


def test_good_graphs_pass():
    graph = Graph((X, COUNT), {"update:x": build.neg(X)}, (RangeCheck("count", N, Axis("N")),))
    assert verify(graph) is graph
    for seed in range(50):
        verify(random_graph(seed)[0])
