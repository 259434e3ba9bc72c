import ctypes
import mmap

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dlc.codegen.machine import host
from dlc.runtime.blocks import aligned_bytes

KINDS = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "i32": np.int32, "i64": np.int64,
    "u8": np.uint8, "bool": np.bool_,
}  # fmt: skip


@pytest.fixture(params=KINDS)
def dtype(request):
    return request.param


def numbers(dtype: str, count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    if dtype == "bool":
        return rng.integers(0, 2, count).astype(bool)
    return rng.integers(0, 200, count).astype(KINDS[dtype])


def test_whole_vectors_at_any_offset(native, dtype):
    lanes, x = native.lanes, numbers(dtype, 200)
    out = np.zeros(200, KINDS[dtype])
    native.call(f"store_{dtype}(b, u + 1, load_{dtype}(a, u * 3))", 5, 6, x, out)
    want = np.zeros_like(out)
    want[6 : 6 + lanes] = x[15 : 15 + lanes]
    assert_array_equal(out, want)


@pytest.mark.parametrize("left", [0, 1, 3, 100])
def test_padding_is_left_out_where_that_costs_nothing(native, left):
    """Elsewhere it may be loaded: what depends on it is not stored."""
    lanes, x, out = native.lanes, numbers("f32", 64), np.full(64, -1, np.float32)
    native.call(f"store_f32(b, 0, load_padded_f32(a, 2, {left}))", 0, 1, x, out)
    count = min(left, lanes)
    assert_array_equal(out[:count], x[2 : 2 + count])
    if host().has("avx2"):
        assert not out[count:lanes].any()


@pytest.mark.parametrize("far", [0, 1])
def test_vectors_past_the_caches(native, dtype, far):
    lanes, x = native.lanes, numbers(dtype, 200)
    out = aligned_bytes(64 * x.itemsize, 0).view(KINDS[dtype])
    body = f"stream_{dtype}(b, u * {lanes}, load_{dtype}(a, u * 3))\ndrained({far})"
    native.call(body, 1, 3, x, out)
    want = np.zeros_like(out)
    want[lanes : 2 * lanes] = x[3 : 3 + lanes]
    want[2 * lanes : 3 * lanes] = x[6 : 6 + lanes]
    assert_array_equal(out, want)


def test_one_element(native, dtype):
    x, out = numbers(dtype, 50), np.zeros(200, KINDS[dtype])
    body = (
        f"store_{dtype}(b, u * 16, splat_{dtype}(a, u))\n"
        f"store_one_{dtype}(b, 180 + u, splat_{dtype}(a, u + 7))"
    )
    native.call(body, 0, 3, x, out)
    want = np.zeros_like(out)
    for u in range(3):
        want[u * 16 : u * 16 + native.lanes] = x[u]
        want[180 + u] = x[u + 7]
    assert_array_equal(out, want)


@pytest.fixture(scope="module")
def fenced():
    """A page of memory behind which no address may be touched."""
    block = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    whole = np.frombuffer(block, np.uint8)
    start = -whole.ctypes.data % mmap.PAGESIZE
    protect = ctypes.CDLL(None).mprotect
    fence = ctypes.c_void_p(whole.ctypes.data + start + mmap.PAGESIZE)
    assert protect(fence, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    yield whole[start : start + mmap.PAGESIZE]
    protect(fence, ctypes.c_size_t(mmap.PAGESIZE), 3)


def test_masked_lanes_touch_no_memory(native, dtype, fenced):
    page = fenced.view(KINDS[dtype])
    x = numbers(dtype, len(page))
    body = (
        "m = below(c)\n"
        f"v = load_masked_{dtype}(a, b, m)\n"
        f"store_below_{dtype}(a, b, v, c)\n"
        f"store_{dtype}(d, 0, v)\n"
        f"store_{dtype}(e, 0, load_strided_{dtype}(a, b, 1, m))\n"
        f"store_strided_{dtype}(a, b, 1, v, m)"
    )
    for count in range(native.lanes + 1):
        page[...] = x
        start = len(x) - count
        whole, strided = np.ones((2, native.lanes), KINDS[dtype])
        native.call(body, 0, 1, page, start, count, whole, strided)
        assert_array_equal(page, x)
        assert_array_equal(whole[:count], x[start:])
        assert_array_equal(strided, whole)
        assert not whole[count:].any()


def test_the_first_lanes_are_stored(native, dtype):
    lanes, x = native.lanes, numbers(dtype, 300)
    body = f"store_below_{dtype}(a, 5, load_{dtype}(b, 7), c)"
    for count in range(-lanes, lanes + 3):
        out = np.zeros(50, KINDS[dtype])
        native.call(body, 0, 1, out, x, count)
        stored = min(max(count, 0), lanes)
        assert_array_equal(out[5 : 5 + stored], x[7 : 7 + stored])
        assert not out[:5].any()
        assert not out[5 + stored :].any()


def test_strides(native, dtype):
    lanes, x = native.lanes, numbers(dtype, 300)
    for stride in (1, 7, -3, 0):
        out, back = np.zeros(lanes, KINDS[dtype]), np.zeros(300, KINDS[dtype])
        body = (
            f"v = load_strided_{dtype}(a, 100, d, all_lanes())\n"
            f"store_{dtype}(b, 0, v)\n"
            f"store_strided_{dtype}(c, 90, d, v, below({lanes - 1}))"
        )
        native.call(body, 0, 1, x, out, back, stride)
        assert_array_equal(out, x[100 + stride * np.arange(lanes)])
        want = np.zeros_like(back)
        for lane in range(lanes - 1):  # in order: the last of equal places stays
            want[90 + stride * lane] = out[lane]
        assert_array_equal(back, want)


def test_gather_and_put(native, dtype):
    lanes, x = native.lanes, numbers(dtype, 300)
    places = np.random.default_rng(1).integers(0, 300, lanes)
    places[1] = places[0]
    far = places.copy()
    far[-1] = 2**40  # a masked lane's place is never touched
    out, back = np.zeros(lanes, KINDS[dtype]), np.zeros(300, KINDS[dtype])
    body = (
        f"m = below({lanes - 1})\n"
        f"ix = load_i64(d, 0)\n"
        f"v = gather_{dtype}(a, ix, m)\n"
        f"store_{dtype}(b, 0, v)\n"
        f"put_{dtype}(c, ix, v, m)"
    )
    native.call(body, 0, 1, x, out, back, far)
    assert_array_equal(out[:-1], x[places[:-1]])
    assert not out[-1]
    want = np.zeros_like(back)
    want[places[:-1]] = x[places[:-1]]
    assert_array_equal(back, want)


@pytest.mark.parametrize("dtype", ["i32", "i64", "u8", "bool"])
def test_scalars(native, dtype):
    x, out = numbers(dtype, 40), np.zeros(40, KINDS[dtype])
    native.call(f"set_{dtype}(b, u, get_{dtype}(a, 39 - u))", 0, 40, x, out)
    assert_array_equal(out, x[::-1])
    if dtype == "i32":
        negative = np.array([-5], "i4")
        wide = np.zeros(1, "i8")
        native.call("set_i64(b, 0, get_i32(a, 0))", 0, 1, negative, wide)
        assert wide[0] == -5


def test_scratch_is_private_and_aligned(native):
    lanes = native.lanes
    out, places = np.zeros((3, lanes), "f4"), np.zeros((3, 2), "i8")
    text = f"""
def kernel(lo, hi, args):
    out = argument(args, 0)
    places = argument(args, 1)
    p = scratch({4 * lanes})
    q = scratch(100)
    for u in range(lo, hi):
        store_f32(p, 0, const_f32(u + 1))
        store_one_f32(q, 0, const_f32(0.5))
        set_i64(places, u * 2, p)
        set_i64(places, u * 2 + 1, q)
        store_f32(out, u * {lanes}, add(load_f32(p, 0), splat_f32(q, 0)))
"""
    native.kernel(text)(0, 3, out, places)
    assert_array_equal(out, np.arange(3)[:, None] + np.full((3, lanes), 1.5))
    assert (places % 64 == 0).all()
    assert (places == places[0]).all()
    assert places[0, 0] != places[0, 1]


@pytest.mark.parametrize("dtype", ["f32", "i32"])
def test_square_blocks_are_transposed(native, dtype):
    lanes = native.lanes
    x = numbers(dtype, 3 + (lanes + 5) * lanes)
    out = np.zeros(1 + (lanes + 2) * lanes, KINDS[dtype])
    native.call(f"turn_{dtype}(b, 1, {lanes + 2}, a, 3, {lanes + 5})", 0, 1, x, out)
    want = np.zeros_like(out)
    block = x[3:].reshape(lanes, lanes + 5)[:, :lanes]
    want[1:].reshape(lanes, lanes + 2)[:, :lanes] = block.T
    assert_array_equal(out, want)
