"""Calls after the first one of a shape: the quick way gives what the whole way gives."""

import ctypes
import os
import threading

import numpy as np
import pytest
from small_modules import ROWS, F, N, dense_graph, expected, module, noise_graph, pair_graph

import dlc
from dlc.graph import Axis, Graph, RangeCheck, Size, TensorType, input_node
from dlc.ops import NUMPY_DTYPES, build
from dlc.runtime import quick as quick_calls
from dlc.runtime.build import build_executable
from dlc.runtime.choice import JUDGED_RUNS, RAPID_RUNS, SMALL_SECONDS, TRIALS, Choice, Trial
from dlc.runtime.compiled import KEPT_SHAPES, NativeExecutable
from dlc.runtime.interpreted import Interpreted
from dlc.runtime.quick import quick_of

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.fixture
def quick(monkeypatch):
    """How many runs took the quick way, all on one thread: there is nothing to find out."""
    taken = []
    make = quick_calls._function

    def counting(head):
        call = make(head)

        def counted(*arrays):
            results = call(*arrays)
            taken.append(results is not None)
            return results

        return counted

    monkeypatch.setattr(quick_calls, "_function", counting)
    dlc.set_threads(1)
    yield lambda: sum(taken)
    dlc.set_threads(None)


def picking_graph(dtype):
    """T(k: dtype[N]) -> f32[N, F=3]: rows of a table."""
    table = input_node("T.table", TensorType.of("f32", [(Axis("K"), 10), (F, 3)]), "param")
    index = input_node("k", TensorType.of(dtype, [(N, ROWS)]))
    rows = build.gather(table, [index], [Axis("K")])
    check = RangeCheck("k", Size.of(10), Axis("K"))
    return Graph((table, index), {"out": rows}, (check,))


def test_later_calls_of_each_shape(quick):
    net = module()
    for turn in range(3):
        for rows in (5, 1, 0, 5):
            np.testing.assert_array_equal(net(X[:rows]), expected(X[:rows]), str(turn))
    assert quick() == 3 * 4 - 3


def test_inputs_by_name_are_quick_too(quick):
    net = module()
    for _ in range(3):
        np.testing.assert_array_equal(net(x=X), expected(X))
    assert quick() == 2
    with pytest.raises(dlc.DlcError):
        net(z=X)
    with pytest.raises(dlc.DlcError):
        net(X, x=X)


def test_each_call_returns_an_array_of_its_own(quick):
    net = module()
    net(X)
    first, second = net(X), net(X + 1)
    np.testing.assert_array_equal(first, expected(X))
    np.testing.assert_array_equal(second, expected(X + 1))
    assert quick() == 2


def test_params_that_change_are_seen(quick):
    net = module()
    net(X)
    net.params["M.fc.offset"] = np.array([3, 4], np.float32)
    after = np.maximum(X @ net.params["M.fc.weight"] + np.array([3, 4], np.float32), 0)
    np.testing.assert_array_equal(net(X), after)
    assert quick() == 1


def test_other_bindings_are_seen(quick):
    net = module()
    net(X)
    program = net.only().prepare()
    weights = {path: array * 2 for path, array in net.params.items()}
    program.bind(weights)
    for _ in range(2):
        np.testing.assert_array_equal(net(X), 2 * expected(X))
    assert quick() == 1


def test_what_is_not_alike_goes_the_whole_way(quick):
    net = module()
    net(X)
    strided = np.repeat(X, 2, axis=0)[::2]
    for other in (X.tolist(), X.astype(np.float64), np.asfortranarray(X), strided):
        np.testing.assert_array_equal(net(other), expected(X))
    with pytest.raises(dlc.DlcError, match="E0713"):
        net(X[:, :2].copy())
    with pytest.raises(dlc.DlcError, match="number 2"):
        net(X, X)
    with pytest.raises(dlc.DlcError):
        net()
    out = np.empty((5, 2), np.float32)
    assert net(X, out=out) is out
    assert quick() == 0
    readonly = X.copy()
    readonly.flags.writeable = False
    np.testing.assert_array_equal(net(readonly), expected(X))
    np.testing.assert_array_equal(net(X), expected(X))
    assert quick() == 2


def test_several_results_keep_their_names(quick):
    net = module(P=pair_graph())
    whole, again = net(X[0]), net(X[0])
    assert quick() == 1
    assert again.names == whole.names
    for name, array in again.named().items():
        np.testing.assert_array_equal(array, whole.named()[name])


def test_defaults_stay_and_sizes_without_inputs_go_the_whole_way(quick):
    net = module(G=noise_graph())
    first, again, other = net(N=4), net(N=4), net(N=4, seed=1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert quick() == 0


@pytest.mark.parametrize("dtype", ["u8", "i32", "i64"])
def test_numbers_outside_are_refused_each_time(dtype):
    program = build_executable(picking_graph(dtype), threads=1)
    table = np.arange(30, dtype=np.float32).reshape(10, 3)
    program.bind({"T.table": table})
    quick = quick_of(program, ["k"], {})
    good = np.array([3, 0, 9], NUMPY_DTYPES[dtype])
    assert quick.call(good) is None
    program.run({"k": good})
    quick.learn([good])
    (found,) = quick.call(good)
    np.testing.assert_array_equal(found, table[good])
    outside = [10, 255] if dtype == "u8" else [10, -1, np.iinfo(good.dtype).min]
    for bad in outside:
        for place in range(3):
            numbers = good.copy()
            numbers[place] = bad
            assert quick.call(numbers) is None
    assert quick.call(np.array([0, 1], good.dtype)) is None
    assert quick.call(good.astype(np.int16)) is None


def test_threads_at_once(quick):
    net = module()
    net(X)
    wrong = []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32)
        want = expected(x)
        for _ in range(200):
            if not np.array_equal(net(x), want):
                wrong.append(seed)

    many = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    assert not wrong
    assert quick() > 600  # the others found that all known memory was taken


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of threads
def test_a_forked_process():
    net = module()
    for _ in range(2):
        net(X)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(net(X), expected(X)) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of threads
def test_threads_beside_changes_and_forks():
    """Calls of several threads while another one sets threads and weights, and forks."""
    net = module()
    want = {rows: expected(X[:rows]) for rows in (1, 3, 5)}
    for rows in want:
        net(X[:rows])  # compiled and loaded, by libraries with locks of their own
    weight = np.array(net.params["M.fc.weight"])
    wrong, ended = [], []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(400):
            rows = int(rng.choice([1, 3, 5]))
            x = X[:rows] if rng.random() < 0.8 else np.asfortranarray(X[:rows])
            if not np.array_equal(net(x), want[rows]):
                wrong.append(seed)
        ended.append(seed)

    many = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in many:
        thread.start()
    try:
        for turn in range(60):
            dlc.set_threads(1 + turn % 4)
            net.params["M.fc.weight"] = weight
            if turn % 10 == 0:
                child = os.fork()
                if child == 0:
                    same = all(np.array_equal(net(X[:n]), y) for n, y in want.items())
                    os._exit(0 if same else 1)
                assert os.waitpid(child, 0)[1] == 0
    finally:
        for thread in many:
            thread.join()
        dlc.set_threads(None)
    assert not wrong
    assert len(ended) == 4


def test_another_number_of_threads(quick):
    net = module()
    for threads in (1, 2, 3, 1):
        dlc.set_threads(threads)
        for _ in range(2 * TRIALS + RAPID_RUNS + 4):
            np.testing.assert_array_equal(net(X), expected(X))
        assert quick()


def test_results_that_find_no_memory(quick, monkeypatch):
    net = module()
    net(X)
    net(X)
    (record,) = net.only()._quick._records.values()
    asked = ("no shape", np.dtype(np.float32))
    ctypes.c_int64.from_address(int(record.words[16])).value = id(asked)
    with pytest.raises(TypeError):
        net(X)
    assert record.words[1] == record.entry.sized.works[0].job.address
    assert record.entry.sized.works[0].job.take()  # it was given back


def test_bound_arrays_of_another_binding_are_not_read(quick):
    """A run by the whole way leaves other addresses in memory that quick runs use too."""
    net = module()
    program = net.only().prepare()
    net(X)
    weights = {path: array * 2 for path, array in net.params.items()}
    net(X)
    program.run({"x": X, **weights})
    np.testing.assert_array_equal(net(X), expected(X))
    assert quick() == 2


def test_records_are_forgotten_with_their_shapes(quick):
    net = module()
    for rows in [*range(1, 2 * KEPT_SHAPES), *range(1, 2 * KEPT_SHAPES)]:
        for _ in range(2):
            x = np.repeat(X, rows, axis=0)
            np.testing.assert_array_equal(net(x), expected(x))
    assert quick() == 2 * (2 * KEPT_SHAPES - 1)
    assert len(net.only()._quick._records) <= KEPT_SHAPES


def ways_of(pooled, single, runs):
    """How a trial makes so many runs that take these nanoseconds; True is alone."""
    trial, ways = Trial(), []
    for _ in range(runs):
        trial.think()
        ways.append(trial.alone)
        trial.told(single if trial.alone else pooled)
    return ways


def test_a_trial_prefers_what_was_faster():
    small, first = int(SMALL_SECONDS * 1e9), [False] * TRIALS
    both, then = first + [True] * TRIALS, 3 * TRIALS
    assert ways_of(2 * small, 1, then) == 3 * first
    assert ways_of(small // 4, small // 2, then) == both + first
    assert ways_of(small // 2, small // 4, then) == both + [True] * TRIALS
    assert ways_of(small // 2, small // 2, then) == both + [True] * TRIALS


class Clock:
    """Time that passes only where a run says so."""

    def __init__(self, monkeypatch, pooled, woken, single):
        self.now, self.asleep, self.ways = 1.0, True, []
        self.seconds = pooled, woken, single
        monkeypatch.setattr("time.clock_gettime_ns", lambda _clock: int(self.now * 1e9))
        monkeypatch.setattr("dlc.runtime.pool.run_job", self.run)

    def run(self, _job, count):
        pooled, woken, single = self.seconds
        self.ways.append(count)
        self.now += single if count == 1 else woken if self.asleep else pooled
        self.asleep = count == 1


class Work:
    job = None


def ways(monkeypatch, clock, pauses):
    """How many threads the runs took that began after these pauses."""
    choice = Choice()
    for pause in pauses:
        clock.now += pause
        clock.asleep |= pause > 0
        choice.run(Work(), 2)
    return clock.ways


PAUSED, RAPID = [1.0] * 40, [1.0, *[0.0] * 40]


def test_a_pool_is_woken_only_where_that_pays(monkeypatch):
    """Seconds: with the pool awake, with it asleep, alone."""
    small, middle, large = (50e-6, 100e-6, 40e-6), (50e-6, 100e-6, 90e-6), (50e-6, 100e-6, 150e-6)
    last = {}
    for name, seconds in (("small", small), ("middle", middle), ("large", large)):
        for pauses in (PAUSED, RAPID):
            with monkeypatch.context() as patch:
                clock = Clock(patch, *seconds)
                last[name, len(set(pauses))] = ways(patch, clock, pauses)[-1]
    assert last == {
        ("small", 1): 1, ("small", 2): 1, ("middle", 1): 1, ("middle", 2): 2,
        ("large", 1): 2, ("large", 2): 2,
    }  # fmt: skip


def test_a_judgement_is_made_anew_and_then_more_and_more_seldom(monkeypatch):
    """The first one is made while something else is busy on the other processor."""
    clock = Clock(monkeypatch, 200e-6, 200e-6, 150e-6)
    choice, seconds = Choice(), []
    for _ in range(4 * JUDGED_RUNS[1]):
        choice.run(Work(), 2)
        if len(clock.ways) == JUDGED_RUNS[0]:
            assert clock.ways[-1] == 1
            clock.seconds = 80e-6, 100e-6, 150e-6
        seconds.append(clock.ways[-1])
    assert seconds[2 * JUDGED_RUNS[0] :].count(1) < len(seconds) // 50
    assert seconds[-JUDGED_RUNS[1] :].count(1) <= TRIALS


def test_after_a_pause_the_pool_sleeps_again(monkeypatch):
    clock = Clock(monkeypatch, 50e-6, 100e-6, 90e-6)
    found = ways(monkeypatch, clock, PAUSED + RAPID + PAUSED)
    assert found[len(PAUSED) + len(RAPID) - 1] == 2
    assert found[-len(PAUSED) :] == [1] * len(PAUSED)


def test_only_native_programs_whose_inputs_are_all_named_have_a_quick_way():
    net = module()
    program = net.only().prepare()
    assert quick_of(program, [], {}) is None
    assert quick_of(Interpreted(dense_graph()), ["x"], {}) is None
    assert quick_of(program, ["x"], {}) is not None
    assert isinstance(program.program, NativeExecutable)
