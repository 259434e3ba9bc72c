import numpy as np
import pytest

from dlc.codegen.machine import host
from dlc.codegen.objects import compile_all
from dlc.graph import Axis, Size
from dlc.runtime.checked import CheckedExecutable, GuardError
from dlc.schedule.plan import Buffer, BufferRef, Plan, PlanPort, Row

N = Size.symbol("N")
COPY = """
def kernel(lo, hi, args):
    for unit in range(lo, hi):
        store_one_f32(argument(args, 1), unit + START, splat_f32(argument(args, 0), unit))
"""
REVERSE = """
def kernel(lo, hi, args):
    for unit in range(lo, hi):
        v = splat_f32(argument(args, 0), argument(args, 2) - 1 - unit)
        store_one_f32(argument(args, 1), unit, v)
"""
TEXTS = {
    "copy": COPY.replace("START", "0"), "after": COPY.replace("START", "1"),
    "before": COPY.replace("START", "-1"), "reverse": REVERSE,
}  # fmt: skip


@pytest.fixture(scope="module")
def objects():
    return compile_all(TEXTS, host())


def program(objects, kernel: str, *, barrier: bool = True, target: int = 1):
    buffers = (
        Buffer("x", "f32", N, "input", "x"),
        Buffer("t", "f32", N, "arena", "", 0, 1),
        Buffer("y", "f32", N, "output", "y"),
    )
    first = Row(0, (BufferRef(0), BufferRef(target), N), N, barrier, kernel)
    second = Row(1, (BufferRef(1), BufferRef(2), N), N, True, "reverse")
    dims = ((Axis("N"), N),)
    ports = (PlanPort("x", "data", "f32", dims),), (PlanPort("y", "data", "f32", dims),)
    plan = Plan(("N",), *ports, buffers, (kernel, "reverse"), (first, second))
    return CheckedExecutable(plan, objects, 3)


X = np.arange(37, dtype="f4")


def test_right_kernels_pass(objects):
    got = program(objects, "copy").run({"x": X})["y"]
    np.testing.assert_array_equal(got, X[::-1])
    assert program(objects, "copy").run({"x": X[:0]})["y"].size == 0


@pytest.mark.parametrize("kernel", ["after", "before"])
def test_writes_outside_are_found(objects, kernel):
    with pytest.raises(GuardError, match=kernel):
        program(objects, kernel).run({"x": X})


def test_writes_into_inputs_are_found(objects):
    with pytest.raises(GuardError, match="place='input'"):
        program(objects, "reverse", target=0).run({"x": X})


def test_a_missing_barrier_shows(objects):
    got = program(objects, "copy", barrier=False).run({"x": X})["y"]
    assert np.isnan(got).any()
