"""Neighbouring kernels that go over rows of one run-time axis go through it slab by slab.

    for n: a(n)                      for slabs of n:
    for n: b(n), reads a at n            for n of the slab: a(n)
                                         for n of the slab: b(n)

A slab is a few values of the axis. What one kernel leaves for the next is then still in the caches,
needs no barrier, and needs memory for one slab a thread. Kernels and their results stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import lcm, prod

from dlc.graph import ITEM_BYTES, Axis, Graph, Node, Size
from dlc.schedule.facts import Facts, volume
from dlc.schedule.index import Iter, at
from dlc.schedule.kernel import Buffer, Chain, Kernel
from dlc.schedule.layout import Layout
from dlc.schedule.tile import Target, accesses

ROWS = 8
"""The most values of the axis in a slab."""
SHARED = 256 * 1024
"""Bytes that do not vary with the axis and are read again for every slab: from the second cache."""
WORTH = 1 << 20
"""Bytes between the kernels of a chain that are worth it, for a typical size of the axis."""
UPDATE = "update:"


@dataclass(slots=True)
class _State:
    """What the search for chains looks at."""

    facts: Facts
    layout: Layout
    target: Target
    buffers: Mapping[Node, Buffer]
    updated: dict[Buffer, Buffer] = field(default_factory=dict)
    """By the buffer of a next value: that of the value."""

    def touches(self, kernel: Kernel) -> tuple[set[Buffer], set[Buffer]]:
        """What a kernel reads, and what it writes or will write."""
        reads = {a.buffer for a in accesses(kernel) if not a.store}
        reads |= {self.buffers[p] for m in kernel.members for p in self.facts.producers(m)}
        writes = {a.buffer for a in accesses(kernel) if a.store}
        return reads, writes | {self.updated[b] for b in writes if b in self.updated}

    def axis(self, kernel: Kernel) -> Iter | None:
        """The run-time axis that cuts a kernel; None if slabs of it would not do."""
        loops = [*kernel.outer, *(i for n in kernel.nests for i in [*n.free, *n.reduced])]
        found = {i for i in loops if i.size.constant is None}
        if len(found) != 1 or kernel.template == "sort" or kernel.parts:
            return None
        (axis,) = found
        if axis not in kernel.units or axis == kernel.lane or axis in kernel.tile:
            return None
        if self.extent(kernel, axis) > ROWS or not all(self.outermost(kernel, axis)):
            return None
        fixed = {a.buffer for a in accesses(kernel) if axis not in a.offset.iters}
        shared = sum(volume([b.elements]) * ITEM_BYTES[b.dtype] for b in fixed)
        return axis if shared <= SHARED else None

    def extent(self, kernel: Kernel, axis: Iter) -> int:
        """How many values of the axis a unit has."""
        return kernel.blocks.extent[axis] if kernel.blocks else kernel.step(axis, self.target.lanes)

    def outermost(self, kernel: Kernel, axis: Iter) -> list[bool]:
        """Of each member: whether the axis is its outermost in memory."""
        return [self.place(m, axis) is not None for m in kernel.members]

    def place(self, node: Node, axis: Iter) -> Axis | None:
        """The axis of a node that a loop runs along, if it is the outermost."""
        order = self.layout.order(node)
        first = order[0] if order else None
        return first if first is not None and self.facts.free(node).get(first) == axis else None

    def joins(self, chain: list[Kernel], kernel: Kernel) -> bool:
        """Whether a kernel reads what the chain computes at the same place of the axis alone."""
        axis = self.axis(kernel)
        if axis is None or axis.size != self.size(chain[0]):
            return False
        if lcm(*(self.extent(k, self.known(k)) for k in [*chain, kernel])) > ROWS:
            return False
        made = {m: self.known(k) for k in chain for m in k.members}
        for member in kernel.members:
            for reading in self.facts.readings[member]:
                if reading.source not in made:
                    continue
                place = self.place(reading.source, made[reading.source])
                if place is None or reading.env[place] != at(axis):
                    return False
        return True

    def known(self, kernel: Kernel) -> Iter:
        """The run-time axis of a kernel that has one."""
        return next(i for i in kernel.outer if i.size.constant is None)

    def size(self, kernel: Kernel) -> Size:
        """The size of its run-time axis."""
        return self.known(kernel).size


def with_chains(
    facts: Facts,
    layout: Layout,
    target: Target,
    kernels: list[Kernel],
    buffers: Mapping[Node, Buffer],
) -> list[Kernel]:
    """The kernels with chains marked; what a chain does not need comes before it."""
    state = _State(facts, layout, target, buffers, _updated(facts.graph, buffers))
    done: list[Kernel] = []
    chain: list[Kernel] = []
    for kernel in kernels:
        if chain and state.joins(chain, kernel):
            chain.append(kernel)
        elif chain and _independent(state, chain, kernel):
            done.append(kernel)
        else:
            _mark(state, chain)
            done += chain
            chain = [kernel] if state.axis(kernel) is not None else []
            done += [] if chain else [kernel]
    _mark(state, chain)
    return done + chain


def _updated(graph: Graph, buffers: Mapping[Node, Buffer]) -> dict[Buffer, Buffer]:
    inputs = {n.attrs["name"]: n for n in graph.inputs}
    return {
        buffers[node]: buffers[inputs[name.removeprefix(UPDATE)]]
        for name, node in graph.outputs.items()
        if name.startswith(UPDATE)
    }


def _independent(state: _State, chain: list[Kernel], kernel: Kernel) -> bool:
    """Whether a kernel may run before the chain."""
    reads, writes = state.touches(kernel)
    for other in chain:
        theirs, made = state.touches(other)
        if made & (reads | writes) or theirs & writes:
            return False
    return True


def _mark(state: _State, chain: list[Kernel]) -> None:
    if len(chain) < 2:
        return
    made = {b for k in chain for b in state.touches(k)[1]}
    between = {b for k in chain for b in state.touches(k)[0]} & made
    if sum(volume([b.elements]) * ITEM_BYTES[b.dtype] for b in between) < WORTH:
        return
    rows = lcm(*(state.extent(k, state.known(k)) for k in chain))
    whole = Chain(rows, len(chain))
    for kernel in chain:
        axis = state.known(kernel)
        kernel.units = [axis, *(i for i in kernel.units if i != axis)]
        kernel.chain = whole


def slab_units(kernel: Kernel, lanes: int) -> int:
    """The units of a kernel in a slab of its chain."""
    assert kernel.chain is not None
    axis, *rest = kernel.units
    extent = kernel.blocks.extent if kernel.blocks else {}
    each = [extent.get(i) or kernel.step(i, lanes) for i in (axis, *rest)]
    counts = [-(-(i.size.constant or 0) // n) for i, n in zip(rest, each[1:], strict=True)]
    return prod(counts) * (kernel.chain.rows // each[0])
