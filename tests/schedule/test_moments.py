"""The variance of a batch of images comes from the mean and variance of every image."""

import numpy as np
import pytest
from native_runs import run_generated

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.schedule.facts import find_facts
from dlc.schedule.moments import with_moments
from dlc.transform.pipeline import lower

N, C, Y, X = (Axis(a) for a in ("N", "C", "Y", "X"))
ROWS = Size.symbol("N")


def variance(x, over, count, around=None):
    apart = b.sub(x, b.div(b.reduce_sum(x if around is None else around, over), count))
    return b.div(b.reduce_sum(b.mul(apart, apart), over), count)


def images(size=(6, 7), channels=5, rows=ROWS, dtype="f32"):
    dims = ((N, rows), (Y, size[0]), (X, size[1]), (C, channels))
    return input_node("x", TensorType.of(dtype, dims), "data")


def count_of(x, over):
    total = Size.of(1)
    for axis in over:
        total = total * x.type.size(axis)
    return b.cast(b.size(total), x.type.dtype)


def graph_of(x, over=(N, Y, X)):
    return lower(Graph((x,), {"v": variance(x, over, count_of(x, over))}))


@pytest.mark.parametrize("rows", [1, 2, 9, 64])
@pytest.mark.parametrize("level", [0.0, 1e3])
def test_variances_are_those_of_float64(rows, level):
    graph = graph_of(images())
    generated = generate(graph, host())
    x = np.random.default_rng(rows).normal(size=(rows, 6, 7, 5)) + level * np.arange(5)
    x = x.astype(np.float32)
    got = run_generated(generated, graph, {"x": x}, 2, checked=True)["v"]
    want = x.astype(np.float64).var((0, 1, 2))
    np.testing.assert_allclose(got, want, rtol=1e-5 if level else 2e-6)


def test_no_row_reads_the_batch_a_second_time():
    plan = generate(graph_of(images((16, 16), 32)), host()).plan
    (x,) = [i for i, buffer in enumerate(plan.buffers) if buffer.port == "x"]
    readers = [row for row in plan.rows if any(getattr(a, "index", None) == x for a in row.args)]
    assert len(readers) == 1


def test_a_batch_without_images_small_images_and_huge_ones_are_summed_as_before():
    for graph in (
        graph_of(images(), (N,)),
        graph_of(images((5, 6))),
        graph_of(images((512, 512))),
        graph_of(images(rows=Size.of(8))),
        graph_of(images(dtype="f16")),
    ):
        assert with_moments(find_facts(graph)) is graph


def test_distances_from_another_mean_are_no_variance():
    x = images()
    other = input_node("y", x.type, "data")
    v = variance(x, (N, Y, X), count_of(x, (N, Y, X)), around=other)
    graph = lower(Graph((x, other), {"v": v}))
    assert with_moments(find_facts(graph)) is graph


@pytest.mark.parametrize("axes", [(Y,), (N, Y)])
def test_means_that_differ_within_an_image_are_none(axes):
    x = images()
    share = input_node("y", TensorType.of("f32", [(a, x.type.size(a)) for a in axes]), "data")
    graph = lower(Graph((x, share), {"v": variance(x, (N, Y, X), share)}))
    assert with_moments(find_facts(graph)) is graph
