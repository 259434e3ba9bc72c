"""Reductions as loops: what is accumulated, over which axes, for every op that reduces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dlc.graph import Axis, Node, Size
from dlc.ops import REGISTRY
from dlc.ops.op import ViewCode
from dlc.schedule.access import Access, Env
from dlc.schedule.index import Affine, Iter, Quot, Rem, at, inside
from dlc.schedule.kernel import Expr, Test

ACCUMULATE = {
    "reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min",
    "argmax": "argmax", "argmin": "argmin", "dot": "sum", "unwindow": "sum",
}  # fmt: skip
Loops = Callable[[Node, Axis, Size], Iter]
"""The loop over an axis that a node reduces."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """`f` over `iters` of `value`; `position` numbers the elements of argmax and argmin."""

    f: str
    iters: tuple[Iter, ...]
    value: Callable[[Access], Expr]
    position: Affine | None = None


def reduces(node: Node) -> bool:
    """Whether the node has reduced loops."""
    return node.op in ACCUMULATE


def reduced_axes(node: Node) -> tuple[tuple[Axis, Size], ...]:
    """The axes that a node (not those folded into it) reduces, with the sizes of their loops."""
    match node.op:
        case "unwindow":
            axis = node.attrs["tap"]
            return ((axis, _taps(node)),)
        case "dot" | "reduce_sum" | "reduce_max" | "reduce_min" | "argmax" | "argmin":
            return tuple((a, node.args[0].type.size(a)) for a in node.attrs["over"])
    return ()


def reduction(node: Node, env: Env, loops: Loops, folded: frozenset[Node]) -> Reduction:
    """How `node` at `env` is computed; a folded operand is summed in the same loops."""
    match node.op:
        case "dot":
            return _dot(node, env, loops, ((), ()))
        case "unwindow":
            return _unwindow(node, env, loops, folded, [])
    x = node.args[0]
    iters, inner = _loops(node, loops)
    index = {**env, **inner}
    position = None
    if node.op in ("argmax", "argmin"):
        position = Affine()
        for axis in node.attrs["over"]:
            position = position * x.type.size(axis) + index[axis]
    return Reduction(ACCUMULATE[node.op], iters, lambda access: access.pull(x, index), position)


def fold_chain(node: Node) -> tuple[Node, ...]:
    """The views below an unwindow's operand and the reduction under them, topmost first."""
    chain = [node.args[0]]
    while is_view(chain[-1]) and len(chain[-1].args) == 1:
        chain.append(chain[-1].args[0])
    return tuple(chain)


def is_view(node: Node) -> bool:
    """Whether the node is an index map."""
    return node.op in REGISTRY and isinstance(REGISTRY[node.op].code, ViewCode)


def _loops(node: Node, loops: Loops) -> tuple[tuple[Iter, ...], Env]:
    iters: list[Iter] = []
    env: Env = {}
    for axis, size in reduced_axes(node):
        if size == Size.of(1) and "phase" not in node.attrs:  # a phase may have none
            env[axis] = Affine()
            continue
        iters.append(loops(node, axis, size))
        env[axis] = at(iters[-1])
    return tuple(iters), env


def _dot(
    node: Node, env: Env, loops: Loops, tests: tuple[tuple[Test, ...], tuple[Test, ...]]
) -> Reduction:
    a, b = node.args
    iters, inner = _loops(node, loops)
    index = {**env, **inner}

    def value(access: Access) -> Expr:
        x = access.pull(a, index, tests[0])
        y = access.pull(b, index, tests[1])
        return access.make("mul", x.dtype, (x, y), cost=1)

    return Reduction("sum", iters, value)


def _taps(node: Node) -> Size:
    stride: int = node.attrs["stride"]
    taps = node.args[0].type.size(node.attrs["tap"])
    if stride != 1 and node.attrs["dilation"] == 1:
        return (taps + (stride - 1)) // stride
    return taps


def _unwindow(
    node: Node,
    env: Env,
    loops: Loops,
    folded: frozenset[Node],
    outer_tests: list[tuple[Axis, Test]],
) -> Reduction:
    attrs, x = node.attrs, node.args[0]
    axis, tap, s, d = attrs["axis"], attrs["tap"], attrs["stride"], attrs["dilation"]
    taps, count = x.type.size(tap), x.type.size(axis)
    iters, inner = _loops(node, loops)
    p = env[axis] + attrs["before"]
    if "phase" in attrs:
        p = env[axis] * s + env[attrs["phase"]] + attrs["before"]
    tests: list[tuple[Axis, Test]] = []
    if s == 1:
        k, o = inner[tap], p - inner[tap] * d
    elif d == 1:
        k, o = p % s + inner[tap] * s, p // s - inner[tap]
        tests.append((tap, Test(k, taps)))
    else:
        k = inner[tap]
        o = at(Quot(p - k * d, Size.of(s)))
        tests.append((axis, Test(at(Rem(p - k * d, Size.of(s))), Size.of(1))))
    tests.append((axis, Test(o, count)))
    needed = outer_tests + [(a, t) for a, t in tests if not inside(t.index, t.size)]
    index = {**env, axis: o, tap: k}
    chain = fold_chain(node)
    if chain[-1] in folded:
        return _fold(chain, index, iters, needed, loops, folded)
    every = tuple(t for _, t in needed)

    def value(access: Access) -> Expr:
        inner_value = access.pull(x, index, every)
        if not every or (inner_value.op == "load" and not set(every) & set(inner_value.tests)):
            return inner_value
        zero = access.make("const", inner_value.dtype, value=0)
        return access.select(access.mask(every), inner_value, zero)

    return Reduction("sum", iters, value)


def _fold(
    chain: tuple[Node, ...],
    index: Env,
    iters: tuple[Iter, ...],
    needed: list[tuple[Axis, Test]],
    loops: Loops,
    folded: frozenset[Node],
) -> Reduction:
    """Through the views to the folded reduction: its loops join, its operands are tested."""
    for view in chain[:-1]:
        code = REGISTRY[view.op].code
        assert isinstance(code, ViewCode)
        types = [a.type for a in view.args]
        (read,) = code.reads(view.attrs, types, view.type, {a: index[a] for a in view.type.axes})
        needed = [(_renamed(view, a), t) for a, t in needed]
        index = dict(read.index)
    base = chain[-1]
    if base.op == "unwindow":
        inner = _unwindow(base, index, loops, folded, needed)
        return Reduction("sum", iters + inner.iters, inner.value)
    a, b = (tuple(t for axis, t in needed if x.type.has(axis)) for x in base.args)
    assert {t for _, t in needed} == {*a, *b}, base
    inner = _dot(base, index, loops, (a, b))
    return Reduction("sum", iters + inner.iters, inner.value)


def _renamed(view: Node, axis: Axis) -> Axis:
    names: dict[Axis, Axis] = {}
    if view.op == "rename":
        names = {new: old for old, new in view.attrs["mapping"]}
    return names.get(axis, axis)
