"""What a kernel has to do, counted on its members: operations by source line, and bytes to move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlc.graph import FLOATS, ITEM_BYTES, Node, Size, product
from dlc.ops import REGISTRY
from dlc.schedule.facts import PART, Facts
from dlc.schedule.index import Affine, data_atoms
from dlc.schedule.kernel import Buffer, Kernel
from dlc.schedule.plan import Line, Work
from dlc.schedule.tile import accesses, walk

FREE = frozenset(("cast", "where"))


def flops_of(node: Node) -> Size:
    """The floating-point operations of one node.

    A multiplication and an addition of a contraction are two, everything elementwise is one an
    element, a reduction one an element that it reads; views, casts and integers are none.
    """
    if node.type.dtype not in FLOATS or node.op in FREE:
        return Size()
    match REGISTRY[node.op].kind:
        case "map":
            return node.type.elements
        case "dot":
            turns = product([node.args[0].type.size(axis) for axis in node.attrs["over"]])
            each = product([n for a, n in node.type.dims if a != PART])  # parts share the turns
            return each * turns * 2
        case "reduce" | "scatter":
            return node.args[0].type.elements
    return Size()


def work_of(facts: Facts, kernel: Kernel) -> Work:
    """The work of a kernel: of its members, and of what they compute where they read it."""
    total = Size()
    lines: dict[tuple[str, int], Size] = {}
    for node in _computed(facts, kernel.members):
        flops = flops_of(node)
        total = total + flops
        if node.spans and (flops != Size() or node in kernel.members):
            place = node.spans[0].source.path, node.spans[0].line
            lines[place] = lines.get(place, Size()) + flops
    places = tuple(Line(file, line, flops) for (file, line), flops in lines.items())
    return Work(total, _bytes(kernel), places)


def _computed(facts: Facts, members: Iterable[Node]) -> Iterator[Node]:
    """The members and the nodes without memory that they are computed from, each once."""
    seen: set[Node] = set()
    todo = [*members]
    while todo:
        node = todo.pop(0)
        if node not in seen:
            seen.add(node)
            yield node
            todo += [a for a in node.args if not facts.stored(a)]


def _bytes(kernel: Kernel) -> Size:
    """Of the distinct elements that it reads and writes; not those that it reads back itself."""
    reads: dict[Buffer, dict[Affine, Size]] = {}
    writes: dict[Buffer, dict[Affine, Size]] = {}
    for access in accesses(kernel):
        places = (writes if access.store else reads).setdefault(access.buffer, {})
        places[access.offset] = _elements(access.offset)
        for buffer, offset in _indices(access.offset):
            reads.setdefault(buffer, {})[offset] = _elements(offset)
    read_in = {b: found for b, found in reads.items() if b not in writes}
    total = Size()
    for buffer, found in [*read_in.items(), *writes.items()]:
        whole = product(list(buffer.sizes.values()))
        gathered = any(True for offset in found for _ in data_atoms(offset))
        touched = _least(sum(found.values(), Size()), whole, gathered=gathered)
        total = total + touched * ITEM_BYTES[buffer.dtype]
    return total


def _indices(offset: Affine) -> Iterator[tuple[Buffer, Affine]]:
    """The elements that an index is itself read from."""
    for data in data_atoms(offset):
        for expr in walk(data.value, set()):
            if expr.op == "load" and expr.buffer is not None:
                yield expr.buffer, expr.offset


def _elements(offset: Affine) -> Size:
    """How many places an index takes, at most."""
    return product([iter.size for iter in offset.iters])


def _least(touched: Size, whole: Size, *, gathered: bool) -> Size:
    """The smaller one, where that is known; else all, but what indices in tensors choose."""
    if (whole - touched).at_least(0):
        return touched
    if (touched - whole).at_least(0) or not gathered:
        return whole
    return touched
