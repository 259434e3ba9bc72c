"""The text form: everything is read back as it was; damage is an error with its line."""

import math
import random
import struct

import numpy as np
import pytest

from dlc.diagnostics import Source, Span
from dlc.graph import Axis, Graph, Node, RangeCheck, Size, SizeCheck, TensorType, input_node, order
from dlc.ops import build
from dlc.reference.interpreter import interpret
from dlc.reference.random_graphs import random_graph
from dlc.reference.text import parse_graph, print_graph
from dlc.reference.verify import verify
from dlc.transform.cse import attribute_key
from dlc.transform.pipeline import lower

N, M = Size.symbol("N"), Size.symbol("M")
ODD_AXES = (
    Axis("C", 2), Axis("odd, name]", 3), Axis("inf"), Axis("axis"), Axis("nan", 4), Axis("größe"),
    Axis("true"), Axis("graph"), Axis("a.b"),
)  # fmt: skip


def assert_same(a, b):
    """Equal graphs, node by node, attributes by their bits."""
    left, right = (order([*g.inputs, *g.outputs.values()]) for g in (a, b))
    number = {node: i for i, node in enumerate(left)} | {node: i for i, node in enumerate(right)}
    assert len(left) == len(right)
    for x, y in zip(left, right, strict=True):
        assert (x.op, x.type, x.spans, x.path) == (y.op, y.type, y.spans, y.path)
        assert [number[p] for p in x.args] == [number[p] for p in y.args]
        bodies = [k for k, v in x.attrs.items() if isinstance(v, Graph)]
        for k in bodies:
            assert_same(x.attrs[k], y.attrs[k])
        plain = [{k: v for k, v in n.attrs.items() if k not in bodies} for n in (x, y)]
        assert attribute_key(plain[0]) == attribute_key(plain[1])
        assert list(x.attrs) == list(y.attrs)
    assert [number[n] for n in a.inputs] == [number[n] for n in b.inputs]
    assert {k: number[v] for k, v in a.outputs.items()} == {
        k: number[v] for k, v in b.outputs.items()
    }
    assert list(a.outputs) == list(b.outputs)
    assert a.checks == b.checks


def with_attrs(**attrs):
    return Graph((), {"out": Node("const", (), TensorType("f32"), attrs)})


@pytest.mark.parametrize("chunk", range(3))
def test_random_graphs(chunk):
    for seed in range(100 * chunk, 100 * chunk + 100):
        graph, _ = random_graph(seed)
        text = print_graph(graph)
        assert_same(graph, parse_graph(text))
        assert print_graph(parse_graph(text)) == text


def test_a_read_graph_computes_the_same():
    for seed in range(20):
        graph, feeds = random_graph(seed)
        graph = lower(graph)
        again = verify(parse_graph(print_graph(graph)))
        before, after = interpret(graph, feeds), interpret(again, feeds)
        assert all(before[k].tobytes() == after[k].tobytes() for k in before)


def test_attributes_of_every_kind():
    rng = np.random.default_rng(0)
    arrays = [
        np.zeros((0, 2), np.float32), np.arange(3), np.array(1.5), np.array([True, False]),
        rng.normal(size=(2, 3)).T, np.array([math.nan, -0.0], np.float16),
    ]  # fmt: skip
    graph = with_attrs(
        none=None, yes=True, no=False, one=1, float_one=1.0, negative=-7, big=1 << 63,
        text='ü\n"\\ #\u2028', empty="", axes=ODD_AXES, sizes=(N, N * 2 - 3, (N + 1) // 2, Size()),
        dims=((Axis("N"), N),), nested=(1, (), ((True,), "x")), arrays=tuple(arrays),
        floats=(math.inf, -math.inf, math.nan, -0.0, 0.1, 1e-300, 5e-324, 1e22, 1.5e16, -2.5),
    )  # fmt: skip
    again = parse_graph(print_graph(graph))
    assert_same(graph, again)
    assert [a.flags.writeable for a in again.outputs["out"].attrs["arrays"]] == [True] * len(arrays)


def test_floats_keep_their_bits():
    rng = random.Random(1)
    values = [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(500)]
    values = tuple(v for v in values if v == v)
    again = parse_graph(print_graph(with_attrs(v=values))).outputs["out"].attrs["v"]
    assert [struct.pack("<d", v) for v in again] == [struct.pack("<d", v) for v in values]


def test_bodies_that_share_nodes_with_the_graph_around():
    x = input_node("x", TensorType.of("f32", [(Axis("N"), N)]))
    outside = build.exp(x)
    carry = input_node("carry", x.type)
    deeper = Graph((), {"z": build.neg(carry)})
    inner = Node("add", (carry, outside), x.type, {"body": deeper})
    body = Graph((carry,), {"next": inner}, (SizeCheck(N, ">=", Size.of(1), "inside"),))
    scan = Node("scan", (x, outside), x.type, {"body": body, "axis": Axis("T")}, (), "L.scan_0")
    after = Node("neg", (scan,), x.type)
    graph = Graph((x,), {"out": after})
    again = parse_graph(print_graph(graph))
    assert_same(graph, again)
    (read,) = again.outputs["out"].args
    assert read.attrs["body"].outputs["next"].args[1] is read.args[1]


def test_types_checks_paths_and_names():
    type = TensorType.of("bf16", [(a, N * 2 - 3) for a in ODD_AXES])
    x = input_node("x", type, "param", spans=())
    y = Node("neg", (x,), type, {}, (), "LeNet.conv_0 (twice) # odd")
    checks = (
        SizeCheck(N * M, "==", M + 1, "axis T of image and axis T of mask"),
        SizeCheck(N, ">=", Size.of(-2), "ü"), SizeCheck(N, "divisible", Size.of(4), ""),
        RangeCheck("label", N // 3, Axis("odd, name]", 3)),
    )  # fmt: skip
    graph = Graph((x,), {"update:A.b": y, 'a "name"': x}, checks)
    assert_same(graph, parse_graph(print_graph(graph)))


def test_spans_are_kept_on_demand():
    source, other = Source("a.dl", "hello\nworld"), Source("b/ü.dl", "x\t# y")
    x = input_node("x", TensorType("f32"), spans=(Span(source, 1, 3),))
    y = Node("neg", (x,), x.type, {}, (Span(other, 0, 1), Span(source, 0, 11)), "P.q")
    check = SizeCheck(N, "==", M, "m", (Span(other, 1, 2),))
    graph = Graph((x,), {"out": y}, (check, RangeCheck("x", N, Axis("K"), (Span(source, 2, 2),))))
    assert_same(graph, parse_graph(print_graph(graph, spans=True)))
    bare = parse_graph(print_graph(graph))
    assert bare.outputs["out"].spans == ()
    assert bare.outputs["out"].path == "P.q"


def test_unused_inputs_and_empty_graphs_stay():
    x, y = (input_node(k, TensorType("f32")) for k in "xy")
    assert_same(Graph((y, x), {}), parse_graph(print_graph(Graph((y, x), {}))))
    assert_same(Graph((), {}), parse_graph(print_graph(Graph((), {}))))


GOOD = """\
graph {
  %0: f32[N=N, K=3] = input {name="x", role="data"}
  %1: f32 = const {value=2.0, dtype="f32"}
  %2: f32[N=N, K=3] = mul(%0, %1)  # Net
  inputs %0
  output "out" %2
}
"""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("%0, %1", "%0, %7", 4), ("%1: f32", "%0: f32", 3), ("f32 = const", "f33 = const", 3),
        ("K=3] = input", "K=] = input", 2), ("K=3] = input", "N=3] = input", 2),
        ("K=3] = input", "K=3+ = input", 2), ("K=3] = input", "K=3.5] = input", 2),
        ('"f32"}', '"f32"', 4), ("2.0", "2.0.1", 3), ("2.0", "", 3), ('"x"', '"x', 2),
        ("inputs %0", "inputs %9", 5), ("output", "outputs", 6), ("}\n\n", "", 7),
        ("mul(", "mul((", 4), ("graph {", "graph", 1), ("2.0", 'array("<f4", (9,), "AAAA")', 3),
        ("2.0", 'array("?!", (1,), "AAAA")', 3), ("2.0", 'array("<f4", (1,), "A!A")', 3),
        ("2.0", "(" * 100_000, 3), ("2.0", "<N//>", 3), ("2.0", "<" + "(" * 5000 + ">", 3),
        ("2.0", "9" * 5000, 3), ("%2\n}", "%2\n} more", 7), ("  inputs", "  %", 5),
    ],
)  # fmt: skip
def test_damage_is_an_error_with_its_line(old, new, line):
    assert print_graph(parse_graph(GOOD)) == GOOD
    text = (GOOD + "\n").replace(old, new, 1)
    with pytest.raises(ValueError, match=f"damaged graph text, line {line}: "):
        parse_graph(text)


def test_random_damage_is_read_or_refused():
    graph, _ = random_graph(3, size=20)
    text = print_graph(graph)
    rng = random.Random(0)
    refused = []
    for _ in range(600):
        at, length = rng.randrange(len(text)), rng.randrange(1, 4)
        put = "".join(rng.choice('%:=(){}[]<>",#0aN\n -') for _ in range(rng.randrange(3)))
        try:
            parse_graph(text[:at] + put + text[at + length :])
        except ValueError as error:
            refused.append(str(error))
    assert all(message.startswith("damaged graph text, line ") for message in refused)
    assert len(refused) > 300


def test_every_truncation_is_refused():
    for end in range(len(GOOD) - 2):
        with pytest.raises(ValueError, match="damaged graph text"):
            parse_graph(GOOD[:end])


def test_an_attribute_without_a_text_form_is_a_bug():
    with pytest.raises(TypeError, match="without a text form"):
        print_graph(with_attrs(value=np.float32(1)))
