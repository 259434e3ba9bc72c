"""Memory of large results is used again when nobody holds them any more."""

import gc
import itertools
import threading
import weakref

import numpy as np
import pytest

import dlc
from dlc.runtime.results import KEPT, LARGE, MOST, Results

TEXT = """axis N, D = 1024

model Negative(x: f32[N, D]) -> f32[N, D]:
    return -x
"""
F32 = np.dtype(np.float32)
SHAPE = (LARGE // 4096, 1024)


def address(array):
    return array.ctypes.data


def test_memory_comes_back_when_the_last_view_is_gone():
    results = Results()
    one = results.array("y", SHAPE, F32)
    first, view = address(one), one[3:5].reshape(-1)
    del one
    assert address(results.array("y", SHAPE, F32)) != first
    del view
    assert first in {address(results.array("y", SHAPE, F32)) for _ in range(KEPT)}


def test_results_of_one_time_never_share_memory():
    results = Results()
    held = [results.array("y", SHAPE, F32) for _ in range(5)]
    held += [results.array("z", SHAPE, F32), results.array("y", (2, *SHAPE), F32)]
    places = sorted((address(a), a.nbytes) for a in held)
    assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(places))
    assert {a % 4096 for a, _ in places} == {2048}  # far from where arrays of NumPy begin


def test_memory_of_huge_results_is_not_kept():
    results = Results()
    first = weakref.ref(results.array("y", (MOST,), np.dtype(np.uint8)).base)
    assert first() is None


def test_a_small_result_gives_the_large_ones_back():
    results = Results()
    first = weakref.ref(results.array("y", SHAPE, F32).base)
    assert first() is not None
    results.array("y", (2,), F32)
    assert first() is None


def test_a_finalizer_may_call_the_program_that_makes_results():
    results, made = Results(), []

    class Last:
        def __del__(self):
            made.append(results.array("y", SHAPE, F32))

    old = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for _ in range(20):
            last = Last()
            last.itself = last
            del last
            made.append(results.array("y", SHAPE, F32))
            made = made[-3:]
    finally:
        gc.set_threshold(*old)
    assert len({address(array) for array in made}) == len(made)


def test_small_results_own_their_memory():
    assert Results().array("y", (3, 4), F32).base is None
    assert Results().maker("y", (3, 4), F32) is np.empty


@pytest.fixture(scope="module")
def negative(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "negative.dl"
    path.write_text(TEXT)
    return dlc.compile(path).Negative


@pytest.mark.parametrize("rows", [SHAPE[0], 20000])
def test_calls_keep_what_somebody_holds(negative, rows):
    inputs = [np.full((rows, 1024), k, np.float32) for k in range(4)]
    kept = [negative(x) for x in inputs]
    part = negative(inputs[3])[-1]
    chained = negative(negative(inputs[2]))
    for _ in range(4):
        negative(inputs[0])
    assert all((y == -k).all() for k, y in enumerate(kept))
    assert (part == -3).all()
    assert (chained == 2).all()


def test_threads_get_memory_of_their_own(negative):
    wrong = []

    def calls(k):
        x = np.full(SHAPE, k, np.float32)
        for _ in range(20):
            y = negative(x)
            if not (y == -k).all():
                wrong.append(k)

    threads = [threading.Thread(target=calls, args=(k,)) for k in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
