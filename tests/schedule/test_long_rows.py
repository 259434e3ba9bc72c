"""Kernels that go through a long row several times: a softmax, a norm, a cross entropy."""

import re

import numpy as np
import pytest
from native_runs import run_generated

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.diagnostics import Source
from dlc.reference.interpreter import interpret
from dlc.runtime import pool
from dlc.runtime.compiled import NativeExecutable
from dlc.runtime.workspace import room_for_slabs
from dlc.schedule.memory import layout
from dlc.semantics import check_file
from dlc.transform.pipeline import lower


def made(size, formula="softmax(x, over=D)"):
    text = f"axis N, D = {size}\n\nmodel M(x: f32[N, D]) -> f32[N, D]:\n    return {formula}\n"
    graph = lower(check_file(Source("m.dl", text)).models["M"].graph)
    return graph, generate(graph, host())


def asked_ahead(generated):
    return sum(text.count("prefetch_") for text in generated.readable.values())


def test_what_one_kernel_alone_reads_has_memory_for_slabs():
    buffers = made(1000)[1].plan.buffers
    few, many = (layout(buffers, {"N": n}, room_for_slabs(2)).bytes for n in (100, 10_000))
    assert few == many


def test_short_rows_are_not_cut_in_slabs():
    assert not any(row.slab for row in made(100)[1].plan.rows)


def test_the_second_time_asks_for_the_next_row():
    (text,) = made(1000)[1].readable.values()
    first, second, third, past_the_caches = text.split("for i_d in range(")[1:]
    assert "prefetch_" not in first + third + past_the_caches
    offset = re.search(r"(o\d+) = i_n \* 1000 \+ i_d", second)
    assert f"prefetch_f32(p0_x, {offset[1]} + 1000)" in second


@pytest.mark.parametrize(
    ("size", "formula"),
    [(200, "softmax(x, over=D)"), (20_000, "softmax(x, over=D)"), (1000, "exp(x)")],
)
def test_short_rows_very_long_ones_and_maps_ask_for_nothing(size, formula):
    assert not asked_ahead(made(size, formula)[1])


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 65, 200])
def test_rows_are_the_same_for_any_threads(rows):
    graph, generated = made(1000, "softmax(x, over=D) * (x - mean(x, over=D))")
    x = np.random.default_rng(rows).normal(size=(rows, 1000)).astype(np.float32)
    want = run_generated(generated, graph, {"x": x}, 2, checked=True)
    (name,) = want
    np.testing.assert_allclose(want[name], interpret(graph, {"x": x})[name], rtol=1e-4, atol=1e-6)
    program = NativeExecutable(generated.plan, generated.compile(1), fill_nan=True)
    program.bind({})
    try:
        for threads in (1, 2, 5):
            pool.set_threads(threads)
            assert np.array_equal(program.run({"x": x})[name], want[name]), threads
    finally:
        pool.set_threads(None)


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (20, 24)])
def test_a_lane_around_reduced_loops_asks_for_nothing(rows, columns):
    """What is printed before those loops is not what they read."""
    text = f"""axis N, T = {columns}, E = {rows}

model Net(x: f32[N, E, T]) -> f32[N, E]:
    return x |> LayerNorm(E) |> mean(T)
"""
    graph = lower(check_file(Source("m.dl", text)).models["Net"].graph)
    feeds = {n.attrs["name"]: np.ones([s.value({"N": 5}) for s in n.type.sizes], np.float32)
             for n in graph.inputs}  # fmt: skip
    feeds["x"] = np.random.default_rng(0).normal(size=(5, rows, columns)).astype(np.float32)
    got = run_generated(generate(graph, host()), graph, feeds, 2)
    want = interpret(graph, feeds)
    (name,) = want
    np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-5)
