"""Neighbouring kernels that go over rows of one run-time axis go through it slab by slab.

    for n: a(n)                      for slabs of n:
    for n: b(n), reads a at n            for n of the slab: a(n)
                                         for n of the slab: b(n)

A slab is a few values of the axis. What one kernel leaves for the next is then still in the caches,
needs no barrier, and needs memory for one slab a thread. Kernels and their results stay the same.
Kernels around a product that has bands go through a slab in the same way, band by band.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import lcm, prod

from dlc.graph import ITEM_BYTES, UPDATE, Axis, Graph, Node, Size
from dlc.schedule.facts import PART, Facts, volume
from dlc.schedule.index import Affine, Iter, at
from dlc.schedule.kernel import Buffer, Chain, Inner, Kernel
from dlc.schedule.layout import Layout
from dlc.schedule.tile import Target, accesses

ROWS = 8
"""The most values of the axis in a slab."""
SHARED = 320 * 1024
"""Bytes that do not vary with the axis and are read again for every slab: from the second cache."""
BUFFERS = 48
"""The most buffers of a kernel in a chain: a thread has arguments of its own for each slab."""
WORTH = 1 << 20
"""Bytes between the kernels of a chain that are worth it, for a typical size of the axis."""
WORTH_ALONE = 1 << 16
"""The same for one kernel with results that it alone reads: it only calls more often."""


@dataclass(slots=True)
class _State:
    """What the search for chains looks at."""

    facts: Facts
    layout: Layout
    target: Target
    buffers: Mapping[Node, Buffer]
    updated: dict[Buffer, Buffer] = field(default_factory=dict)
    """By the buffer of a next value: that of the value."""

    readers: dict[Buffer, list[Kernel]] = field(default_factory=dict)
    touched: dict[int, tuple[set[Buffer], set[Buffer]]] = field(default_factory=dict)

    def touches(self, kernel: Kernel) -> tuple[set[Buffer], set[Buffer]]:
        """What a kernel reads, and what it writes or will write."""
        if id(kernel) not in self.touched:
            self.touched[id(kernel)] = self._touches(kernel)
        return self.touched[id(kernel)]

    def _touches(self, kernel: Kernel) -> tuple[set[Buffer], set[Buffer]]:
        reads = {a.buffer for a in accesses(kernel) if not a.store}
        reads |= {self.buffers[p] for m in kernel.members for p in self.facts.producers(m)}
        writes = {a.buffer for a in accesses(kernel) if a.store}
        return reads, writes | {self.updated[b] for b in writes if b in self.updated}

    def axis(self, kernel: Kernel) -> Iter | None:
        """The run-time axis that cuts a kernel; None if slabs of it would not do."""
        loops = [*kernel.outer, *(i for n in kernel.nests for i in [*n.free, *n.reduced])]
        found = {i for i in loops if i.size.constant is None}
        if len(found) != 1 or kernel.template == "sort":
            return None
        (axis,) = found
        if axis == kernel.lane or axis in kernel.tile or self.extent(kernel, axis) > ROWS:
            return None
        if not (self.sums(kernel, axis) if kernel.parts else self.maps(kernel, axis)):
            return None
        touched = list(accesses(kernel))
        fixed = {a.buffer for a in touched if axis not in a.offset.iters}
        few = len({a.buffer for a in touched}) <= BUFFERS
        return axis if few and sum(map(_bytes_a_part, fixed)) <= SHARED else None

    def maps(self, kernel: Kernel, axis: Iter) -> bool:
        """Whether a kernel's results lie along the axis, one unit's beside the other's."""
        return axis in kernel.units and all(self.place(m, axis) for m in kernel.members)

    def sums(self, kernel: Kernel, axis: Iter) -> bool:
        """Whether a kernel adds in parts of the axis, to memory."""
        if axis not in kernel.parts or kernel.parts[axis] not in kernel.units:
            return False
        stores = [a.offset for a in accesses(kernel) if a.store]
        lane = kernel.lane
        known = lane is None or all(o.step(lane, self.target.lanes) is not None for o in stores)
        return known and (kernel.blocks is None or kernel.blocks.sums is None)

    def extent(self, kernel: Kernel, axis: Iter) -> int:
        """How many values of the axis a unit has, or are summed before they are added to others."""
        if kernel.blocks is None:
            return 1 if kernel.parts else kernel.step(axis, self.target.lanes)
        return (kernel.blocks.chunks if kernel.parts else kernel.blocks.extent).get(axis, ROWS + 1)

    def place(self, node: Node, axis: Iter) -> Axis | None:
        """The axis of a node that a loop runs along, if it is the outermost."""
        order = self.layout.order(node)
        first = order[0] if order else None
        return first if first is not None and self.facts.free(node).get(first) == axis else None

    def joins(self, chain: list[Kernel], kernel: Kernel) -> bool:
        """Whether a kernel reads what the chain computes at the same place of the axis alone."""
        axis = self.axis(kernel)
        if axis is None or axis.size != known(chain[0]).size:
            return False
        if lcm(*(self.extent(k, known(k)) for k in [*chain, kernel])) > ROWS:
            return False
        made = {m: known(k) for k in chain for m in k.members}
        found = [r for m in kernel.members for r in self.facts.readings[m] if r.source in made]
        for reading in found:
            place = self.place(reading.source, made[reading.source])
            if place is None or reading.env[place] != at(axis):
                return False
        return bool(found)

    def pulled(self, chain: list[Kernel], kernel: Kernel, done: list[Kernel]) -> list[Kernel]:
        """Earlier kernels, in no chain, that compute for the chain and a kernel that joins it."""
        found: list[Kernel] = []
        wanted, later = [*chain, kernel], set[Buffer]()
        for other in reversed(done):
            reads, writes = self.touches(other)
            readers = {id(k) for b in writes for k in self.readers.get(b, ())} - {id(other)}
            ours = {id(k) for k in wanted}
            alone = bool(readers) and readers <= ours and other.chain is None
            fits = alone and not later & reads and self.axis(other) is not None
            if fits and all(self.joins([other], k) for k in wanted if id(k) in readers):
                found.insert(0, other)
                wanted.append(other)
            else:
                later |= writes
        return found

    def independent(self, kernel: Kernel, others: list[Kernel]) -> bool:
        """Whether a kernel may run before the others, which came before it."""
        reads, writes = self.touches(kernel)
        for other in others:
            theirs, made = self.touches(other)
            if made & (reads | writes) or theirs & writes:
                return False
        return True


def known(kernel: Kernel) -> Iter:
    """The run-time axis of a kernel that has one."""
    return next(i for i in [*kernel.outer, *kernel.parts] if i.size.constant is None)


def _bytes_a_part(buffer: Buffer) -> int:
    parts = volume([n for a, n in buffer.sizes.items() if a == PART])
    return volume([buffer.elements]) // parts * ITEM_BYTES[buffer.dtype]


def with_chains(
    facts: Facts,
    layout: Layout,
    target: Target,
    kernels: list[Kernel],
    buffers: Mapping[Node, Buffer],
) -> list[Kernel]:
    """The kernels with chains marked: what these need before, what needs them behind them."""
    state = _State(facts, layout, target, buffers, _updated(facts.graph, buffers))
    for kernel in kernels:
        for buffer in state.touches(kernel)[0]:
            state.readers.setdefault(buffer, []).append(kernel)
    done: list[Kernel] = []
    left = list(kernels)
    while left:
        first, *rest = left
        if state.axis(first) is None or _apart(first):  # a chain takes these where it needs them
            done.append(first)
            left = rest
            continue
        before, chain, left = _chain(state, first, rest, done)
        _mark(state, chain)
        done += [*before, *chain]
    _verify(state, done)
    return done


def _verify(state: _State, kernels: list[Kernel]) -> None:
    """Every kernel comes behind those that it reads from."""
    place = {b: i for i, k in enumerate(kernels) for b in state.touches(k)[1]}
    for i, kernel in enumerate(kernels):
        late = [b.name for b in state.touches(kernel)[0] if place.get(b, i) > i]
        late = [name for name in late if name not in {b.name for b in state.updated.values()}]
        assert not late, f"{kernel.members} run before {late}"


def _chain(
    state: _State, first: Kernel, rest: list[Kernel], done: list[Kernel]
) -> tuple[list[Kernel], list[Kernel], list[Kernel]]:
    """What may run before a chain that begins with a kernel, the chain, and what is left.

    What is done may be taken from there into the chain.
    """
    before: list[Kernel] = []
    chain, after = [first], list[Kernel]()
    for kernel in rest:
        free = state.independent(kernel, after)
        if free and state.joins(chain, kernel):
            taken = state.pulled(chain, kernel, [*done, *before])
            for other in taken:
                (done if other in done else before).remove(other)
            chain = [*taken, *chain, kernel]
        elif free and state.independent(kernel, chain):
            before.append(kernel)
        else:
            after.append(kernel)
    loose = [k for k in chain if _loose(state, k, chain)]
    chain = [k for k in chain if k not in loose]
    if len(chain) == 1:
        return [], chain, rest
    return before, chain, [*loose, *after]


def _apart(kernel: Kernel) -> bool:
    return any("apart" in m.attrs for m in kernel.members)


def _loose(state: _State, kernel: Kernel, chain: list[Kernel]) -> bool:
    """Whether a kernel computes much for others than the chain: it is better where they are."""
    made = state.touches(kernel)[1]
    outputs = any(m in state.facts.outputs for m in kernel.members)
    return (
        _apart(kernel)
        and not outputs
        and not any(made & state.touches(k)[0] for k in chain if k is not kernel)
    )


def _updated(graph: Graph, buffers: Mapping[Node, Buffer]) -> dict[Buffer, Buffer]:
    inputs = {n.attrs["name"]: n for n in graph.inputs}
    return {
        buffers[node]: buffers[inputs[name.removeprefix(UPDATE)]]
        for name, node in graph.outputs.items()
        if name.startswith(UPDATE)
    }


def _mark(state: _State, chain: list[Kernel]) -> None:
    made = {b for k in chain for b in state.touches(k)[1]}
    between = {b for k in chain for b in state.touches(k)[0]} & made
    rows = lcm(*(state.extent(k, known(k)) for k in chain))
    if len(chain) == 1:
        between = {b for b in between if b.place == "arena" and state.readers[b] == chain}
        rows *= ROWS // rows
    worth = WORTH if len(chain) > 1 else WORTH_ALONE
    if sum(volume([b.elements]) * ITEM_BYTES[b.dtype] for b in between) < worth:
        return
    read = frozenset(b for k in chain for b in state.touches(k)[0])
    whole = Chain(rows, len(chain), known(chain[0]).size, read)
    for kernel in chain:
        axis = known(kernel)
        if kernel.parts and kernel.blocks is None:
            kernel.around = {axis: rows}
        axis = kernel.parts.get(axis, axis)
        first = [axis, *(i for i in kernel.bands if i in kernel.units)]
        kernel.units = [*first, *(i for i in kernel.units if i not in first)]
        kernel.chain = whole
    for place, kernel in enumerate(chain):
        if kernel.contraction and kernel.bands:
            _mark_inner(state, chain, place)


def _mark_inner(state: _State, chain: list[Kernel], place: int) -> None:
    """Finds what goes through bands of a slab with a product: neighbours that meet it there."""
    (band,) = chain[place].bands
    first = last = place

    def joins(one: Kernel, pairs: list[tuple[Kernel, Kernel]]) -> bool:
        found = [_meet(state, a, b, band.size) for a, b in pairs]
        return False not in found and True in found and _band(state, one, band.size) is not None

    while first > 0 and joins(one := chain[first - 1], [(one, k) for k in chain[first : last + 1]]):
        first -= 1
    while last + 1 < len(chain) and joins(
        one := chain[last + 1], [(k, one) for k in chain[first : last + 1]]
    ):
        last += 1
    inner = Inner(band.size.constant or 1)
    for kernel in chain[first : last + 1] if last > first else []:
        kernel.inner = inner


def _meet(state: _State, one: Kernel, other: Kernel, bands: Size) -> bool | None:
    """Whether a kernel reads an earlier one in the same band of the same value alone.

    None if it does not read it.
    """
    made, reads = _band(state, one, bands), _band(state, other, bands)
    found = [r for m in other.members for r in state.facts.readings[m] if r.source in one.members]
    for reading in found:
        source, order = reading.source, state.layout.order(reading.source)
        if len(order) < 2 or source.type.size(order[1]) != bands:
            return False
        own = state.facts.free(source).get(order[1])
        if own is None or made != at(own) or reading.env[order[1]] != reads:
            return False
    return True if found else None


def _band(state: _State, kernel: Kernel, bands: Size) -> Affine | None:
    """The band that a unit is in, where each has the same number of units that lie side by side."""
    axis, *rest = kernel.units
    if kernel.parts or state.extent(kernel, axis) != 1:
        return None
    number, count = Affine(), 1
    for iter in rest:
        step = _step(kernel, iter, state.target.lanes)
        turns = -(-(iter.size.constant or 0) // step)
        number, count = number * turns + at(iter) // step, count * turns
    each, left = divmod(count, bands.constant or 1)
    return None if left or not each else number // each


def _step(kernel: Kernel, iter: Iter, lanes: int) -> int:
    """How much of a loop a unit has."""
    extent = kernel.blocks.extent if kernel.blocks else {}
    return extent.get(iter) or kernel.step(iter, lanes)


def slab_units(kernel: Kernel, lanes: int) -> int:
    """The units of a kernel in a slab of its chain."""
    assert kernel.chain is not None
    axis, *rest = kernel.units
    each = [_step(kernel, i, lanes) for i in (axis, *rest)]
    counts = [-(-(i.size.constant or 0) // n) for i, n in zip(rest, each[1:], strict=True)]
    return prod(counts) * (1 if kernel.parts else kernel.chain.rows // each[0])
