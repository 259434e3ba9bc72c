"""Running checked programs with the interpreter."""

from __future__ import annotations

import numpy as np

from dlc.diagnostics import DlcError, Source, render
from dlc.reference.interpreter import interpret
from dlc.reference.verify import verify
from dlc.semantics import Program, check_file
from dlc.transform.pipeline import lower

RNG = np.random.default_rng(7)


def load(text: str, **sets) -> Program:
    """The checked program; its mistakes, rendered, where it is wrong."""
    try:
        return check_file(Source("test.dl", text), sets=sets)
    except DlcError as error:
        raise AssertionError("\n\n".join(render(d) for d in error.diagnostics)) from None


def initial(program: Program, recipe: str | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    graph = program.init(recipe)
    verify(graph)
    clocks = {n.attrs["name"]: np.int64(seed) for n in graph.inputs}
    return interpret(graph, clocks)


def execute(program, graph, arrays, sizes=None, step=1, seed=0) -> dict[str, np.ndarray]:
    """A graph with params, hypers and clocks filled in."""
    graph = lower(graph)
    verify(graph)
    clocks = {"seed": np.int64(seed), "step": np.int64(step), "epoch": np.int64(1)}
    hypers = {n: np.float32(h.value) for n, h in program.hypers.items() if h.type == "float"}
    known = {**hypers, **clocks, **arrays}
    feeds = {n.attrs["name"]: known[n.attrs["name"]] for n in graph.inputs}
    return interpret(graph, feeds, sizes)


def run_model(text: str, name: str = "M", sizes=None, **arrays):
    """The output of a model, and its parameters."""
    program = load(text)
    params = initial(program)
    model = program.models[name]
    verify(model.graph)
    out = execute(program, model.graph, {**params, **arrays}, sizes)
    return out.get("out", out), params


def value(body: str, axes: str = "axis N", signature: str = "", result: str = "f32", **arrays):
    """What a model with this body computes."""
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    out, _ = run_model(f"{axes}\nmodel M({signature}) -> {result}:\n{lines}\n", **arrays)
    return out


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def close(got, want, tolerance=1e-5):
    want = np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
