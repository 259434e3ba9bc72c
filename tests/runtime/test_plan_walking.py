import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from dlc.codegen.machine import host
from dlc.codegen.objects import compile_all
from dlc.diagnostics import DlcError
from dlc.graph import Axis, RangeCheck, Size, SizeCheck
from dlc.runtime import pool
from dlc.runtime.compiled import NativeExecutable
from dlc.schedule.plan import Buffer, BufferRef, Line, Plan, PlanPort, Row, Work

LANES = host().lanes
N, ONE = Size.symbol("N"), Size.of(1)
DOUBLE = f"""
def kernel(lo, hi, args):
    x = argument(args, 0)
    y = argument(args, 1)
    n = argument(args, 2)
    for unit in range(lo, hi):
        left = n - unit * {LANES}
        v = load_masked_f32(x, unit * {LANES}, below(left))
        store_below_f32(y, unit * {LANES}, add(v, v), left)
"""
ROTATE = f"""
def kernel(lo, hi, args):   # y[i] = x[n - 1 - i] + w[0]: reads what other threads wrote
    x = argument(args, 0)
    y = argument(args, 1)
    n = argument(args, 2)
    w = splat_f32(argument(args, 3), 0)
    for unit in range(lo, hi):
        left = n - unit * {LANES}
        v = load_strided_f32(x, n - 1 - unit * {LANES}, -1, below(left))
        store_below_f32(y, unit * {LANES}, add(v, w), left)
"""
COUNT = """
def kernel(lo, hi, args):
    w = argument(args, 0)
    for unit in range(lo, hi):
        store_one_f32(w, 0, add(splat_f32(w, 0), const_f32(1.0)))
"""
TEXTS = {"double": DOUBLE, "rotate": ROTATE, "count": COUNT}
A = Axis("N")
WORK = Work(N * 2, N * 8, (Line("model.dl", 3, N * 2),))


@pytest.fixture(scope="module")
def objects():
    return compile_all(TEXTS, host())


def plan(turns: int = 6, **changes) -> Plan:
    """out = x reversed 2 * turns times, doubled each second time, + w; then w += 1."""
    units = (N + LANES - 1) // LANES
    buffers = [
        Buffer("x", "f32", N, "input", "x"),
        Buffer("out", "f32", N, "output", "out"),
        Buffer("w", "f32", ONE, "bound", "w"),
        Buffer("zero", "f32", ONE, "constant", data=np.zeros(1, "f4").tobytes()),
    ]
    rows: list[Row] = []
    last = 0
    for turn in range(turns):
        for kernel in (0, 1):
            final = turn == turns - 1 and kernel == 1
            target = 1
            if not final:
                target = len(buffers)
                here = len(rows)
                buffers.append(Buffer(f"t{here}", "f32", N, "arena", "", here, here + 1))
            args = [BufferRef(last), BufferRef(target), N]
            if kernel:
                args.append(BufferRef(2 if final else 3))
            rows.append(Row(kernel, tuple(args), units, True, f"row {len(rows)}"))
            last = target
    rows.append(Row(2, (BufferRef(2),), ONE, False, "count", WORK))
    ports = (PlanPort("x", "data", "f32", ((A, N),)), PlanPort("w", "param", "f32"))
    outputs = (PlanPort("out", "data", "f32", ((A, N),)),)
    fields = {
        "symbols": ("N",), "inputs": ports, "outputs": outputs, "buffers": tuple(buffers),
        "kernels": ("double", "rotate", "count"), "rows": tuple(rows), "checks": (),
    }  # fmt: skip
    return Plan(**{**fields, **changes})


def expected(x, w, turns=6):
    for _turn in range(turns):
        x = (x + x)[::-1]
    return x + w


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000, 4096])
def test_any_number_of_threads_gives_the_same_bits(objects, threads, size):
    program = NativeExecutable(plan(), objects, threads, fill_nan=True)
    w = np.zeros((), "f4")
    program.bind({"w": w})
    x = np.random.default_rng(size).normal(size=size).astype("f4")
    for turn in range(12):
        assert w == turn
        got = program.run({"x": x})["out"]
        np.testing.assert_array_equal(got, expected(x, np.float32(turn)))


def test_concurrent_calls(objects):
    program = NativeExecutable(plan(checks=()), objects, 2)
    program.bind({"w": np.zeros((), "f4")})
    only = NativeExecutable(plan(rows=plan().rows[:-1]), objects, 2)
    only.bind({"w": np.zeros((), "f4")})
    wrong: list[int] = []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=500 + seed).astype("f4")
        want = expected(x, 0)
        for _ in range(50):
            if not np.array_equal(only.run({"x": x})["out"], want):
                wrong.append(seed)

    many = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    assert not wrong


def test_out_is_written_in_place_or_copied(objects):
    program = NativeExecutable(plan(), objects)
    program.bind({"w": np.zeros((), "f4")})
    x = np.arange(20, dtype="f4")
    out = np.empty(20, "f4")
    assert program.run({"x": x}, out={"out": out})["out"] is out
    np.testing.assert_array_equal(out, expected(x, 0))
    wide = np.empty(40, "f4")
    program.run({"x": x}, out={"out": wide[::2]})
    np.testing.assert_array_equal(wide[::2], expected(x, 1))
    want = expected(x, 2)
    program.run({"x": x}, out={"out": x})  # the input itself
    np.testing.assert_array_equal(x, want)


def test_inputs_are_converted_once_and_for_all_layouts(objects):
    program = NativeExecutable(plan(), objects)
    program.bind({"w": np.zeros((), "f4")})
    x = np.arange(40, dtype="f4")
    np.testing.assert_array_equal(program.run({"x": x[::2]})["out"], expected(x[::2], 0))
    got = program.run({"x": x.astype("i4")})["out"]
    np.testing.assert_array_equal(got, expected(x, 1))


def test_checks_raise(objects):
    checks = (SizeCheck(N, ">=", Size.of(3), "axis N and three"),)
    program = NativeExecutable(plan(checks=checks), objects)
    program.bind({"w": np.zeros((), "f4")})
    program.run({"x": np.zeros(3, "f4")})
    with pytest.raises(DlcError, match="axis N and three"):
        program.run({"x": np.zeros(2, "f4")})
    with pytest.raises(DlcError):
        program.run({"x": np.zeros((2, 2), "f4")})
    with pytest.raises(DlcError):
        program.run({})


def test_ranges_are_checked_in_every_call(objects):
    base = plan()
    inputs = (*base.inputs, PlanPort("i", "data", "i32", ((A, N),)))
    checks = (RangeCheck("i", Size.of(4), Axis("K")),)
    program = NativeExecutable(plan(inputs=inputs, checks=checks), objects)
    program.bind({"w": np.zeros((), "f4")})
    x, good = np.zeros(3, "f4"), np.array([0, 3, 1], "i4")
    for _ in range(3):
        program.run({"x": x, "i": good})
        with pytest.raises(DlcError, match="holds 4"):
            program.run({"x": x, "i": good + 1})


def test_bound_arrays_must_fit(objects):
    program = NativeExecutable(plan(), objects)
    with pytest.raises(ValueError, match="C-contiguous"):
        program.bind({"w": np.zeros((), "f8")})
    with pytest.raises(ValueError, match="not bound"):
        program.run({"x": np.zeros(3, "f4")})


def test_many_shapes_and_profile(objects):
    program = NativeExecutable(plan(), objects, 2)
    w = np.zeros((), "f4")
    program.bind({"w": w})
    for size in [*range(1, 30), 3, 5]:
        x = np.arange(size, dtype="f4")
        np.testing.assert_array_equal(program.run({"x": x})["out"], expected(x, w - 1))
    before = float(w)
    times = program.profile({"x": x}, runs=3)
    assert w - before == 6  # each that is timed follows one that is not
    assert len(times) == len(program.plan.rows)
    assert (times[-1].row.label, times[-1].row.work) == ("count", WORK)
    assert times[-1].sizes == {"N": 5}
    assert all(t.work_seconds >= 0 and t.wait_seconds >= 0 for t in times)
    assert sum(t.work_seconds for t in times) > 0


def test_zeroed_buffers_start_as_zero(objects):
    halo = Buffer("halo", "f32", N + 2, "arena", zeroed=True)
    base = plan()
    rows = (Row(0, (BufferRef(0), BufferRef(1), N), Size.of(1)),)
    buffers = (halo, *base.buffers[1:])
    program = NativeExecutable(plan(buffers=buffers, rows=rows), objects, fill_nan=True)
    program.bind({"w": np.zeros((), "f4")})
    got = program.run({"x": np.ones(4, "f4")})["out"]
    np.testing.assert_array_equal(got, np.zeros(4))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of threads
def test_processes_after_fork(objects):
    program = NativeExecutable(plan(), objects, 2)
    program.bind({"w": np.zeros((), "f4")})
    x = np.arange(3000, dtype="f4")
    program.run({"x": x})
    child = os.fork()
    if child == 0:
        good = np.array_equal(program.run({"x": x})["out"], expected(x, 1))
        os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    np.testing.assert_array_equal(program.run({"x": x})["out"], expected(x, 1))


def test_set_threads():
    try:
        pool.set_threads(3)
        assert pool.threads() == 3
        with pytest.raises(ValueError, match="at least one"):
            pool.set_threads(0)
    finally:
        pool.set_threads(None)
    assert pool.threads() == pool.default_threads() >= 1


SCRIPT = """
import sys, pickle
import numpy as np
from dlc.runtime.compiled import NativeExecutable
from dlc.schedule.plan import Plan
text, objects = pickle.load(open(sys.argv[1], "rb"))
program = NativeExecutable(Plan.from_json(text), objects, 4)
program.bind({"w": np.zeros((), "f4")})
x = np.arange(2000, dtype="f4")
print(program.run({"x": x})["out"].sum())
assert "numba" not in sys.modules
assert "lark" not in sys.modules
"""


def test_a_process_without_numba_runs_it_and_ends(objects, tmp_path):
    path = tmp_path / "program"
    path.write_bytes(pickle.dumps((plan().to_json(), objects)))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == expected(np.arange(2000, dtype="f4"), 0).sum()


def test_plans_round_trip():
    checks = (SizeCheck(N, "==", N * 2 // 3, "a"), RangeCheck("x", N, Axis("K", 2)))
    whole = plan(checks=checks)
    assert Plan.from_json(whole.to_json()) == whole
    with pytest.raises(ValueError, match="not a plan"):
        Plan.from_json("{}")
