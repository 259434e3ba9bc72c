"""The native code that walks a plan: threads, barriers, claims of work, and calls of kernels.

It is written in LLVM IR (`walker.ll` and the files beside it) because it must load where Numba is
not installed or not wanted. The machine code is made when a plan first runs on a machine, and kept
in the cache.

A thread begins with its own share of a row's units, which is the same in every run, so that what
it wrote lies in its own cache. It claims them some at a time. Before it waits at a barrier it takes
over what others have not begun: who computes a unit changes nothing of its result.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any

from dlc.diagnostics.record import record
from dlc.runtime.native import LOADER, assembled

JOB_WORDS = 32
"""A job in 64-bit words: 0 rows, 1 their number, 2 profile or 0, 3 turns of spinning, 4 the claims,
5 how many rows these have for each thread, 6 for how many threads they are, 7 whether a run uses
the job; from byte 64 on the barrier: threads that arrived, at 128 its generation, at 192 its
sleepers; 25 the number of the record whose addresses its arguments are, or 0, 26 the version of the
weights that the first rows ran on. A claim is a word for a thread and a row: how much of the
thread's share is taken from its front, and in the upper half from its back."""
JOB_THREADS, JOB_TAKEN, JOB_SETTLED, JOB_VERSION = 6, 7, 25, 26
POOL_WORDS = 48
"""A pool: byte 0 number of the job, 64 sleepers, 128 threads that finished, 192 who sleeps for
these, 256 the job, 264 threads, 272 turns of spinning, 280 whether to end; word 40 whether a run
uses it."""
POOL_TAKEN = 40
ROW_WORDS = 13
"""A row: 0 kernel, 1 its arguments, 2 units, 3 whether a barrier follows; 4 how many rows from this
one on go slab by slab, or 0; of such a row 5 its units in a slab, 6 its moves, 7 the slabs that
have room: with no more than these, threads share each row as they do elsewhere; 8 the parts in
which a row of the chain sums, or 0: no two threads may have slabs of one part; 9 units of a claim;
10 units side by side that share work: a claim has up to so many, if that is half of what is left;
11 how many rows from this one on go band by band, or 0, and 12 the bands in a slab of the chain.
Moves are the number of arguments, the number of those that change, whether the row sums (its units
are then those of the slab's part), and for each its place, a step, and what is done with it."""
MOVES, COUNTS, IS, BANDS = range(4)
"""An argument moves by a step from slab to slab in the thread's own memory; is the slab's number
times the step; is the step; moves from band to band."""
SLAB_ARGUMENTS = 64
"""The most arguments of a row in a chain."""

INPUT_WORDS, RESULT_WORDS = 7, 4
"""What a call from Python knows of an input and of a result; see `quick.py`."""
OBJECT_BYTES, POINTER_BYTES = object.__basicsize__, ctypes.sizeof(ctypes.c_void_p)
"""Of what every object of Python begins with: its type is the last of that."""

_FUTEX_WAIT = (
    "%old64 = zext i32 %old to i64\n"
    "  call i64 (i64, ...) @syscall(i64 {number}, ptr %word, i64 128, i64 %old64,"
    " i64 0, i64 0, i64 0)"
)
_FUTEX_WAKE = (
    "call i64 (i64, ...) @syscall(i64 {number}, ptr %word, i64 129, i64 2147483647,"
    " i64 0, i64 0, i64 0)"
)
_PAUSES = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"),
}
"""`yield` of arm64 does nothing where a core has one thread; a barrier of instructions takes about
as long as a pause of x86-64."""
_FUTEX = {"x86_64": 202, "aarch64": 98}


def walker_text() -> str:
    """The LLVM IR for this machine: futexes on Linux, elsewhere sleepers yield the processor."""
    family = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    declaration, pause = _PAUSES.get(family, ("", ""))
    wait, wake = "call i32 @sched_yield()", ""
    if sys.platform == "linux" and family in _FUTEX:
        wait = _FUTEX_WAIT.format(number=_FUTEX[family])
        wake = _FUTEX_WAKE.format(number=_FUTEX[family])
    here = Path(__file__).parent
    files = [here / f"{name}.ll" for name in ("walker", "chain", "pool", "call")]
    text = Template("\n".join(file.read_text(encoding="utf-8") for file in files))
    return text.substitute(
        declarations=declaration,
        pause=pause,
        wait=wait,
        wake=wake,
        row_words=ROW_WORDS,
        slab_arguments=SLAB_ARGUMENTS,
        job_threads=JOB_THREADS,
        job_taken=JOB_TAKEN,
        job_settled=JOB_SETTLED,
        job_version=JOB_VERSION,
        pool_taken=POOL_TAKEN,
        type=OBJECT_BYTES - POINTER_BYTES,
        fields=OBJECT_BYTES,
        input_words=INPUT_WORDS,
        result_words=RESULT_WORDS,
    )


@record
class Walker:
    """The native functions; ctypes calls of them release the interpreter's lock."""

    walk: Any
    """(job, thread, threads): one thread's part."""
    alone: Any
    """(job): all of it on this thread."""
    serve: Any
    """(pool, thread, number of the last job)."""
    launch: Any
    """(pool, job): all of it on the pool's threads and this one; alone if the pool is taken."""
    seize: Any
    """(table, place): takes a word that nobody has; 1, or 0. It keeps the interpreter's lock."""
    stop: Any
    """(pool): whoever calls it has seized the pool."""
    spun: Any
    """(turns): the nanoseconds that so many turns of spinning take."""
    take: int
    """The address of a kernel: see `take` in the text."""
    call: int
    """The address of a function of Python: see `quick.py`."""


@lru_cache(maxsize=1)
def walker() -> Walker:
    """The native functions of this process."""
    counts = {"walk": 3, "alone": 1, "serve": 3, "launch": 2, "seize": 2, "stop": 1, "spun": 1}
    addresses = LOADER.addresses(assembled(walker_text()), (*counts, "take", "call"))
    calls: dict[str, Any] = {}
    for name, count in counts.items():
        kind = ctypes.PYFUNCTYPE if name == "seize" else ctypes.CFUNCTYPE
        result = ctypes.c_int64 if name in ("spun", "seize") else None
        calls[name] = kind(result, *[ctypes.c_int64] * count)(addresses[name])
    return Walker(**calls, take=addresses["take"], call=addresses["call"])
