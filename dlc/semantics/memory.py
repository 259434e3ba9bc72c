"""Whether this machine could hold a program: said before anything is allocated.

What is refused could not run. Only tensors count that no schedule can do without: what a caller
gives and gets, and the results of products; for one row of the batch where only their extremes are
needed. Views and elementwise values are computed where they are read, however large they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set

from dlc.diagnostics.limits import OutOfMemory
from dlc.graph import ITEM_BYTES, UPDATE, Graph, Node, Size, TensorType, users
from dlc.memory import memory_bytes
from dlc.ops import REGISTRY
from dlc.semantics.files import file_frame
from dlc.semantics.machine import Machine
from dlc.semantics.program import ModelProgram, Recipe
from dlc.semantics.scope import FileScope
from dlc.semantics.values import show_type

EXTREMES = ("reduce_max", "reduce_min")
Batch = Mapping[str, int]
"""The run-time sizes that a recipe sets; others count as 1."""


def check_parameters(machine: Machine, file: FileScope, slots: Iterable[Iterable[Node]]) -> None:
    """Refuse parameters, or what the optimizers of a recipe keep of them."""
    kept = max((sum(_bytes(node.type, {}) for node in nodes) for nodes in slots), default=0)
    held = {info.path: _bytes(info.type, {}) for info in machine.infos.values()}
    total, available = sum(held.values()) + kept, memory_bytes()
    if total <= available:
        return
    info = machine.infos[max(held, key=lambda path: held[path])]
    also = " and what the optimizer keeps of them" if kept else ""
    what = f"holding all parameters{also}, {info.path} the largest,"
    case = OutOfMemory(place=info.span, what=what, bytes=total, available=available)
    machine.report(case, file_frame(machine, file))


def check_tensors(
    machine: Machine, file: FileScope, models: Iterable[ModelProgram], recipes: Iterable[Recipe]
) -> None:
    """Refuse models for one row, and steps for one batch, that need a tensor too large."""
    graphs: list[tuple[Graph, Batch]] = [(model.graph, {}) for model in models]
    graphs += [(step.graph, recipe.batch) for recipe in recipes for step in recipe.steps]
    available = memory_bytes()
    for graph, batch in graphs:
        node, needed = largest(graph, batch, available)
        if node is not None:
            case = _too_large(graph, node, batch, needed, available)
            machine.report(case, file_frame(machine, file))


def _too_large(graph: Graph, node: Node, batch: Batch, needed: int, available: int) -> OutOfMemory:
    elements, given, hint = _elements(node.type, batch), "", "make one of its axes smaller"
    if _elements(node.type, {}) < elements:
        given = f" ({', '.join(f'batch {name} = {n:,}' for name, n in batch.items())})"
        hint = "a smaller `batch` needs less"
    return OutOfMemory(
        place=node.spans[0], remark=show_type(_as_written(graph, node)), hint=hint,
        what=f"a tensor of {elements:,} elements{given}", bytes=needed, available=available,
    )  # fmt: skip


def _as_written(graph: Graph, node: Node) -> TensorType:
    """The type in axes of the file, where the axes of a layer are renamed to those later."""
    readers = users(graph.nodes)
    pending = [node]
    for here in pending:
        if not any(axis.scope for axis in here.type.axes):
            return here.type
        pending += [r for r in readers[here] if r.type.elements == node.type.elements]
    return node.type


def largest(graph: Graph, batch: Batch, limit: int) -> tuple[Node | None, int]:
    """The tensor whose elements need the most bytes, if more than `limit`, and these bytes."""
    found: tuple[Node | None, int] = None, limit
    nodes = tuple(_computed(graph))
    ends = {n for name, n in graph.outputs.items() if not name.startswith(UPDATE)}
    for node in nodes:
        whole = node in ends or (node.op == "input" and node.attrs["role"] == "data")
        if not whole and not _is_product(node):
            continue
        needed = _bytes(node.type, batch)
        if needed > found[1] and not whole:
            readers = users(nodes)
            needed = max(
                _elements(node.type, {}) * _kept_bytes(node, readers, ends, ()),
                _elements(node.type, batch) * _kept_bytes(node, readers, ends, EXTREMES),
            )
        if needed > found[1]:
            found = node, needed
    return found


def _computed(graph: Graph) -> Iterator[Node]:
    """The nodes that every run computes: not those that only a gradient or a dead branch needs."""
    pending = [*graph.inputs, *graph.outputs.values()]
    seen = set(pending)
    while pending:
        node = pending.pop()
        yield node
        args = node.args
        if node.op == "grad":
            continue
        if node.op == "where" and args[0].op == "const":
            args = (args[1] if args[0].attrs["value"] else args[2],)
        pending += [a for a in dict.fromkeys(args) if a not in seen]
        seen.update(args)


def _is_product(node: Node) -> bool:
    """Whether it sums products: one over axes of size 1 alone is elementwise."""
    return node.op == "dot" and any(
        node.args[0].type.size(a).constant != 1 for a in node.attrs["over"]
    )


def _kept_bytes(
    product: Node, readers: Mapping[Node, list[Node]], ends: Set[Node], passing: Collection[str]
) -> int:
    """The bytes of an element of a product, as it is stored or after elementwise ops on it.

    On each way from the product to what needs more than one element of it, some value is stored:
    at least the smallest of this way. 0 where overlapping windows are summed without storing it, or
    an op of `passing` needs it, which may take the batch slab by slab.
    """
    least: dict[Node, int] = {}
    pending = [product]
    while pending:
        node = pending[-1]
        after = readers[node]
        if any(reader.op == "unwindow" for reader in after):
            return 0
        alike = [r for r in after if REGISTRY[r.op].kind in ("map", "view")]
        waiting = [reader for reader in alike if reader not in least]
        if waiting:
            pending += waiting
            continue
        pending.pop()
        widest = max((least[reader] for reader in alike), default=0)
        others = [r for r in after if r not in alike and r.op not in passing]
        if others or node in ends:
            widest = ITEM_BYTES[node.type.dtype]
        least[node] = min(widest, ITEM_BYTES[node.type.dtype])
    return least[product]


def _bytes(type: TensorType, batch: Batch) -> int:
    return _elements(type, batch) * ITEM_BYTES[type.dtype]


def _elements(type: TensorType, batch: Batch) -> int:
    """The fewest elements it can have; a size that may shrink as others grow counts as 1."""
    total = 1
    for size in type.sizes:
        total *= _least(size, batch) if size.constant is None else max(size.constant, 0)
    return total


def _least(size: Size, batch: Batch) -> int:
    size = size.substitute({name: Size.of(n) for name, n in batch.items()})
    if size.constant is not None:
        return max(size.constant, 0)
    if not size.at_least(0):
        return 1
    return size.value(dict.fromkeys(size.symbols, 1))
