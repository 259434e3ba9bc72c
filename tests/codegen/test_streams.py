"""Large arrays are stored past the caches, where whole lines of them are."""

import numpy as np
import pytest

from dlc.codegen.machine import LEVELS, host
from dlc.codegen.program import generate
from dlc.codegen.streams import FAR
from dlc.diagnostics import Source
from dlc.runtime.blocks import aligned_bytes
from dlc.runtime.build import build_executable
from dlc.semantics import check_file
from dlc.transform.pipeline import lower


def graph_of(formula, axes="N, D = 1024", dims="N, D"):
    text = f"axis {axes}\n\nmodel One(x: f32[{dims}]) -> f32[{dims}]:\n    return {formula}\n"
    return check_file(Source("one.dl", text)).models["One"].graph


def streams(*arguments):
    texts = generate(lower(graph_of(*arguments)), host()).readable.values()
    return sum(text.count("stream_f32(") for text in texts)


@pytest.mark.parametrize("formula", ["-x", "softmax(x, over=D)", "x - mean(x, over=D)"])
def test_maps_have_a_form_for_many_rows(formula):
    assert streams(formula)


def test_what_the_kernel_reads_again_stays_near():
    formula = "softmax(x, over=D)"
    texts = generate(lower(graph_of(formula)), host()).readable.values()
    stored = [line for text in texts for line in text.split("\n") if "stream_f32(" in line]
    assert stored
    assert not any("exp" in line for line in stored)


@pytest.mark.parametrize(
    ("formula", "axes", "dims"),
    [
        ("-x + mean(x, over=D)", "N, D = 1001", "N, D"),  # rows begin anywhere
        ("-x", "D = 1024", "D"),  # few
    ],
)
def test_others_have_not(formula, axes, dims):
    assert not streams(formula, axes, dims)


@pytest.mark.parametrize("begin", [0, 4, 16, 32])
@pytest.mark.parametrize("formula", ["-x", "x - mean(x, over=D)"])
def test_results_are_the_same_at_any_address(formula, begin):
    program = build_executable(graph_of(formula), threads=2)
    rows = FAR // 4096 + 3
    x = np.random.default_rng(1).integers(-8, 8, (rows, 1024)).astype(np.float32)
    memory = aligned_bytes(x.nbytes + 64)
    out = memory[begin : begin + x.nbytes].view(np.float32).reshape(x.shape)
    few = np.concatenate([program.run({"x": part})["out"] for part in np.array_split(x, 5)])
    assert np.array_equal(program.run({"x": x}, out={"out": out})["out"], few)
    assert np.array_equal(out, few)


DENSE = """
axis N, D = 12, E = 64

model One(x: f32[N, D], w: f32[D, E]) -> f32[N, E]:
    return relu(dot(x, w, over=D))
"""
DEPTHWISE = """
axis N, Y = 18, C = 64, TY = 3

model One(x: f32[N, Y, C], w: f32[TY, C]) -> f32[N, Y, C]:
    return dot(window(x, Y -> (Y, TY=3), pad=1), w, over=TY)
"""


def product_of(text):
    return check_file(Source("one.dl", text)).models["One"].graph


def texts_of(text, level):
    return generate(lower(product_of(text)), LEVELS[level]).readable.values()


@pytest.mark.parametrize(
    ("text", "level"),
    [(DENSE, "x86-64-v3"), (DENSE, "x86-64-v4"), (DEPTHWISE, "x86-64-v3")],
)
def test_products_have_a_form_for_many_rows(text, level):
    assert any("stream_f32(" in text for text in texts_of(text, level))


def test_products_that_write_columns_first_have_not():
    text = DENSE.replace("D = 12", "D = 512").replace("E = 64", "E = 4096")
    assert not any("stream_f32(" in text for text in texts_of(text, "x86-64-v3"))


@pytest.mark.parametrize("text", [DENSE, DEPTHWISE])
def test_many_rows_of_a_product_are_as_few(text):
    graph = product_of(text)
    program = build_executable(graph, threads=2)
    shapes = {n.attrs["name"]: [d.constant or 0 for d in n.type.sizes] for n in graph.inputs}
    out = [d.constant or 1 for d in graph.outputs["out"].type.sizes]
    rows = FAR // (4 * int(np.prod(out))) + 3
    draw = np.random.default_rng(1).integers
    x, w = (draw(-4, 4, [n or rows for n in shapes[k]]).astype(np.float32) for k in ("x", "w"))
    few = [program.run({"x": part, "w": w})["out"].copy() for part in np.array_split(x, 5)]
    assert np.array_equal(program.run({"x": x, "w": w})["out"], np.concatenate(few))


TURN = """
axis N, D = 1024

model One(x: f32[N, D]) -> f32[D, N]:
    return x
"""


@pytest.mark.parametrize("more", [16, 24, 5])
@pytest.mark.parametrize("begin", [0, 32])
def test_a_large_transposition_is_right_at_any_address(more, begin):
    program = build_executable(product_of(TURN), threads=2)
    x = np.random.default_rng(1).integers(-8, 8, (FAR // 4096 + more, 1024)).astype(np.float32)
    memory = aligned_bytes(x.nbytes + 64)
    out = memory[begin : begin + x.nbytes].view(np.float32).reshape(x.T.shape)
    assert np.array_equal(program.run({"x": x}, out={"out": out})["out"], x.T)
    assert np.array_equal(out, x.T)


@pytest.mark.parametrize("level", LEVELS)
def test_large_transpositions_have_a_form_past_the_caches(level):
    (text,) = texts_of(TURN, level)
    assert "turn_past_f32(" in text
