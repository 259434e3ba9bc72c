"""What the units of kernels hold, so that threads share a batch, and a batch of one."""

from math import prod
from pathlib import Path

import numpy as np
import pytest
from native_runs import run_generated

import dlc.templates
from dlc.codegen.machine import host
from dlc.codegen.program import generate
from dlc.graph import Axis, Graph, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.schedule.kernel import Kernel
from dlc.schedule.product import kept, product_of
from dlc.schedule.schedule import schedule
from dlc.schedule.tile import Target
from dlc.semantics import check_file
from dlc.transform.pipeline import lower

N, C, D, Y, X, KY, KX, PY, PX = (Axis(a) for a in ("N", "C", "D", "Y", "X", "KY", "KX", "PY", "PX"))
ROWS = Size.symbol("N")
NARROW, WIDE = Target(8, 16), Target(16, 32, 48 * 1024)


def tensor(name, *dims, role="data"):
    return input_node(name, TensorType.of("f32", dims), role)


def image(channels, size):
    return tensor("x", (N, ROWS), (Y, size), (X, size), (C, channels))


def weight(channels, kernel, out):
    return tensor("w", (C, channels), (KY, kernel), (KX, kernel), (D, out), role="param")


def seen(x, kernel, stride=1):
    pads = {"stride": stride, "before": kernel // 2, "after": kernel // 2}
    return b.window(b.window(x, Y, KY, kernel, **pads), X, KX, kernel, **pads)


def kernels_of(inputs, outputs, target) -> list[Kernel]:
    return list(schedule(lower(Graph(tuple(inputs), outputs)), target).kernels)


def of_one(kernel):
    """The units of a batch of one."""
    extent = kernel.blocks.extent if kernel.blocks else {}
    known = [i for i in kernel.units if i.size.constant is not None]
    return prod(-(-i.size.constant // extent.get(i, kernel.tile.get(i, 1))) for i in known)


@pytest.mark.parametrize("rows", [0, 1, 223, 225, 449, 700])
def test_long_batches_are_cut_evenly(rows):
    """The last unit is about as long as the others; a row is the same wherever it stands."""
    x, w = tensor("x", (N, ROWS), (C, 200)), tensor("w", (C, 200), (D, 130), role="param")
    graph = lower(Graph((x, w), {"y": b.dot(x, w, (C,))}))
    product = schedule(graph, NARROW).kernels[-1]
    assert [i.size for i in product.blocks.even] == [ROWS]
    rng = np.random.default_rng(0)
    feeds = {
        "x": rng.uniform(-1, 1, (700, 200)).astype("f4")[:rows],
        "w": rng.uniform(-1, 1, (200, 130)).astype("f4"),
    }
    generated = generate(graph, host())
    got = run_generated(generated, graph, feeds, checked=True)["y"]
    np.testing.assert_allclose(got, feeds["x"].astype("f8") @ feeds["w"], atol=1e-4)
    shared = run_generated(generated, graph, feeds, threads=3)["y"]
    few = run_generated(generated, graph, {**feeds, "x": feeds["x"][-3:]})["y"]
    assert np.array_equal(got, shared)
    assert np.array_equal(got[-3:], few)


@pytest.mark.parametrize("target", [NARROW, WIDE])
@pytest.mark.parametrize(("steps", "columns", "whole"), [(7, 500, True), (300, 500, False)])
def test_short_sums_are_computed_row_by_row(target, steps, columns, whole):
    """They take less time than their results, which are then written in order."""
    x, w = tensor("x", (N, ROWS), (C, steps)), tensor("w", (C, steps), (D, columns), role="param")
    product = next(k for k in kernels_of((x, w), {"y": b.dot(x, w, (C,))}, target) if k.contraction)
    assert (product.outer[-1] == product.lane) is whole
    assert (product.lane not in product.units) is whole


@pytest.mark.parametrize("rows", [1, 13, 15, 16, 100])
def test_row_by_row_a_row_is_the_same_wherever_it_stands(rows):
    x, w = tensor("x", (N, ROWS), (C, 9)), tensor("w", (C, 9), (D, 333), role="param")
    graph = lower(Graph((x, w), {"y": b.dot(x, w, (C,))}))
    rng = np.random.default_rng(0)
    feeds = {
        "x": rng.uniform(-1, 1, (rows, 9)).astype("f4"),
        "w": rng.uniform(-1, 1, (9, 333)).astype("f4"),
    }
    generated = generate(graph, host())
    got = run_generated(generated, graph, feeds, checked=True)["y"]
    np.testing.assert_allclose(got, feeds["x"].astype("f8") @ feeds["w"], atol=1e-5)
    last = run_generated(generated, graph, {**feeds, "x": feeds["x"][-1:]})["y"]
    assert np.array_equal(got, run_generated(generated, graph, feeds, threads=3)["y"])
    assert np.array_equal(got[-1:], last)


@pytest.mark.parametrize("target", [NARROW, WIDE])
@pytest.mark.parametrize(("channels", "size", "out"), [(32, 16, 48), (8, 56, 32), (128, 8, 256)])
def test_one_image_is_several_units(target, channels, size, out):
    """Along the image, or along the lanes where these are more."""
    x, w = image(channels, size), weight(channels, 3, out)
    y = b.dot(seen(x, 3, stride=2), w, (C, KY, KX))
    product = next(k for k in kernels_of((x, w), {"y": y}, target) if k.contraction)
    lane = product.lane.size.constant
    by_rows = (size // 2) ** 2 >= lane
    assert of_one(product) >= 2
    assert (product.lane not in product.units) == by_rows or lane <= 128


def test_maps_of_one_image_are_several_units():
    x = image(64, 28)
    windows = b.window(b.window(x, Y, KY, 2, stride=2), X, KX, 2, stride=2)
    (pool,) = kernels_of((x,), {"y": b.reduce_max(windows, (KY, KX))}, WIDE)
    assert of_one(pool) == 14


def test_few_columns_of_a_batch_have_small_units():
    """64 rows are two units at least; all else is in the first cache anyway."""
    x, w = tensor("x", (N, ROWS), (C, 128)), tensor("w", (C, 128), (D, 10), role="param")
    (product,) = kernels_of((x, w), {"y": b.dot(x, w, (C,))}, WIDE)
    rows = next(i for i in product.units if i.size == ROWS)
    assert product.blocks.extent[rows] <= 48


@pytest.mark.parametrize("trained", [False, True])
def test_columns_are_shared_where_the_weight_stays(trained):
    """Else a sum in parts brings a thread back to the rows of the weight that it updates."""
    x, w = tensor("x", (N, ROWS), (C, 800)), tensor("w", (C, 800), (D, 128), role="param")
    outputs = {"y": b.dot(x, w, (C,))}
    if trained:
        outputs["update:w"] = b.mul(w, b.const(0.5, "f32"))
    products = [k for k in kernels_of((x, w), outputs, WIDE) if k.contraction]
    assert [bool(k.parts) for k in products] == [trained]


@pytest.mark.parametrize("target", [NARROW, WIDE])
def test_the_operand_with_fewer_vectors_stays_in_registers(target):
    x, w, g = image(16, 32), weight(16, 3, 16), tensor("g", (N, ROWS), (Y, 32), (X, 32), (D, 16))
    y = b.dot(seen(x, 3), w, (C, KY, KX))
    loss = b.reduce_sum(b.mul(y, g), (N, Y, X, D))
    kernels = kernels_of((x, w, g), {"dw": b.grad(loss, w)}, target)
    product = next(k for k in kernels if k.contraction)
    vectors = prod(product.tile.values()) // target.lanes
    stay = kept(product, product.tile, target.lanes)
    assert vectors + prod(stay.values()) + 1 < target.registers
    (statement,) = product.nests[0].body
    held = {i: n // target.lanes if i == product.lane else n for i, n in product.tile.items()}
    counts = [prod(n for i, n in held.items() if i in a.deps) for a in statement.expr.args]
    assert prod(stay.values()) <= min(counts)


def test_all_lanes_of_a_place_are_computed_together_where_both_operands_have_them():
    x = image(64, 16)
    w = tensor("w", (C, 64), (KY, 3), (KX, 3), role="param")
    kernels = kernels_of((x, w), {"y": b.dot(seen(x, 3), w, (KY, KX))}, WIDE)
    product = next(k for k in kernels if k.contraction)
    assert product.outer[-1] == product.lane
    assert N not in {i.axis for i in product.tile}


def test_scattered_results_are_summed_in_memory_of_the_unit():
    """Lanes along an image of few channels: chunks would gather and scatter them every time."""
    x, w = image(3, 112), weight(3, 7, 64)
    y = b.dot(seen(x, 7, stride=2), w, (C, KY, KX))
    loss = b.reduce_sum(b.mul(y, y), (N, Y, X, D))
    kernels = kernels_of((x, w), {"dx": b.grad(loss, x)}, WIDE)
    gradient = next(k for k in kernels if any(n.op == "unwindow" for n in k.members))
    assert gradient.blocks.chunks
    assert gradient.blocks.sums is not None


def test_chunks_fill_the_first_cache():
    x, w = tensor("x", (N, ROWS), (C, 1024)), tensor("w", (C, 1024), (D, 512), role="param")
    depths = []
    for target in (Target(16, 32, 32 * 1024), Target(16, 32, 48 * 1024)):
        product = kernels_of((x, w), {"y": b.dot(x, w, (C,))}, target)[-1]
        (depth,) = product.blocks.chunks.values()
        depths.append(4 * depth * product.tile[product.lane])
    assert depths == [16 * 1024, 32 * 1024]


def texts_of(x, w):
    """Of the product and of the other kernels."""
    graph = lower(Graph((x, w if w.op == "input" else w.args[0]), {"y": b.dot(x, w, (C,))}))
    texts = generate(graph, host()).readable.values()
    (product,) = [text for text in texts if " dot[" in text.partition("def ")[0]]
    return product, [text for text in texts if text is not product]


def test_products_do_not_read_padding():
    """Nobody has written all of it, and tiny numbers there would make multiply-adds slow."""
    w = b.tanh(tensor("w", (C, 40), (D, 33)))
    product, _ = texts_of(tensor("x", (N, ROWS), (C, 40)), w)
    assert "load_padded_f32(" in product


@pytest.mark.parametrize("columns", [33, 250, 255])
def test_copies_fill_the_panels_that_products_read_whole(columns):
    product, (copy,) = texts_of(tensor("x", (N, ROWS), (C, 40)), tensor("w", (D, columns), (C, 40)))
    assert "load_padded_f32(" not in product
    assert "store_f32(" in copy
    assert "store_below_f32(" not in copy


@pytest.mark.parametrize("target", [NARROW, WIDE])
def test_no_lane_reads_by_an_index_of_its_own(target):
    """The gradient through a maximum sums over winners, whose places differ by output channel."""
    program = check_file(Path(dlc.templates.__path__[0]) / "digits" / "digits.dl")
    (step,) = program.recipes["fit"].steps
    kernels = [k for k in schedule(lower(step.graph), target).kernels if k.contraction]
    products = [product_of(k, target, k.lane) for k in kernels]
    indexed = [(p.lane, loops) for p in products for loops in p.indexed if loops]
    assert indexed
    assert all(lane not in loops for lane, loops in indexed)


@pytest.mark.parametrize(
    ("channels", "kernel", "out", "turned"),
    [(512, 1, 3, False), (64, 1, 2, False), (16, 3, 3, True)],
)
def test_images_are_turned_where_their_lanes_save_more_work(channels, kernel, out, turned):
    """Of few results an element, lanes that are not all used are cheaper."""
    x, w = image(channels, 56), weight(channels, kernel, out)
    for target in (NARROW, WIDE):
        kernels = kernels_of((x, w), {"y": b.dot(seen(x, kernel), w, (C, KY, KX))}, target)
        batch = [k for k in kernels if any(i.size == ROWS for i in k.units)]
        assert (len(batch) > 1) == turned
