"""Kernels get their nests: every member is computed in loops under the kernel's outer loops.

A reduction without inner free loops becomes a value in registers that later nests read; one with
inner loops is stored and read back by the same unit of work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dlc.graph import Axis, Node, Size
from dlc.schedule.access import Access, Env, Tests
from dlc.schedule.facts import Facts, scatter_env
from dlc.schedule.index import Affine, Data, Iter, at
from dlc.schedule.kernel import Accumulate, Buffer, Expr, Kernel, Nest, Store, Test
from dlc.schedule.reduction import reduces

BufferOf = Callable[[Node], Buffer]
Key = tuple[int, frozenset[Iter], frozenset[Iter]]


class NoFit(Exception):
    """The members cannot share the kernel's outer loops."""


@dataclass(slots=True)
class _Lowering:
    facts: Facts
    kernel: Kernel
    buffer_of: BufferOf
    level: dict[Node, int] = field(default_factory=dict)
    key: dict[Node, Key] = field(default_factory=dict)
    refs: dict[Node, Expr] = field(default_factory=dict)

    def outer(self, iter: Iter) -> bool:
        return iter in self.kernel.outer

    def split(self, node: Node) -> tuple[list[Iter], list[Iter]]:
        """The free and the reduced loops of a member inside the outer ones."""
        free = [i for i in self.facts.free(node).values() if not self.outer(i)]
        if reduces(node):
            reduced = list(self.facts.reduction(node).iters)
        elif node.op == "scatter" and node.attrs["over"]:
            env = scatter_env(node, self.facts.env(node), self.facts.loop)
            reduced = [i for a in node.attrs["over"] for i in env[a].iters]
        else:
            reduced = []
        folds = {*self.kernel.folds}
        if any(self.outer(i) for i in reduced if i not in folds):
            raise NoFit
        if not set(self.kernel.outer) - folds <= set(self.facts.free(node).values()):
            raise NoFit
        return free, reduced

    def place(self, node: Node) -> None:
        """Which nest computes a member: one level above the reductions it waits for."""
        free, reduced = self.split(node)
        loops = frozenset(free) | frozenset(reduced)
        level = 0
        for producer in self.facts.producers(node):
            if producer not in self.level:
                continue
            shared = not _waits(producer) and self.loops(producer) == loops
            level = max(level, self.level[producer] + (0 if shared else 1))
        self.level[node] = level
        if reduced:
            self.key[node] = (level, frozenset(free), frozenset(reduced))
            return
        self.key[node] = (level, loops, frozenset())

    def share(self) -> None:
        """Maps join the loops of a reduction of their level; not a reduction over one element."""
        reductions = [k for k in self.key.values() if k[2]]
        for node, key in self.key.items():
            if not key[2] and not reduces(node):
                twins = (k for k in reductions if k[0] == key[0] and k[1] | k[2] == key[1])
                self.key[node] = next(twins, key)

    def loops(self, node: Node) -> frozenset[Iter]:
        return self.key[node][1] | self.key[node][2]


def lower(facts: Facts, kernel: Kernel, buffer_of: BufferOf) -> None:
    """Fill `kernel.nests`. Raises NoFit where a member needs another unit's result."""
    state = _Lowering(facts, kernel, buffer_of)
    if kernel.template == "sort":
        kernel.nests = [_sort(facts, kernel.members[0], buffer_of)]
        return
    for node in kernel.members:
        state.place(node)
    state.share()
    kernel.nests = []
    for key in sorted(set(state.key.values()), key=lambda k: _first(kernel, state, k)):
        _nest(state, key)


def _sort(facts: Facts, node: Node, buffer_of: BufferOf) -> Nest:
    """What is sorted and where the indices go, at the first element of a row."""
    env = facts.env(node)
    loops = [i for a in node.attrs["over"] for i in env[a].iters]

    def load(source: Node, index: Env, tests: Tests) -> Expr:
        return read(access, buffer_of(source), index, tests)

    access = Access(facts.stored, load)
    value = access.pull(node.args[0], env)
    buffer = buffer_of(node)
    return Nest(
        [], loops, [Accumulate("x", "sum", value), Store(buffer, buffer.offset(env), value)]
    )


def _first(kernel: Kernel, state: _Lowering, key: Key) -> tuple[int, int]:
    return key[0], min(i for i, m in enumerate(kernel.members) if state.key[m] == key)


def _waits(node: Node) -> bool:
    """Whether the value is complete only after the loops of its nest."""
    return reduces(node) or node.op == "scatter"


def _nest(state: _Lowering, key: Key) -> None:
    kernel, facts = state.kernel, state.facts
    members = [m for m in kernel.members if state.key[m] == key]
    reduction = next((m for m in members if state.split(m)[1]), None)
    free, reduced = state.split(reduction or members[0])
    nest = Nest(list(free), list(reduced), [])

    def load(source: Node, env: Env, tests: Tests) -> Expr:
        if source in state.level:
            return _own(state, key, access, source, env, tests)
        return read(access, state.buffer_of(source), env, tests)

    access = Access(facts.stored, load)
    for node in members:
        if node.op == "scatter" and node.attrs["over"]:
            _scatter(state, nest, access, node)
        elif reduces(node):
            _accumulate(state, nest, access, node)
        else:
            value = access.pull(node, facts.env(node), top=True)
            if not state.split(node)[0] and not nest.reduced:
                state.refs[node] = value
            if needs_store(facts, kernel, node) or _read_later(state, node):
                nest.body.append(_store(state, node, value))
    kernel.nests.append(nest)


def _own(state: _Lowering, key: Key, access: Access, source: Node, env: Env, tests: Tests) -> Expr:
    """A value that this kernel computes: the same unit of work must have computed it."""
    own = state.facts.env(source)
    outer = set(state.kernel.outer)
    if any(env[a] != own[a] for a in env if own[a].iters & outer):
        raise NoFit
    if any(i.iters & outer for a, i in env.items() if not own[a].iters & outer):
        raise NoFit
    if not _waits(source) and state.key[source] == key:
        if env != own:
            raise NoFit
        return access.pull(source, env, tests, top=True)
    if source in state.refs and env == own:
        return state.refs[source]
    if state.level[source] >= key[0]:
        raise NoFit
    return read(access, state.buffer_of(source), env, tests)


def read(access: Access, buffer: Buffer, env: Env, tests: Tests) -> Expr:
    """A load; tests that the buffer's halo covers fall away."""
    zeros = tuple(t for t in tests if _covered(buffer, env, t))
    kept = tuple(t for t in tests if t not in zeros)
    offset = buffer.offset(env)
    return access.make(
        "load", buffer.dtype, buffer=buffer, offset=offset, tests=kept, zeros=zeros, cost=1
    )


def _covered(buffer: Buffer, env: Env, test: Test) -> bool:
    for axis, index in env.items():
        if axis in buffer.halo and index == test.index and buffer.sizes[axis] == test.size:
            return True
    return False


def needs_store(facts: Facts, kernel: Kernel, node: Node) -> bool:
    """Whether another kernel, or the caller, reads a member."""
    if node in facts.outputs:
        return True
    return any(u not in kernel.members and node in facts.producers(u) for u in facts.real)


def _read_later(state: _Lowering, node: Node) -> bool:
    """Whether a later nest of the kernel loads a member from memory."""
    facts = state.facts
    later = [m for m in state.kernel.members if state.key[m] != state.key[node]]
    if node not in state.refs:
        return any(node in facts.producers(m) for m in later)
    found = [r for m in later for r in facts.readings[m] if r.source is node]
    return any(r.env != facts.env(node) for r in found)  # at its own place it is in a register


def _store(state: _Lowering, node: Node, value: Expr, *, add: bool = False) -> Store:
    buffer = state.buffer_of(node)
    return Store(buffer, buffer.offset(state.facts.env(node)), value, add, node)


def _accumulate(state: _Lowering, nest: Nest, access: Access, node: Node) -> None:
    reduction = state.facts.reduction(node)
    value = reduction.value(access)
    name = f"acc{len(nest.body)}_{len(state.kernel.nests)}"
    position = None
    if reduction.position is not None:
        position = access.number(reduction.position, "i32")
    nest.body.append(Accumulate(name, reduction.f, value, position))
    deps = value.deps - frozenset(reduction.iters)
    dtype = node.type.dtype
    result = Expr("ref", dtype, value=name, deps=deps)
    if dtype in ("f16", "bf16"):
        result = access.rounded(result)
    free, _ = state.split(node)
    if not free:
        state.refs[node] = result
    if free or needs_store(state.facts, state.kernel, node) or _read_later(state, node):
        nest.after.append(_store(state, node, result))


def _scatter(state: _Lowering, nest: Nest, access: Access, node: Node) -> None:
    """First zeros, then every element is added at its place, in order."""
    facts, buffer = state.facts, state.buffer_of(node)
    zero = access.make("const", node.type.dtype, value=0)
    first = Nest(list(nest.free), [], [_store(state, node, zero)])
    state.kernel.nests.append(first)
    env = scatter_env(node, facts.env(node), facts.loop)
    value = access.pull(node.args[0], env)
    place: Env = {a: env[a] for a in node.type.axes if a not in node.attrs["axes"]}
    for axis, index, size in zip(
        node.attrs["axes"], node.args[1:], node.attrs["sizes"], strict=True
    ):
        where = access.pull(index, env)
        place[axis] = at(Data(where, size))
        value = _kept_in_range(access, where, size, value)
    targets = {i for a in node.attrs["axes"] for i in facts.env(node)[a].iters}
    nest.free = [i for i in nest.free if i not in targets]
    nest.body.append(Store(buffer, buffer.offset(place), value, True, node))


def _kept_in_range(access: Access, where: Expr, size: Size, value: Expr) -> Expr:
    zero = access.make("const", where.dtype, value=0)
    limit = access.number(Affine(const=size), where.dtype)
    above = access.make("ge", "bool", (where, zero), cost=1)
    below = access.make("lt", "bool", (where, limit), cost=1)
    both = access.make("and_", "bool", (above, below), cost=1)
    return access.select(both, value, access.make("const", value.dtype, value=0))


def outer_axes(facts: Facts, node: Node) -> Mapping[Axis, Iter]:
    """The loops that units of work of a node alone may be cut by."""
    free = facts.free(node)
    if node.op == "scatter":
        return {a: i for a, i in free.items() if a not in node.attrs["axes"]}
    if node.op == "argsort":
        return {a: i for a, i in free.items() if a not in node.attrs["over"]}
    return free
