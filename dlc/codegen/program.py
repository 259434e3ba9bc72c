"""A graph as a plan and the texts of its kernels: what is compiled and what is run."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from dlc.codegen.machine import Machine
from dlc.codegen.objects import compile_all, kernel_key
from dlc.codegen.print_kernel import print_kernel
from dlc.codegen.printer import Printed, describe
from dlc.codegen.text import Argument
from dlc.diagnostics.record import replaced
from dlc.graph import ITEM_BYTES, UPDATE, Graph, Size
from dlc.ops import NUMPY_DTYPES
from dlc.schedule.batch import opened
from dlc.schedule.facts import Facts
from dlc.schedule.kernel import Bound, Buffer, Chain, Inner, Kernel, Store
from dlc.schedule.plan import PARTS, BufferRef, Plan, PlanPort, Row, Slab, Work
from dlc.schedule.plan import Buffer as PlanBuffer
from dlc.schedule.schedule import Schedule, schedule
from dlc.schedule.slabs import slab_units
from dlc.schedule.tile import Target, accesses
from dlc.schedule.work import work_of

LITTLE = 1 << 14
"""A row that makes so few elements may run early."""
COPY_ELEMENTS = 4096
"""Elements that one unit of a copy moves."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A plan, and by kernel key the readable text and the text that is compiled."""

    plan: Plan
    readable: dict[str, str]
    texts: dict[str, str]
    machine: Machine

    def compile(self, workers: int = 2) -> dict[str, bytes]:
        """The native object of every kernel by key, from the cache where it has them."""
        return compile_all(self.texts, self.machine, workers=workers)


@dataclass(slots=True)
class _Step:
    """One row before its buffers are numbered."""

    text: str
    arguments: list[Argument]
    units: Size
    label: str
    work: Work
    reads: set[Buffer]
    writes: set[Buffer]
    chain: Chain | None = None
    inner: Inner | None = None
    slab_units: int = 0
    """Units in a slab of the chain."""
    sums: bool = False
    """Whether it sums over the axis of its chain."""
    run: int = 1
    """Units side by side that one call computes as one."""
    prepares: bool = False
    """Whether it reads bound arrays alone, which no step writes."""

    def waits(self, other: _Step) -> bool:
        """Whether it may not run beside another step that comes before it."""
        return bool(self.reads & other.writes or self.writes & other.reads)

    def makes_little(self) -> bool:
        """Whether little memory is taken longer if it runs early."""
        made = sum((b.elements for b in self.writes if b.place == "arena"), Size())
        return made.constant is not None and made.constant <= LITTLE


def generate(graph: Graph, machine: Machine) -> Generated:
    """The plan of a lowered graph for a machine."""
    graph, known = opened(graph)
    plan = schedule(graph, Target(machine.lanes, machine.registers, machine.first_cache))
    steps = [_step(k, print_kernel(k, machine.lanes), plan.facts, machine) for k in plan.kernels]
    steps += _updates(plan, steps, machine)
    steps = _small_ones_early(_prepared_first(steps))
    keys = {s.text: kernel_key(canonical(s.text), machine) for s in steps}
    readable = {keys[s.text]: s.text for s in steps}
    texts = {key: canonical(text) for key, text in readable.items()}
    return Generated(_plan(plan, steps, keys, machine).with_sizes(known), readable, texts, machine)


def canonical(text: str) -> str:
    """A kernel's text with its names numbered, so that equal kernels of any models are one."""
    names: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return names.setdefault(match.group(), f"name{len(names)}")

    return re.sub(r"\b(?:p\d+_\w+|i_\w+)\b", number, re.sub(r"(?m)^\s*#.*\n", "", text))


def _step(kernel: Kernel, printed: Printed, facts: Facts, machine: Machine) -> _Step:
    writes = {s.buffer for n in kernel.nests for s in [*n.body, *n.after] if isinstance(s, Store)}
    touched = {a for a in printed.arguments if isinstance(a, Buffer)}
    label = ", ".join(dict.fromkeys(describe(m) for m in kernel.members))
    arguments, work = list(printed.arguments), work_of(facts, kernel)
    units = slab_units(kernel, machine.lanes) if kernel.chain else 0
    return _Step(
        printed.text, arguments, printed.units, label, work, touched, touched & writes,
        kernel.chain, kernel.inner, units, bool(kernel.chain and kernel.parts), kernel.run,
    )  # fmt: skip


# ---- updates ----
def _updates(plan: Schedule, steps: list[_Step], machine: Machine) -> list[_Step]:
    """Next values go over the old ones where no one reads those any more; else by a copy."""
    copies = []
    inputs = {n.attrs["name"]: n for n in plan.graph.inputs}
    for name, node in plan.graph.outputs.items():
        if not name.startswith(UPDATE):
            continue
        new, old = plan.buffers[node], plan.buffers[inputs[name.removeprefix(UPDATE)]]
        if _in_place(plan, steps, new, old):
            for step in steps:
                step.arguments = [old if a is new else a for a in step.arguments]
                step.reads = {old if b is new else b for b in step.reads}
                step.writes = {old if b is new else b for b in step.writes}
        else:
            new.place, new.port = "arena", ""
            copies.append(_copy(new, old, machine))
    return copies


def _in_place(plan: Schedule, steps: list[_Step], new: Buffer, old: Buffer) -> bool:
    writer = next(i for i, s in enumerate(steps) if new in s.writes)
    if any(old in s.reads for s in steps[writer + 1 :]):
        return False
    kernel = plan.kernels[writer]
    stores = [
        (nest, s)
        for nest in kernel.nests
        for s in [*nest.body, *nest.after]
        if isinstance(s, Store) and s.buffer is new
    ]
    if len(stores) != 1 or stores[0][1].add:
        return False
    nest, store = stores[0]
    order = kernel.nests.index(nest)
    for access in accesses(kernel):
        if access.store or access.buffer is not old:
            continue
        if access.offset != store.offset or kernel.nests.index(access.nest) > order:
            return False
        if access.nest is not nest and set(store.offset.iters) & {*nest.free, *nest.reduced}:
            return False
    return True


def _copy(new: Buffer, old: Buffer, machine: Machine) -> _Step:
    """`old[:] = new`, both in logical order without padding."""
    lanes, dtype = machine.lanes, old.dtype
    text = f"""# copy of a next value
def kernel(lo, hi, args):
    p0_new = argument(args, 0)
    p1_old = argument(args, 1)
    n2 = argument(args, 2)
    for unit in range(lo, hi):
        start = unit * {COPY_ELEMENTS}
        for i in range(start, imin(start + {COPY_ELEMENTS}, n2), {lanes}):
            left = n2 - i
            v = load_masked_{dtype}(p0_new, i, below(left))
            store_below_{dtype}(p1_old, i, v, left)
"""
    units = (old.elements + (COPY_ELEMENTS - 1)) // COPY_ELEMENTS
    arguments: list[Argument] = [new, old, old.elements]
    work = Work(bytes=old.elements * (2 * ITEM_BYTES[old.dtype]))
    return _Step(text, arguments, units, f"copy of {old.port}", work, {new, old}, {old})


# ---- the plan ----
def _plan(plan: Schedule, steps: list[_Step], keys: dict[str, str], machine: Machine) -> Plan:
    graph = plan.graph
    groups = _groups(steps)
    used = dict.fromkeys(a for s in steps for a in s.arguments if isinstance(a, Buffer))
    place = {b: i for i, b in enumerate(used)}
    life: dict[Buffer, tuple[int, int]] = {}
    for step, number in zip(steps, groups, strict=True):
        for buffer in step.reads:
            first, _ = life.get(buffer, (number, number))
            life[buffer] = (first, number)
    kernels = list(dict.fromkeys(keys[s.text] for s in steps))
    rows = tuple(
        Row(
            kernels.index(keys[s.text]),
            tuple(_argument(a, place, s.chain) for a in s.arguments),
            s.units,
            i + 1 == len(steps) or groups[i + 1] != groups[i],
            s.label,
            s.work,
            _slab(steps, i),
            s.run,
        )
        for i, s in enumerate(steps)
    )
    life = _longer(steps, groups, life)
    slabs = _slabs(steps)
    kept = {b for step in steps if step.prepares for b in step.writes}
    return Plan(
        _symbols(graph),
        tuple(
            PlanPort(n.attrs["name"], n.attrs["role"], n.type.dtype, n.type.dims)
            for n in graph.inputs
        ),
        tuple(
            PlanPort(name, "data", n.type.dtype, n.type.dims)
            for name, n in graph.outputs.items()
            if not name.startswith(UPDATE)
        ),
        tuple(
            _plan_buffer(b, life[b], slabs.get(b, (0, False)), machine, kept=b in kept)
            for b in used
        ),
        tuple(kernels),
        rows,
        graph.checks,
        sum(step.prepares for step in steps),
    )


def _prepared_first(steps: list[_Step]) -> list[_Step]:
    """What reads bound arrays alone comes first; it need not run again while they stay."""
    written = {b for step in steps for b in step.writes}
    fixed: set[Buffer] = set()
    for step in steps:
        reads = step.reads - step.writes
        sizes = [a for a in step.arguments if isinstance(a, Size)]
        settled = all(b in fixed or _settled(b, written) for b in reads)
        own = all(b.place == "arena" for b in step.writes)
        known = all(n.constant is not None for n in [step.units, *sizes])
        if settled and own and known and step.writes and not step.chain:
            step.prepares = True
            fixed |= step.writes
    return sorted(steps, key=lambda step: not step.prepares)


def _small_ones_early(steps: list[_Step]) -> list[_Step]:
    """What makes little memory runs as early as it can, beside other rows: that saves barriers."""
    groups: list[list[_Step]] = []
    for step in steps:
        place = len(groups)
        for k in range(len(groups) - 1, -1, -1):
            if any(step.waits(other) for other in groups[k]):
                break
            if not any(other.chain or other.prepares for other in groups[k]):
                place = k
        movable = not step.chain and not step.prepares
        near = place < len(groups) and (step.makes_little() or place == len(groups) - 1)
        if movable and near:
            groups[place].append(step)
        else:
            groups.append([step])
    return [step for group in groups for step in group]


def _settled(buffer: Buffer, written: set[Buffer]) -> bool:
    """Whether every run finds the same in a buffer, unless somebody writes into the weights."""
    return buffer.place in ("bound", "constant") and buffer not in written


def _argument(
    argument: Argument, place: dict[Buffer, int], chain: Chain | None
) -> BufferRef | Size:
    if isinstance(argument, Buffer):
        return BufferRef(place[argument])
    if isinstance(argument, Bound):
        assert chain is not None
        return chain.size if argument.what == "rows" else Size()
    return argument


def _symbols(graph: Graph) -> tuple[str, ...]:
    found = set(graph.symbols)
    for node in graph.nodes:
        for value in node.attrs.values():
            found |= _size_symbols(value)
    return tuple(sorted(found))


def _size_symbols(value: object) -> frozenset[str]:
    if isinstance(value, Size):
        return value.symbols
    if isinstance(value, tuple):
        return frozenset[str]().union(*(_size_symbols(v) for v in value))
    return frozenset()


def _groups(steps: list[_Step]) -> list[int]:
    """Rows that touch nothing another of them writes run without a barrier between them."""
    numbers, number = [], 0
    reads: set[Buffer] = set()
    writes: set[Buffer] = set()
    for before, step in zip([None, *steps], steps, strict=False):
        apart = before is not None and before.chain is not step.chain
        apart = apart or (before is not None and before.prepares != step.prepares)
        if apart or step.reads & writes or step.writes & reads:
            number, reads, writes = number + 1, set(), set()
        reads |= step.reads
        writes |= step.writes
        numbers.append(number)
    return numbers


# ---- chains ----
def _slab(steps: list[_Step], place: int) -> Slab | None:
    """What a row of a chain does with slabs."""
    step = steps[place]
    if step.chain is None:
        return None
    bounds = [step.arguments.index(Bound(w)) for w in ("begin", "rows") if step.sums]
    parts = PARTS if any(s.sums for s in steps if s.chain is step.chain) else 0
    slab = Slab(_left(steps, place), step.slab_units, step.chain.rows, parts, *bounds)
    if step.inner is None:
        return slab
    inner, bands = step.inner, step.inner.bands * step.chain.rows
    return replaced(slab, inner=sum(s.inner is inner for s in steps[place:]), bands=bands)


def _left(steps: list[_Step], place: int) -> int:
    """The steps of a chain from one on."""
    chain = steps[place].chain
    return sum(step.chain is chain for step in steps[place:])


def _longer(
    steps: list[_Step], groups: list[int], life: dict[Buffer, tuple[int, int]]
) -> dict[Buffer, tuple[int, int]]:
    """What a chain touches lives through all of it: threads are at different steps of it."""
    found = dict(life)
    for chain in {s.chain for s in steps if s.chain}:
        places = [i for i, s in enumerate(steps) if s.chain is chain]
        first, last = groups[places[0]], groups[places[-1]]
        for buffer in {b for i in places for b in steps[i].reads}:
            old = found[buffer]
            found[buffer] = min(old[0], first), max(old[1], last)
    return found


def _slabs(steps: list[_Step]) -> dict[Buffer, tuple[int, bool]]:
    """The buffers that one chain alone knows: their elements in a slab; or in a band, and True.

    That is where an inner chain alone knows them.
    """
    users: dict[Buffer, set[Chain | None]] = {}
    inside: dict[Buffer, set[Inner | None]] = {}
    for step in steps:
        for buffer in step.reads:
            users.setdefault(buffer, set()).add(step.chain)
            inside.setdefault(buffer, set()).add(step.inner)
    found = {}
    for buffer, chains in users.items():
        (chain, *others) = chains
        if chain is None or others or buffer.place != "arena" or not buffer.order:
            continue
        axis = buffer.order[0]
        stride = buffer.strides[axis].constant
        if stride is None or buffer.sizes[axis].constant is not None or axis in buffer.halo:
            continue
        (inner, *more) = inside[buffer]
        alone = inner is not None and not more and not buffer.halo and _bands(buffer, inner)
        found[buffer] = (
            (stride // inner.bands, True) if inner and alone else (stride * chain.rows, False)
        )
    return found


def _bands(buffer: Buffer, inner: Inner) -> bool:
    """Whether bands of a buffer lie one behind the other."""
    axis, row = buffer.order[1], buffer.strides[buffer.order[0]]
    size = buffer.sizes[axis].constant or 0
    return size % inner.bands == 0 and buffer.strides[axis] * size == row


def _plan_buffer(
    buffer: Buffer, life: tuple[int, int], slab: tuple[int, bool], machine: Machine, *, kept: bool
) -> PlanBuffer:
    elements = buffer.elements
    assert buffer.place != "scratch", "memory of a thread is no argument"
    if buffer.place == "arena":
        elements = elements + machine.lanes
    data = b""
    if buffer.place == "constant":
        data = _table(np.asarray(buffer.table), buffer)
    return PlanBuffer(
        buffer.name,
        buffer.dtype,
        elements,
        buffer.place,
        buffer.port,
        *life,
        zeroed=bool(buffer.halo),
        data=data,
        slab=slab[0],
        banded=slab[1],
        kept=kept,
    )


def _table(values: np.ndarray, buffer: Buffer) -> bytes:
    if buffer.dtype == "bf16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return np.ascontiguousarray(values, NUMPY_DTYPES[buffer.dtype]).tobytes()


__all__ = ["Generated", "canonical", "generate"]
