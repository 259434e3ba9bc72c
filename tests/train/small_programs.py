"""Programs built by hand from ops, so that training is tested without the checker."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dlc.diagnostics import Source, Span
from dlc.graph import Axis, Graph, Node, Size, TensorType, input_node
from dlc.ops import build
from dlc.runtime.build import build_executable
from dlc.semantics.program import Hyper, ParamInfo, Port, Program, Recipe, StepProgram

N, F = Axis("N"), Axis("F")
ROWS = Size.symbol("N")
X = TensorType.of("f32", [(N, ROWS), (F, 3)])
Y = TensorType.of("f32", [(N, ROWS)])
W = TensorType.of("f32", [(F, 3)])
SCALAR, CLOCK = TensorType("f32"), TensorType("i64")
TEXT = "model A...\nminimize loss\n"

interpreted = partial(build_executable, interpret=True)


def mean(x: Node) -> Node:
    return build.div(build.reduce_sum(x, x.type.axes), build.cast(build.size(ROWS), "f32"))


class Inputs:
    """The inputs of one step's graph."""

    def __init__(self) -> None:
        self.x, self.y = input_node("x", X), input_node("y", Y)
        self.w = input_node("A.w", W, "param")
        self.m = input_node("A.mean", W, "state")
        self.slot = input_node("A.w:m", W, "slot")
        self.v = input_node("B.v", SCALAR, "param")
        self.lr = input_node("lr", SCALAR, "hyper")
        self.seed, self.step = (input_node(n, CLOCK, "clock") for n in ("seed", "step"))

    @property
    def all(self):
        return tuple(vars(self).values())


def first_step(span, training: bool) -> Graph:
    """Net A: dropout, a running mean, momentum."""
    i = Inputs()
    x = build.sub(i.x, i.m)
    outputs: dict[str, Node] = {}
    if training:
        drawn = build.uniform(i.seed, i.step, X.dims, place=7)
        x = build.where(build.gt(drawn, 0.2), x, 0.0)
        batch = build.div(build.reduce_sum(i.x, (N,)), build.cast(build.size(ROWS), "f32"))
        outputs["update:A.mean"] = build.add(build.mul(i.m, 0.9), build.mul(batch, 0.1))
    error = build.sub(build.dot(x, i.w, (F,)), i.y)
    loss = mean(build.mul(error, error))
    loss = Node(loss.op, loss.args, loss.type, loss.attrs, (span,))
    if training:
        m = build.add(build.mul(i.slot, 0.5), build.grad(loss, i.w))
        outputs |= {"update:A.w:m": m, "update:A.w": build.sub(i.w, build.mul(i.lr, m))}
    outputs |= {"metric:loss": loss, "metric:rmse": build.sqrt(loss)}
    return Graph(i.all, outputs)


def second_step(span, training: bool) -> Graph:
    """Net B: one number."""
    i = Inputs()
    error = build.sub(build.mul(build.reduce_sum(i.x, (F,)), i.v), i.y)
    loss = mean(build.mul(error, error))
    outputs = {"metric:loss": loss}
    if training:
        outputs["update:B.v"] = build.sub(i.v, build.mul(i.lr, build.grad(loss, i.v)))
    return Graph(i.all, outputs)


def program(
    path: str = "small.dl", *, two: bool = True, epochs: int = 3, validation=0.25, lr: float = 0.05,
    data=None, test=None, text: str = TEXT, every: int = 2, **settings,
) -> Program:  # fmt: skip
    source = Source(path, text)
    span = Span(source, 11, 19)
    ports = (Port("x", X, span), Port("y", Y, span))
    steps = [StepProgram("a", 1, first_step(span, True), first_step(span, False), ports,
                         ("loss", "rmse"), span)]  # fmt: skip
    if two:
        steps.append(StepProgram("b", every, second_step(span, True), second_step(span, False),
                                 ports, ("loss",), span))  # fmt: skip
    seed, step = (input_node(n, CLOCK, "clock") for n in ("seed", "step"))
    initial = {
        "A.w": build.sub(build.uniform(seed, step, W.dims, place=1), 0.5),
        "A.mean": build.zeros(W),
        "B.v": build.const(0.1, "f32"),
    }
    roles = {"A.w": "param", "A.mean": "state", "B.v": "param"}
    types = {"A.w": W, "A.mean": W, "B.v": SCALAR}
    params = {p: ParamInfo(p, types[p], roles[p], True, span, "Linear") for p in initial}
    recipe = Recipe(
        "fit", data, test, validation, {"N": 4}, epochs, 1,
        {"drop_last": False, "monitor": None, "patience": None, **settings},
        tuple(steps), ("A.w:m",), span,
    )  # fmt: skip
    hyper = Hyper("lr", "float", 0.05, None, lr, False, span)
    slots = {"fit": {"A.w:m": build.zeros(W)}}
    return Program(source, {}, {"fit": recipe}, params, {"lr": hyper}, (source,), (), initial,
                   slots, (seed, step))  # fmt: skip


def arrays(rows: int = 30, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    return {"x": x, "y": (x @ [1, -2, 0.5]).astype(np.float32)}


def contents(folder: Path) -> dict[str, bytes]:
    """What must be the same bytes however a run was interrupted."""
    found = sorted((folder / "checkpoints").glob("epoch-*.safetensors"))
    return {"metrics": (folder / "metrics.jsonl").read_bytes(), "last": found[-1].read_bytes()}
