"""The native code that walks a plan: threads, barriers and calls of kernels, as LLVM IR.

It is written in LLVM IR because it must load where Numba is not installed or not wanted. The
machine code is made when a process first runs a plan, in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dlc.runtime.native import LOADER

JOB_WORDS = 32
"""A job in 64-bit words: 0 rows, 1 their number, 2 profile or 0, 3 turns of spinning; from byte
64 on the barrier: threads that arrived, at 128 its generation, at 192 its sleepers."""
POOL_WORDS = 40
"""A pool: byte 0 number of the job, 64 sleepers, 128 threads that finished, 192 who sleeps for
these, 256 the job, 264 threads, 272 turns of spinning, 280 whether to end."""
ROW_WORDS = 9
"""A row: 0 kernel, 1 its arguments, 2 units, 3 whether a barrier follows; 4 how many rows from this
one on go slab by slab, or 0; of such a row 5 its units in a slab, 6 its moves, 7 the slabs that
have room: with no more than these, threads share each row as they do elsewhere; 8 the parts in
which a row of the chain sums, or 0: no two threads may have slabs of one part. Moves are the number
of arguments, the number of those that change, whether the row sums (its units are then those of the
slab's part), and for each its place, a step, and what is done with it."""
MOVES, COUNTS, IS = range(3)
"""An argument moves by a step from slab to slab in the thread's own memory; is the slab's number
times the step; is the step."""
SLAB_ARGUMENTS = 64
"""The most arguments of a row in a chain."""

_CODE = """
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i32 @clock_gettime(i32, ptr)
{declarations}

; Returns when the word is no longer `old`: spins, then sleeps.
define void @await(ptr %word, i32 %old, ptr %sleepers, i64 %spin) nounwind {{
entry:
  br label %look
look:
  %k = phi i64 [0, %entry], [%more, %pause], [%k, %sleep]
  %now = load atomic i32, ptr %word acquire, align 4
  %same = icmp eq i32 %now, %old
  br i1 %same, label %still, label %done
still:
  %spinning = icmp ult i64 %k, %spin
  br i1 %spinning, label %pause, label %sleep
pause:
  {pause}
  %more = add i64 %k, 1
  br label %look
sleep:
  %in = atomicrmw add ptr %sleepers, i32 1 seq_cst
  {wait}
  %out = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %look
done:
  ret void
}}

; Wakes all who sleep on the word. The word was changed by a sequentially consistent operation,
; so either the sleeper is counted here or it sees the new word.
define void @wake(ptr %word, ptr %sleepers) nounwind {{
  %n = load atomic i32, ptr %sleepers seq_cst, align 4
  %none = icmp eq i32 %n, 0
  br i1 %none, label %done, label %some
some:
  {wake}
  br label %done
done:
  ret void
}}

define void @barrier(ptr %job, i64 %threads) nounwind {{
  %arrived = getelementptr i8, ptr %job, i64 64
  %generation = getelementptr i8, ptr %job, i64 128
  %sleepers = getelementptr i8, ptr %job, i64 192
  %spins = getelementptr i8, ptr %job, i64 24
  %old = load atomic i32, ptr %generation acquire, align 4
  %before = atomicrmw add ptr %arrived, i32 1 acq_rel
  %count = add i32 %before, 1
  %all = trunc i64 %threads to i32
  %last = icmp eq i32 %count, %all
  br i1 %last, label %open, label %wait
open:
  store atomic i32 0, ptr %arrived monotonic, align 4
  %g = atomicrmw add ptr %generation, i32 1 seq_cst
  call void @wake(ptr %generation, ptr %sleepers)
  ret void
wait:
  %spin = load i64, ptr %spins
  call void @await(ptr %generation, i32 %old, ptr %sleepers, i64 %spin)
  ret void
}}

define i64 @nanoseconds() nounwind {{
  %time = alloca [2 x i64]
  %status = call i32 @clock_gettime(i32 1, ptr %time)
  %s = load i64, ptr %time
  %rest = getelementptr i64, ptr %time, i64 1
  %ns = load i64, ptr %rest
  %scaled = mul i64 %s, 1000000000
  %total = add i64 %scaled, %ns
  ret i64 %total
}}

; Adds to the thread's times of a row: nanoseconds of work, then of waiting.
define void @record(ptr %table, i64 %place, i64 %from, i64 %to) nounwind {{
  %cell = getelementptr i64, ptr %table, i64 %place
  %old = load i64, ptr %cell
  %time = sub i64 %to, %from
  %new = add i64 %old, %time
  store i64 %new, ptr %cell
  ret void
}}

; One row for one of the slabs, with the memory of this thread: nanoseconds, if they are asked for.
define i64 @slab(ptr %row, i64 %number, i64 %slabs, i64 %thread, i1 %timed) nounwind {{
entry:
  %own = alloca [{slab_arguments} x i64], align 64
  %args.at = getelementptr i64, ptr %row, i64 1
  %units.at = getelementptr i64, ptr %row, i64 2
  %each.at = getelementptr i64, ptr %row, i64 5
  %moves.at = getelementptr i64, ptr %row, i64 6
  %units = load i64, ptr %units.at
  %each = load i64, ptr %each.at
  %args = load ptr, ptr %args.at
  %moves = load ptr, ptr %moves.at
  %sums.at = getelementptr i64, ptr %moves, i64 2
  %sums = load i64, ptr %sums.at
  %is.sum = icmp ne i64 %sums, 0
  %parts.at = getelementptr i64, ptr %row, i64 8
  %parts = load i64, ptr %parts.at
  %after = add i64 %number, 1
  %scaled = mul i64 %after, %parts
  %scaled1 = sub i64 %scaled, 1
  %part = udiv i64 %scaled1, %slabs
  %place.of = select i1 %is.sum, i64 %part, i64 %number
  %low = mul i64 %place.of, %each
  %top = add i64 %low, %each
  %less = icmp ult i64 %top, %units
  %high = select i1 %less, i64 %top, i64 %units
  %count = load i64, ptr %moves
  %bytes = mul i64 %count, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %own, ptr %args, i64 %bytes, i1 false)
  %moved.at = getelementptr i64, ptr %moves, i64 1
  %moved = load i64, ptr %moved.at
  %table = getelementptr i64, ptr %moves, i64 3
  %by = sub i64 %thread, %number
  br label %head
head:
  %k = phi i64 [0, %entry], [%next, %one]
  %some = icmp ult i64 %k, %moved
  br i1 %some, label %one, label %ready
one:
  %three = mul i64 %k, 3
  %place.at = getelementptr i64, ptr %table, i64 %three
  %size.at = getelementptr i64, ptr %place.at, i64 1
  %kind.at = getelementptr i64, ptr %place.at, i64 2
  %kind = load i64, ptr %kind.at
  %place = load i64, ptr %place.at
  %size = load i64, ptr %size.at
  %shift = mul i64 %size, %by
  %word = getelementptr i64, ptr %own, i64 %place
  %old = load i64, ptr %word
  %moved.to = add i64 %old, %shift
  %counted = mul i64 %size, %number
  %is.move = icmp eq i64 %kind, 0
  %is.count = icmp eq i64 %kind, 1
  %other = select i1 %is.count, i64 %counted, i64 %size
  %new = select i1 %is.move, i64 %moved.to, i64 %other
  store i64 %new, ptr %word
  %next = add i64 %k, 1
  br label %head
ready:
  %kernel = load ptr, ptr %row
  br i1 %timed, label %clock0, label %plain
plain:
  call void %kernel(i64 %low, i64 %high, ptr %own)
  ret i64 0
clock0:
  %t0 = call i64 @nanoseconds()
  call void %kernel(i64 %low, i64 %high, ptr %own)
  %t1 = call i64 @nanoseconds()
  %time = sub i64 %t1, %t0
  ret i64 %time
}}

; A thread's share of the slabs of a chain of rows. `%cell` is the place of its first row's times.
define void @chain(ptr %row, i64 %slabs, i64 %thread, i64 %threads, ptr %profile, i64 %cell) {{
entry:
  %count.at = getelementptr i64, ptr %row, i64 4
  %count = load i64, ptr %count.at
  %timed = icmp ne ptr %profile, null
  %next = add i64 %thread, 1
  %parts.at = getelementptr i64, ptr %row, i64 8
  %parts = load i64, ptr %parts.at
  %whole = icmp eq i64 %parts, 0
  %shares = select i1 %whole, i64 %slabs, i64 %parts
  %low.n = mul i64 %shares, %thread
  %low.share = udiv i64 %low.n, %threads
  %high.n = mul i64 %shares, %next
  %high.share = udiv i64 %high.n, %threads
  %low.slabs = mul i64 %low.share, %slabs
  %low = udiv i64 %low.slabs, %shares
  %high.slabs = mul i64 %high.share, %slabs
  %high = udiv i64 %high.slabs, %shares
  br label %head
head:
  %n = phi i64 [%low, %entry], [%n1, %after]
  %some = icmp ult i64 %n, %high
  br i1 %some, label %rows, label %exit
rows:
  br label %each
each:
  %r = phi i64 [0, %rows], [%r1, %did]
  %words = mul i64 %r, {row_words}
  %at = getelementptr i64, ptr %row, i64 %words
  %time = call i64 @slab(ptr %at, i64 %n, i64 %slabs, i64 %thread, i1 %timed)
  br i1 %timed, label %note, label %did
note:
  %place = add i64 %cell, %r
  %place2 = mul i64 %place, 2
  call void @record(ptr %profile, i64 %place2, i64 0, i64 %time)
  br label %did
did:
  %r1 = add i64 %r, 1
  %more = icmp ult i64 %r1, %count
  br i1 %more, label %each, label %after
after:
  %n1 = add i64 %n, 1
  br label %head
exit:
  ret void
}}

; One thread's share of all rows: units [n t / T, n (t + 1) / T) of each.
define void @walk(ptr %job, i64 %thread, i64 %threads) nounwind {{
entry:
  %rows = load ptr, ptr %job
  %count.at = getelementptr i64, ptr %job, i64 1
  %count = load i64, ptr %count.at
  %profile.at = getelementptr i64, ptr %job, i64 2
  %profile = load ptr, ptr %profile.at
  %timed = icmp ne ptr %profile, null
  %alone = icmp eq i64 %threads, 1
  %next = add i64 %thread, 1
  %own = mul i64 %thread, %count
  br label %head
head:
  %i = phi i64 [0, %entry], [%j, %done], [%j.chain, %chained]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %exit, label %row
row:
  %at = mul i64 %i, {row_words}
  %kernel.at = getelementptr i64, ptr %rows, i64 %at
  %args.at = getelementptr i64, ptr %kernel.at, i64 1
  %units.at = getelementptr i64, ptr %kernel.at, i64 2
  %barrier.at = getelementptr i64, ptr %kernel.at, i64 3
  %units = load i64, ptr %units.at
  %low.n = mul i64 %units, %thread
  %low = udiv i64 %low.n, %threads
  %high.n = mul i64 %units, %next
  %high = udiv i64 %high.n, %threads
  %chain.at = getelementptr i64, ptr %kernel.at, i64 4
  %chain = load i64, ptr %chain.at
  %is.chain = icmp ne i64 %chain, 0
  br i1 %is.chain, label %slabs, label %plain
slabs:
  %each.at = getelementptr i64, ptr %kernel.at, i64 5
  %room.at = getelementptr i64, ptr %kernel.at, i64 7
  %each = load i64, ptr %each.at
  %room = load i64, ptr %room.at
  %up = add i64 %units, %each
  %up1 = sub i64 %up, 1
  %slab.count = udiv i64 %up1, %each
  %many = icmp ugt i64 %slab.count, %room
  br i1 %many, label %go, label %plain
go:
  %fewer = icmp ult i64 %threads, %room
  %team = select i1 %fewer, i64 %threads, i64 %room
  %member = icmp ult i64 %thread, %team
  br i1 %member, label %run, label %ran
run:
  %first = add i64 %own, %i
  call void @chain(ptr %kernel.at, i64 %slab.count, i64 %thread, i64 %team,
                   ptr %profile, i64 %first)
  br label %ran
ran:
  %j.chain = add i64 %i, %chain
  br i1 %alone, label %chained, label %wait
wait:
  br i1 %timed, label %clock3, label %meet.all
clock3:
  %t3 = call i64 @nanoseconds()
  br label %meet.all
meet.all:
  %from = phi i64 [0, %wait], [%t3, %clock3]
  call void @barrier(ptr %job, i64 %threads)
  br i1 %timed, label %clock4, label %chained
clock4:
  %t4 = call i64 @nanoseconds()
  %last = add i64 %own, %j.chain
  %cell.n = mul i64 %last, 2
  %cell2 = sub i64 %cell.n, 1
  call void @record(ptr %profile, i64 %cell2, i64 %from, i64 %t4)
  br label %chained
chained:
  br label %head
plain:
  br i1 %timed, label %clock0, label %share
clock0:
  %t0 = call i64 @nanoseconds()
  br label %share
share:
  %start = phi i64 [0, %plain], [%t0, %clock0]
  %some = icmp ult i64 %low, %high
  br i1 %some, label %work, label %rest
work:
  %kernel = load ptr, ptr %kernel.at
  %args = load i64, ptr %args.at
  call void %kernel(i64 %low, i64 %high, i64 %args)
  br label %rest
rest:
  br i1 %timed, label %clock1, label %meet
clock1:
  %t1 = call i64 @nanoseconds()
  br label %meet
meet:
  %middle = phi i64 [0, %rest], [%t1, %clock1]
  %barrier = load i64, ptr %barrier.at
  %free = icmp eq i64 %barrier, 0
  %pass = or i1 %free, %alone
  br i1 %pass, label %met, label %together
together:
  call void @barrier(ptr %job, i64 %threads)
  br label %met
met:
  br i1 %timed, label %clock2, label %done
clock2:
  %t2 = call i64 @nanoseconds()
  %cell = add i64 %own, %i
  %cell0 = mul i64 %cell, 2
  %cell1 = add i64 %cell0, 1
  call void @record(ptr %profile, i64 %cell0, i64 %start, i64 %middle)
  call void @record(ptr %profile, i64 %cell1, i64 %middle, i64 %t2)
  br label %done
done:
  %j = add i64 %i, 1
  br label %head
exit:
  ret void
}}

; A kernel: copies rows of an array, those that an index names. Its arguments are the array, the
; index, the target and the bytes of a row.
define void @take(i64 %low, i64 %high, ptr %args) nounwind {{
entry:
  %index.at = getelementptr i64, ptr %args, i64 1
  %target.at = getelementptr i64, ptr %args, i64 2
  %bytes.at = getelementptr i64, ptr %args, i64 3
  %source = load ptr, ptr %args
  %index = load ptr, ptr %index.at
  %target = load ptr, ptr %target.at
  %bytes = load i64, ptr %bytes.at
  br label %head
head:
  %i = phi i64 [%low, %entry], [%next, %row]
  %some = icmp slt i64 %i, %high
  br i1 %some, label %row, label %exit
row:
  %number.at = getelementptr i64, ptr %index, i64 %i
  %number = load i64, ptr %number.at
  %from.n = mul i64 %number, %bytes
  %from = getelementptr i8, ptr %source, i64 %from.n
  %to.n = mul i64 %i, %bytes
  %to = getelementptr i8, ptr %target, i64 %to.n
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  %next = add i64 %i, 1
  br label %head
exit:
  ret void
}}

; All of a job on the calling thread.
define void @alone(ptr %job) nounwind {{
  call void @walk(ptr %job, i64 0, i64 1)
  ret void
}}

; A thread of the pool: waits for jobs after `first`, walks its share, until told to end.
define void @serve(ptr %pool, i64 %thread, i64 %first) nounwind {{
entry:
  %sleepers = getelementptr i8, ptr %pool, i64 64
  %finished = getelementptr i8, ptr %pool, i64 128
  %owner = getelementptr i8, ptr %pool, i64 192
  %job.at = getelementptr i8, ptr %pool, i64 256
  %threads.at = getelementptr i8, ptr %pool, i64 264
  %spin.at = getelementptr i8, ptr %pool, i64 272
  %quit.at = getelementptr i8, ptr %pool, i64 280
  %threads = load i64, ptr %threads.at
  %spin = load i64, ptr %spin.at
  %first.word = trunc i64 %first to i32
  %others = sub i64 %threads, 1
  %all = trunc i64 %others to i32
  br label %idle
idle:
  %last = phi i32 [%first.word, %entry], [%now, %job], [%now, %tell]
  call void @await(ptr %pool, i32 %last, ptr %sleepers, i64 %spin)
  %now = load atomic i32, ptr %pool acquire, align 4
  %quit = load atomic i64, ptr %quit.at acquire, align 8
  %ends = icmp ne i64 %quit, 0
  br i1 %ends, label %exit, label %job
job:
  %work = load ptr, ptr %job.at
  call void @walk(ptr %work, i64 %thread, i64 %threads)
  %before = atomicrmw add ptr %finished, i32 1 seq_cst
  %count = add i32 %before, 1
  %complete = icmp eq i32 %count, %all
  br i1 %complete, label %tell, label %idle
tell:
  call void @wake(ptr %finished, ptr %owner)
  br label %idle
exit:
  ret void
}}

; Runs a job on all threads of the pool; the caller is thread 0.
define void @launch(ptr %pool, ptr %job) nounwind {{
entry:
  %sleepers = getelementptr i8, ptr %pool, i64 64
  %finished = getelementptr i8, ptr %pool, i64 128
  %owner = getelementptr i8, ptr %pool, i64 192
  %job.at = getelementptr i8, ptr %pool, i64 256
  %threads.at = getelementptr i8, ptr %pool, i64 264
  %spin.at = getelementptr i8, ptr %pool, i64 272
  %threads = load i64, ptr %threads.at
  %spin = load i64, ptr %spin.at
  %others = sub i64 %threads, 1
  %all = trunc i64 %others to i32
  store ptr %job, ptr %job.at
  store atomic i32 0, ptr %finished release, align 4
  %g = atomicrmw add ptr %pool, i32 1 seq_cst
  call void @wake(ptr %pool, ptr %sleepers)
  call void @walk(ptr %job, i64 0, i64 %threads)
  br label %look
look:
  %n = load atomic i32, ptr %finished acquire, align 4
  %complete = icmp eq i32 %n, %all
  br i1 %complete, label %exit, label %wait
wait:
  call void @await(ptr %finished, i32 %n, ptr %owner, i64 %spin)
  br label %look
exit:
  ret void
}}

; Ends the threads of the pool; none of them has a job.
define void @stop(ptr %pool) nounwind {{
  %sleepers = getelementptr i8, ptr %pool, i64 64
  %quit.at = getelementptr i8, ptr %pool, i64 280
  store atomic i64 1, ptr %quit.at release, align 8
  %g = atomicrmw add ptr %pool, i32 1 seq_cst
  call void @wake(ptr %pool, ptr %sleepers)
  ret void
}}
"""
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
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}
_FUTEX = {"x86_64": 202, "aarch64": 98}


def walker_text() -> str:
    """The LLVM IR for this machine: futexes on Linux, elsewhere sleepers yield the processor."""
    family = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    declaration, pause = _PAUSES.get(family, ("", ""))
    wait, wake = "call i32 @sched_yield()", ""
    if sys.platform == "linux" and family in _FUTEX:
        wait = _FUTEX_WAIT.format(number=_FUTEX[family])
        wake = _FUTEX_WAKE.format(number=_FUTEX[family])
    return _CODE.format(
        declarations=declaration,
        pause=pause,
        wait=wait,
        wake=wake,
        row_words=ROW_WORDS,
        slab_arguments=SLAB_ARGUMENTS,
    )


@dataclass(frozen=True, slots=True)
class Walker:
    """The native functions; ctypes calls of them release the interpreter's lock."""

    walk: Any
    """(job, thread, threads): one thread's share."""
    alone: Any
    """(job): all of it on this thread."""
    serve: Any
    """(pool, thread, number of the last job)."""
    launch: Any
    """(pool, job)."""
    stop: Any
    """(pool)."""
    take: int
    """The address of a kernel: see `take` above."""


@lru_cache(maxsize=1)
def walker() -> Walker:
    """The native functions of this process."""
    counts = {"walk": 3, "alone": 1, "serve": 3, "launch": 2, "stop": 1}
    addresses = LOADER.assemble(walker_text(), (*counts, "take"))
    calls: dict[str, Any] = {
        name: ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * count)(addresses[name])
        for name, count in counts.items()
    }
    return Walker(**calls, take=addresses["take"])
