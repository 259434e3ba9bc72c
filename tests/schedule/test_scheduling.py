"""What the scheduler decides: what shares a kernel, what gets memory, how indices simplify."""

import pytest

from dlc.graph import Axis, Graph, Node, Size, TensorType, input_node
from dlc.ops import build as b
from dlc.schedule.facts import find_facts
from dlc.schedule.index import Affine, Iter, at, bounds, inside
from dlc.schedule.kernel import Test as Inside
from dlc.schedule.masks import with_masks
from dlc.schedule.product import share
from dlc.schedule.schedule import schedule
from dlc.schedule.tile import Target, accesses
from dlc.transform.pipeline import lower

N, C, D, H, K, X, Y, KX, KY = (Axis(a) for a in ("N", "C", "D", "H", "K", "X", "Y", "KX", "KY"))
ROWS = Size.symbol("N")
TARGET = Target(lanes=8, registers=16)


def _tensor(name: str, *dims, dtype="f32", role="data") -> Node:
    return input_node(name, TensorType.of(dtype, dims), role)


def _scheduled(*outputs: Node):
    inputs = tuple(
        dict.fromkeys(n for n in Graph((), dict(enumerate(outputs))).nodes if n.op == "input")
    )
    graph = Graph(inputs, {f"out{i}": n for i, n in enumerate(outputs)})
    return schedule(lower(graph), TARGET)


def _convolution(x: Node, w: Node) -> Node:
    rows = b.window(x, Y, KY, 3, before=1, after=1)
    return b.dot(b.window(rows, X, KX, 3, before=1, after=1), w, (C, KY, KX))


def test_a_dense_layer_is_one_kernel():
    x, w, bias = _tensor("x", (N, ROWS), (C, 40)), _tensor("w", (C, 40), (H, 32)), None
    bias = _tensor("b", (H, 32))
    y = b.add(b.dot(x, w, (C,)), bias)
    (kernel,) = _scheduled(b.where(b.gt(y, 0.0), y, 0.0)).kernels
    assert kernel.contraction
    assert [n.op for n in kernel.members] == ["dot", "where"]


def test_softmax_is_one_kernel_of_three_passes():
    x = _tensor("x", (N, ROWS), (K, 100))
    e = b.exp(b.sub(x, b.reduce_max(x, (K,))))
    (kernel,) = _scheduled(b.div(e, b.reduce_sum(e, (K,)))).kernels
    assert len(kernel.nests) == 3
    assert kernel.outer[0].size == ROWS


def test_a_convolution_unfolds_nothing():
    """Beside halos and second layouts of weights, the arena holds inputs and outputs alone."""
    image, first, second = (
        _tensor("image", (N, ROWS), (C, 8), (Y, 20), (X, 20)),
        _tensor("w1", (C, 8), (KY, 3), (KX, 3), (D, 8)),
        _tensor("w2", (C, 8), (KY, 3), (KX, 3), (H, 8)),
    )
    hidden = b.rename(b.tanh(_convolution(image, first)), {D: C})
    result = _scheduled(_convolution(hidden, second))
    largest = max(buffer.elements.value({"N": 1}) for buffer in result.buffers.values())
    assert largest <= 22 * 22 * 8  # one image with its halo


def test_the_gradient_of_a_convolution_unfolds_nothing():
    image = _tensor("image", (N, ROWS), (C, 8), (Y, 20), (X, 20))
    w = _tensor("w", (C, 8), (KY, 3), (KX, 3), (D, 8), role="param")
    loss = b.reduce_sum(b.tanh(_convolution(b.tanh(image), w)), (N, Y, X, D))
    result = _scheduled(b.grad(loss, w), b.grad(loss, image))
    assert max(x.elements.value({"N": 8}) for x in result.buffers.values()) <= 8 * 22 * 22 * 8


def test_updates_are_maps_over_one_loop():
    """So their text does not depend on the shape: one kernel serves all parameters."""
    kernels = []
    for shape in (((C, 3), (H, 32)), ((C, 7), (H, 16), (K, 5))):
        p = _tensor("p", *shape, role="param")
        g = _tensor("g", *shape)
        graph = Graph((p, g), {"update:p": b.sub(p, b.mul(g, 0.1))})
        (kernel,) = schedule(lower(graph), TARGET).kernels
        kernels.append(kernel)
    assert [len(k.outer) for k in kernels] == [1, 1]


@pytest.mark.parametrize(("arrays", "stored"), [(2, 0), (3, 1)])
def test_what_many_arrays_make_is_stored_where_several_read_it(arrays, stored):
    """Its readers would read them all."""
    given = [_tensor(f"x{k}", (N, ROWS), (C, 4096)) for k in range(arrays)]
    total = given[0]
    for other in given[1:]:
        total = b.add(total, other)
    result = _scheduled(b.reduce_sum(total, (N,)), b.reduce_sum(b.mul(total, 2.0), (C,)))
    assert sum(n.op == "add" for n in result.facts.real) == stored


def test_a_dear_scalar_is_computed_once():
    x, t = _tensor("x", (N, ROWS)), _tensor("t")
    result = _scheduled(b.mul(x, b.exp(b.cos(t))))
    assert sorted(len(k.outer) for k in result.kernels) == [0, 1]


def test_what_nothing_needs_has_no_memory():
    x = _tensor("x", (N, ROWS), (K, 9))
    result = _scheduled(b.reduce_sum(b.tanh(b.exp(x)), (K,)))
    assert {n.op for n in result.buffers} == {"input", "reduce_sum"}


def test_the_schedule_does_not_depend_on_other_schedules():
    x, w = _tensor("x", (N, ROWS), (C, 40)), _tensor("w", (C, 40), (H, 32))
    shapes = []
    for _ in range(2):
        (kernel,) = _scheduled(b.dot(x, w, (C,))).kernels
        shapes.append([(i.axis.name, n) for i, n in kernel.tile.items()])
    assert shapes[0] == shapes[1]


# ---- indices ----
I, J = Iter(Axis("I"), Size.of(6)), Iter(Axis("J"), Size.of(8))


def test_a_quotient_that_is_provable_is_affine():
    index = at(I) * 8 + at(J)
    assert index // 8 == at(I)
    assert index % 8 == at(J)


def test_a_merged_axis_that_lies_as_before_is_one_term():
    whole = Iter(Axis("M"), Size.of(48))
    index = at(whole)
    assert index // 8 * 8 + index % 8 == index


def test_bounds_hold_for_run_time_sizes():
    rows = Iter(Axis("N"), ROWS)
    assert bounds(at(rows) * 2 + 1) == (Size.of(1), ROWS * 2 - 1)
    assert inside(at(rows), ROWS)
    assert not inside(at(rows) + 1, ROWS)
    assert not inside(at(rows) - 1, ROWS)


@pytest.mark.parametrize(("divisor", "expected"), [(16, 1), (12, None)])
def test_neighbours_inside_a_panel_are_one_step_apart(divisor, expected):
    lane = Iter(Axis("L"), Size.of(64))
    index = at(lane) % divisor + at(lane) // divisor * 1000
    step = index.step(lane, 8)
    assert step == (None if expected is None else Size.of(expected))


def test_affine_sums_drop_what_cancels():
    assert at(I) - at(I) == Affine()


def test_quotients_by_common_factors_are_short():
    """Bands of rows are compared as formulas: what lies below the factor does not count."""
    y, x = Iter(Y, Size.of(16)), Iter(X, Size.of(8))
    for shift in (0, -5, 3):
        index = (at(y) + shift) * 8 + at(x)
        assert index // 16 == (at(y) + shift) // 2
        assert index % 16 == (at(y) + shift) % 2 * 8 + at(x)
    assert (at(y) * 8 + at(x) + 1) // 16 != at(y) // 2


@pytest.mark.parametrize("steps", [(1, 1), (2, 1), (1, -1), (-2, 3), (1, 3)])
def test_the_share_of_taps_inside_an_image(steps):
    for n, m, first, size in ((9, 3, -1, 9), (5, 7, -3, 5), (4, 2, 3, 1), (1, 1, -5, 2)):
        i, k = Iter(Axis("i"), Size.of(n)), Iter(Axis("k"), Size.of(m))
        a, b_ = steps
        inside_ = [0 <= first + a * x + b_ * y < size for x in range(n) for y in range(m)]
        test = Inside(at(i) * a + at(k) * b_ + first, Size.of(size))
        assert share(test, {i: a, k: b_}) == pytest.approx(sum(inside_) / len(inside_))


def test_the_choice_of_a_tile_counts_what_it_skips():
    x, w = (
        _tensor("x", (N, ROWS), (C, 64), (Y, 5), (X, 5)),
        _tensor("w", (C, 64), (KY, 7), (KX, 7), (D, 64)),
    )
    rows = b.window(x, Y, KY, 7, before=3, after=3)
    y = b.dot(b.window(rows, X, KX, 7, before=3, after=3), w, (C, KY, KX))
    (kernel,) = [k for k in _scheduled(y).kernels if k.contraction]
    assert not any(i.axis.name in ("X", "Y") for i in kernel.tile)
    assert kernel.blocks is not None
    assert kernel.blocks.known


@pytest.mark.parametrize(("compare", "turned"), [(b.le, False), (b.gt, True)])
def test_where_a_rectifier_cut_is_read_from_its_result(compare, turned):
    """What it was given then has no memory, though the gradient needs to know where it cut."""
    x, w = _tensor("x", (N, ROWS), (C, 40)), _tensor("w", (C, 40), (H, 32))
    v = _tensor("v", (H, 32), (K, 24))
    before = b.dot(x, w, (C,))
    cut = compare(before, 0.0)
    y = b.where(cut, before, 0.0) if turned else b.where(cut, 0.0, before)
    result = b.dot(y, v, (H,))
    loss = b.reduce_sum(b.mul(result, result), (N, K))
    found = _scheduled(b.grad(loss, w), b.grad(loss, v))
    dots = [n for n in found.buffers if n.op == "dot" and n.type.axes == (N, H)]
    (dot,) = (n for n in dots if n.args[0].op == "input")
    held = {a.buffer for k in found.kernels for a in accesses(k) if not a.store}
    assert found.buffers[dot] not in held
    assert sum(n.op == "where" and n.type.axes == (N, H) for n in found.buffers) >= 1


def test_other_cuts_are_read_from_what_was_cut():
    """x < 0 is not y < 0, and a leaky one may turn signs."""
    x, g = (_tensor(name, (N, ROWS), (C, 40)) for name in ("x", "g"))
    below, low, above = b.lt(x, 0.0), b.le(x, 1.0), b.gt(x, 0.0)
    results = {
        below: b.where(below, 0.0, x),
        low: b.where(low, 0.0, x),
        above: b.where(above, x, g),
    }
    for cut, y in results.items():
        graph = Graph((x, g), {"y": y, "dx": b.where(cut, 0.0, g)})
        assert with_masks(find_facts(graph)) is graph


def test_what_one_array_makes_quickly_is_computed_again():
    """The rectified normalisation before a convolution by tiles has memory for slabs alone."""
    dims = (N, ROWS), (C, 32), (Y, 16), (X, 16)
    x, scale = _tensor("x", *dims), _tensor("s", (C, 32), role="param")
    first, second = (
        _tensor(name, (C, 32), (KY, 3), (KX, 3), (D, 32), role="param") for name in ("w", "v")
    )
    middle = b.mul(b.rename(_convolution(x, first), {D: C}), scale)
    hidden = b.where(b.le(middle, 0.0), 0.0, middle)
    y = _convolution(hidden, second)
    loss = b.reduce_sum(b.mul(y, y), y.type.axes)
    found = _scheduled(b.grad(loss, first), b.grad(loss, second), b.grad(loss, scale))
    large = [n for n in found.buffers if n.type.elements == x.type.elements and n.op == "where"]
    assert not large
