"""What this machine can do at most, measured: multiply-adds in registers, and copies of memory.

Both are plans of one row whose kernels are written in the vector language by hand, compiled as all
others are. Each thread runs one by itself, on a processor of its own: where the system would put
the threads of a run, and what else the machine does, is left out as far as that can be.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dlc.codegen.machine import Machine, host
from dlc.codegen.objects import compile_all, kernel_key
from dlc.graph import Axis, Size
from dlc.runtime import pool
from dlc.runtime.blocks import Array
from dlc.runtime.compiled import NativeExecutable
from dlc.schedule.plan import Buffer, BufferRef, Plan, PlanPort, Row

COPY_BYTES = 1 << 26
"""Of the arrays that are copied, together: far more than the caches of the cores hold."""
_LANE_TURNS, _RUNS, _COPIES = 25_000, 20, 4


@dataclass(frozen=True, slots=True)
class Peak:
    """The limits of a number of threads together, in float32."""

    threads: int
    flops: float
    """A second; a multiply-add counts as two."""
    bytes: float
    """A second, of those read and those written."""


@lru_cache(maxsize=8)
def peak(threads: int | None = None) -> Peak:
    """Measured when first asked for, in 0.2 seconds; None is the default number of threads."""
    count = threads or pool.threads()
    return Peak(count, multiply_add_rate(count), copy_rate(count))


def multiply_add_rate(threads: int) -> float:
    """FLOPs a second of a bare loop of independent multiply-adds on each thread."""
    machine = host()
    chains, turns = machine.registers - 4, _LANE_TURNS * machine.lanes
    program = _program(_multiply_adds(machine, chains, turns), machine)
    x = np.linspace(0.5, 1.5, chains * machine.lanes, dtype=np.float32)
    seconds = _together([_call(program, x, np.empty_like(x))] * threads, _RUNS)
    return 2 * chains * machine.lanes * turns * threads / seconds


def copy_rate(threads: int) -> float:
    """Bytes a second, read and written, of a bare copy out of cache, each thread its part."""
    machine = host()
    program = _program(_copy(machine), machine)
    parts = [np.ones(COPY_BYTES // 4 // threads, np.float32) for _ in range(threads)]
    calls = [_call(program, x, np.ones_like(x)) for x in parts]
    return 2 * sum(x.nbytes for x in parts) / _together(calls, _COPIES)


def _call(program: NativeExecutable, x: Array, out: Array) -> Callable[[], object]:
    return lambda: program.run({"x": x}, out={"out": out})


def _together(calls: Sequence[Callable[[], object]], runs: int) -> float:
    """The least seconds from the first beginning to the last end of calls made at one time."""
    times = np.zeros((len(calls), runs, 2))
    meet = threading.Barrier(len(calls))

    def work(number: int) -> None:
        _settle(number)
        calls[number]()  # the first one lays out memory
        for run in range(runs):
            meet.wait()
            start = time.perf_counter()
            calls[number]()
            times[number, run] = start, time.perf_counter()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return float((times[:, :, 1].max(axis=0) - times[:, :, 0].min(axis=0)).min())


def _settle(number: int) -> None:
    """Keeps this thread on one processor, where the system lets it."""
    with contextlib.suppress(AttributeError, OSError):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[number % len(processors)]})


def _multiply_adds(machine: Machine, chains: int, turns: int) -> str:
    """Chains of a = a * x + y that stay in registers; none waits for another."""
    lanes, each = machine.lanes, range(chains)
    lines = [
        "def kernel(lo, hi, args):",
        "    p0_x = argument(args, 0)",
        "    p1_out = argument(args, 1)",
        "    x = const_f32(0.5)",
        "    y = const_f32(0.5)",
        *(f"    a{k} = load_f32(p0_x, {k * lanes})" for k in each),
        f"    for i in range({turns}):",
        *(f"        a{k} = fma(a{k}, x, y)" for k in each),
        *(f"    a0 = add(a0, a{k})" for k in each[1:]),
        "    store_f32(p1_out, 0, a0)",
    ]
    return "\n".join(lines) + "\n"


def _copy(machine: Machine) -> str:
    lanes = machine.lanes
    return f"""def kernel(lo, hi, args):
    p0_x = argument(args, 0)
    p1_out = argument(args, 1)
    n2 = argument(args, 2)
    whole = n2 // {lanes} * {lanes}
    for i in range(0, whole, {lanes}):
        store_f32(p1_out, i, load_f32(p0_x, i))
    left = n2 - whole
    store_below_f32(p1_out, whole, load_masked_f32(p0_x, whole, below(left)), left)
"""


def _program(text: str, machine: Machine) -> NativeExecutable:
    """A kernel of (x, out, N) over f32[N], in one unit of work, as a program."""
    n, key = Size.symbol("N"), kernel_key(text, machine)
    dims = ((Axis("N"), n),)
    plan = Plan(
        symbols=("N",),
        inputs=(PlanPort("x", "data", "f32", dims),),
        outputs=(PlanPort("out", "data", "f32", dims),),
        buffers=(Buffer("x", "f32", n, "input", "x"), Buffer("out", "f32", n, "output", "out")),
        kernels=(key,),
        rows=(Row(0, (BufferRef(0), BufferRef(1), n), Size.of(1)),),
    )
    return NativeExecutable(plan, compile_all({key: text}, machine), threads=1)
