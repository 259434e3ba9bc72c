"""Neighbouring loops of a map that every access walks like one loop become one loop.

    for n: for h: y[n*128 + h] = f(x[n*128 + h])      becomes      for i: y[i] = f(x[i])

So the update of a parameter is one kernel whatever the parameter's shape. A run-time axis of long
rows stays a loop, along which chains of kernels go.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from dlc.graph import Size
from dlc.schedule.index import Affine, Iter
from dlc.schedule.kernel import Expr, Kernel, Store

LONG = 4096
"""Elements of a row."""


def collapse(kernel: Kernel) -> None:
    """Join the outer loops of a kernel that has no others, as far as its accesses allow."""
    if len(kernel.nests) != 1 or kernel.nests[0].free or kernel.nests[0].reduced:
        return
    stores = [s for s in kernel.nests[0].body if isinstance(s, Store) and not s.add]
    if len(stores) != len(kernel.nests[0].body):
        return
    for _ in range(len(kernel.outer)):
        offsets = _offsets(stores)
        if offsets is None:
            return
        pair = _pair(kernel.outer, offsets)
        if pair is None:
            return
        slow, fast = pair
        whole = Iter(fast.axis, slow.size * fast.size)
        kernel.outer = [whole if i == fast else i for i in kernel.outer if i != slow]
        memo: dict[int, Expr] = {}
        stores = [
            replace(
                s, offset=_joined(s.offset, pair, whole), expr=_rebuilt(s.expr, pair, whole, memo)
            )
            for s in stores
        ]
        kernel.nests[0].body = list(stores)


def _offsets(stores: list[Store]) -> list[Affine] | None:
    """Every index in the kernel; None if one is not plain."""
    found = [s.offset for s in stores]
    todo, seen = [s.expr for s in stores], set[int]()
    while todo:
        e = todo.pop()
        if id(e) in seen:
            continue
        seen.add(id(e))
        if e.tests:
            return None
        found.append(e.offset)
        todo += e.args
    if any(not isinstance(atom, Iter) for o in found for atom, _ in o.terms):
        return None
    return found


def _pair(outer: list[Iter], offsets: list[Affine]) -> tuple[Iter, Iter] | None:
    long = prod(i.size.constant or 1 for i in outer) >= LONG
    for slow in outer:
        for fast in outer:
            if slow == fast or (long and slow.size.constant is None):
                continue
            if all(o.of(slow) == o.of(fast) * fast.size for o in offsets):
                return slow, fast
    return None


def _joined(offset: Affine, pair: tuple[Iter, Iter], whole: Iter) -> Affine:
    slow, fast = pair
    terms = tuple((whole if a == fast else a, c) for a, c in offset.terms if a != slow)
    return Affine(terms, offset.const)


def _rebuilt(expr: Expr, pair: tuple[Iter, Iter], whole: Iter, memo: dict[int, Expr]) -> Expr:
    if id(expr) in memo:
        return memo[id(expr)]
    args = tuple(_rebuilt(a, pair, whole, memo) for a in expr.args)
    deps = frozenset(whole if i in pair else i for i in expr.deps)
    offset = _joined(expr.offset, pair, whole)
    memo[id(expr)] = new = replace(expr, args=args, deps=deps, offset=offset)
    return new


def is_flat(kernel: Kernel) -> bool:
    """Whether a kernel is a map over one loop: its text need not know the size."""
    return (
        len(kernel.outer) == 1
        and len(kernel.nests) == 1
        and not kernel.nests[0].free
        and not kernel.nests[0].reduced
        and not kernel.contraction
        and kernel.outer[0].size != Size.of(1)
    )
