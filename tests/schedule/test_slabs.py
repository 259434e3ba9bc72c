"""Chains of kernels go through the batch slab by slab, with the results of whole ones."""

import numpy as np
import pytest
from native_runs import run_generated

from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.reference.interpreter import interpret
from dlc.runtime import pool
from dlc.runtime.compiled import NativeExecutable
from dlc.runtime.workspace import room_for_slabs
from dlc.schedule.memory import layout
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

N, C, D, Y, X, KY, KX = (Axis(a) for a in ("N", "C", "D", "Y", "X", "KY", "KX"))
ROWS = Size.symbol("N")
IMAGE = 16


def tensor(name, *dims, role="data"):
    return input_node(name, TensorType.of("f32", dims), role)


def convolution(x, w):
    rows = b.window(x, Y, KY, 3, before=1, after=1)
    return b.rename(b.dot(b.window(rows, X, KX, 3, before=1, after=1), w, (C, KY, KX)), {D: C})


@pytest.fixture(scope="module")
def net():
    x = tensor("x", (N, ROWS), (C, 32), (Y, IMAGE), (X, IMAGE))
    first, second = (
        tensor(name, (C, 32), (KY, 3), (KX, 3), (D, 32), role="param") for name in ("w", "v")
    )
    y = convolution(b.tanh(convolution(x, first)), second)
    graph = lower(Graph((x, first, second), {"y": b.reduce_max(y, (Y, X))}))
    return graph, generate(graph, host())


def feeds_of(graph, rows):
    rng = np.random.default_rng(1)
    shapes = {n.attrs["name"]: [s.value({"N": rows}) for s in n.type.sizes] for n in graph.inputs}
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def test_a_net_of_convolutions_is_one_chain(net):
    plan = net[1].plan
    chained = [row for row in plan.rows if row.slab]
    assert chained[0].slab.rows == len(chained) > 6
    assert [row.slab.rows for row in chained] == [*range(len(chained), 0, -1)]
    assert all(row.units.value({"N": 6}) == 6 * row.slab.units for row in chained[1:2])


def test_memory_between_the_kernels_does_not_grow_with_the_batch(net):
    buffers = net[1].plan.buffers
    few, many = (layout(buffers, {"N": n}, room_for_slabs(2)).bytes for n in (100, 1000))
    assert many - few < 900 * 4 * 1024  # what follows the chain is small
    assert layout(buffers, {"N": 1000}).bytes > 50 * few


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 40])
def test_more_threads_than_the_memory_was_laid_out_for(net, rows):
    graph, generated = net
    feeds = feeds_of(graph, rows)
    want = run_generated(generated, graph, feeds, 2, checked=True)["y"]
    program = NativeExecutable(generated.plan, generated.compile(1), fill_nan=True)
    program.bind({name: feeds[name] for name in ("w", "v")})
    try:
        for threads in (1, 7, 2):
            pool.set_threads(threads)
            assert np.array_equal(program.run({"x": feeds["x"]})["y"], want), threads
    finally:
        pool.set_threads(None)


def test_the_rows_of_a_chain_have_times(net):
    graph, generated = net
    feeds = feeds_of(graph, 40)
    program = NativeExecutable(generated.plan, generated.compile(1), threads=2)
    program.bind({name: feeds[name] for name in ("w", "v")})
    times = program.profile({"x": feeds["x"]}, runs=2)
    assert all(time.work_seconds > 0 for time in times if time.row.slab)


def assert_same_bits(net, rows):
    """A net gives what the interpreter does, with the same bits on any number of threads."""
    graph, generated = net
    feeds = feeds_of(graph, rows)
    exact = interpret(widen(graph), {k: v.astype(np.float64) for k, v in feeds.items()})
    one = run_generated(generated, graph, feeds, 1)
    runs = [run_generated(generated, graph, feeds, threads) for threads in (2, 3, 7, 12)]
    runs.append(run_generated(generated, graph, feeds, 2, checked=True))
    for name, value in exact.items():
        scale = np.abs(value).max(initial=1.0)
        assert np.abs(one[name] - value).max(initial=0.0) <= 1e-5 * scale, name
        assert all(np.array_equal(one[name], run[name]) for run in runs), name


@pytest.fixture(scope="module")
def step():
    """The gradients by the weights of two convolutions, and sums over all images."""
    x = tensor("x", (N, ROWS), (C, 32), (Y, IMAGE), (X, IMAGE))
    first, second = (
        tensor(name, (C, 32), (KY, 3), (KX, 3), (D, 32), role="param") for name in ("w", "v")
    )
    y = convolution(b.tanh(convolution(x, first)), second)
    loss = b.reduce_sum(b.mul(y, y), y.type.axes)
    sums = b.reduce_sum(y, (N, Y, X))
    outputs = {"dw": b.grad(loss, first), "dv": b.grad(loss, second), "sums": sums}
    graph = lower(Graph((x, first, second), outputs))
    return graph, generate(graph, host())


def test_sums_over_the_batch_are_part_of_chains(step):
    plan = step[1].plan
    summing = [row for row in plan.rows if row.slab and row.slab.extent]
    assert len(summing) >= 3
    assert all(row.slab.parts == 8 for row in summing)


@pytest.mark.parametrize("rows", [0, 1, 3, 8, 9, 17, 40])
def test_sums_have_the_same_bits_with_any_threads(step, rows):
    assert_same_bits(step, rows)


@pytest.fixture(scope="module", params=[(16, 32), (24, 16)])
def training(request):
    """Steps that update the weights of two convolutions, of so many channels and places."""
    return trained(*request.param)


def trained(channels, image):
    """The step of `training` and its plan."""
    x = tensor("x", (N, ROWS), (C, channels), (Y, image), (X, image))
    dims = (C, channels), (KY, 3), (KX, 3), (D, channels)
    first, second = (tensor(name, *dims, role="param") for name in ("w", "v"))
    y = convolution(b.tanh(convolution(x, first)), second)
    loss = b.reduce_sum(b.mul(y, y), y.type.axes)
    steps = {
        f"update:{w.attrs['name']}": b.sub(w, b.mul(b.grad(loss, w), 1e-6)) for w in (first, second)
    }
    graph = lower(Graph((x, first, second), {"y": y, **steps}))
    return graph, generate(graph, host())


def test_steps_go_through_tiles_band_by_band(training):
    """The transformed tiles of a few bands have memory, not those of some images."""
    plan = training[1].plan
    inner = [row.slab for row in plan.rows if row.slab and row.slab.inner]
    assert len(inner) >= 6
    assert {slab.inner for slab in inner} == {1, 2, 3}
    assert all(slab.units % slab.bands == 0 for slab in inner)
    banded = [buffer for buffer in plan.buffers if buffer.banded]
    assert len(banded) >= 4
    assert all(4 * buffer.slab <= 40 * 1024 for buffer in banded)


@pytest.mark.parametrize("rows", [0, 1, 2, 9, 20])
def test_bands_give_the_same_bits_with_any_threads(training, rows):
    """A few images are shared band by band, many slab by slab."""
    assert_same_bits(training, rows)


def test_bands_of_images_whose_last_tiles_are_cut_off():
    net = trained(32, 15)
    for rows in (1, 9):
        assert_same_bits(net, rows)
