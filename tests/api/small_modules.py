"""Small programs built by hand, so that these tests need no parser."""

import numpy as np

import dlc
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build
from dlc.runtime.artifact import Contents
from dlc.runtime.build import build_executable
from dlc.runtime.module import Module

N, F, H = Axis("N"), Axis("F"), Axis("H")
ROWS = Size.symbol("N")


def dense_graph():
    """M(x: f32[N, F=3]) -> f32[N, H=2]: x W + b, with the product in the instance M.fc."""
    x = input_node("x", TensorType.of("f32", [(N, ROWS), (F, 3)]))
    weight = input_node("M.fc.weight", TensorType.of("f32", [(F, 3), (H, 2)]), "param")
    offset = input_node("M.fc.offset", TensorType.of("f32", [(H, 2)]), "param")
    with build.origin((), "M.fc"):
        y = build.add(build.dot(x, weight, over=(F,)), offset)
    with build.origin((), "M"):
        out = build.maximum(y, 0.0)
    return Graph((x, weight, offset), {"out": out})


def pair_graph():
    """P(x: f32[N]) -> (twice: f32[N], total: f32)."""
    x = input_node("x", TensorType.of("f32", [(N, ROWS)]))
    return Graph((x,), {"twice": build.mul(x, 2.0), "total": build.reduce_sum(x, over=(N,))})


def noise_graph():
    """G() -> f32[N], draws: its size is no input's."""
    seed, step = (input_node(name, TensorType("i64"), "clock") for name in ("seed", "step"))
    return Graph((seed, step), {"out": build.uniform(seed, step, [(N, ROWS)], place=7)})


WEIGHTS = {
    "M.fc.weight": np.arange(6, dtype=np.float32).reshape(3, 2),
    "M.fc.offset": np.array([-1, 1], np.float32),
}


def module(**graphs):
    graphs = graphs or {"M": dense_graph()}
    weights = WEIGHTS if "M" in graphs else {}
    contents = Contents("m.dl", graphs, weights, {"m.dl": "# a text\n"}, facts={"seed": 1})
    return Module(contents, build_executable, reopen=dlc.load, writer=dlc.__version__)


def expected(x):
    return np.maximum(x @ WEIGHTS["M.fc.weight"] + WEIGHTS["M.fc.offset"], 0)
