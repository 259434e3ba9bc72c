"""Graph to kernels: the stages of scheduling in their one order."""

from __future__ import annotations

from dataclasses import dataclass

from dlc.graph import Graph, Node
from dlc.schedule.blocks import cut_contraction
from dlc.schedule.collapse import collapse
from dlc.schedule.facts import PART, Facts, find_facts, find_readings
from dlc.schedule.group import group
from dlc.schedule.index import Affine, Iter
from dlc.schedule.kernel import Buffer, Kernel
from dlc.schedule.layout import Layout, find_layout, make_buffer, with_copies, with_turned_outputs
from dlc.schedule.masks import with_masks
from dlc.schedule.moments import with_moments
from dlc.schedule.outer import with_outer_products
from dlc.schedule.parts import with_parts
from dlc.schedule.phases import taps_at, unwindows, with_phases
from dlc.schedule.pools import with_windows
from dlc.schedule.reduction import reduced_axes
from dlc.schedule.slabs import with_chains
from dlc.schedule.tile import Target, tile
from dlc.schedule.winners import with_winners
from dlc.schedule.winograd import with_winograd


@dataclass(frozen=True, slots=True)
class Schedule:
    """Kernels in the order of their running, and the memory of every stored node."""

    graph: Graph
    kernels: tuple[Kernel, ...]
    buffers: dict[Node, Buffer]
    facts: Facts
    layout: Layout


def schedule(graph: Graph, target: Target) -> Schedule:
    """The kernels of a graph for a machine.

    Expects a lowered graph (no `grad` nodes). The result depends on the graph and on `target`
    alone, never on run-time sizes or threads.
    """
    facts, layout = _laid_out(_rewritten(graph, target), target.lanes)
    graph, buffers = facts.graph, dict[Node, Buffer]()

    def buffer_of(node: Node) -> Buffer:
        if node not in buffers:
            name = f"{node.attrs['name'] if node.op == 'input' else node.op}"
            buffers[node] = make_buffer(layout, node, name, target.lanes)
        return buffers[node]

    kernels = group(facts, layout, buffer_of)
    for kernel in kernels:
        _cut(kernel, facts, layout, target)
    for node in [*graph.inputs, *graph.outputs.values()]:
        buffer_of(node)
    kernels = with_chains(facts, layout, target, kernels, buffers)
    return Schedule(graph, tuple(kernels), buffers, facts, layout)


def _rewritten(graph: Graph, target: Target) -> Facts:
    """The graph as it is computed best, by what has memory in it."""
    facts = find_facts(with_outer_products(with_winners(_distinct_outputs(graph))))
    facts = _facts_of(with_masks(facts), facts)
    facts = _facts_of(with_phases(facts), facts)
    facts = _facts_of(with_moments(facts), facts)
    facts = _facts_of(with_winograd(facts, target), facts)
    facts = _facts_of(with_windows(facts, target), facts)
    return find_readings(_facts_of(with_parts(facts, target.lanes), facts))


def _laid_out(facts: Facts, lanes: int) -> tuple[Facts, Layout]:
    """With copies of what lies badly."""
    layout = find_layout(facts, lanes)
    for _ in range(8):
        copied = with_copies(facts, layout)
        if copied is facts.graph:
            copied = with_turned_outputs(facts, layout)
        if copied is facts.graph:
            break
        facts = find_readings(find_facts(copied))
        layout = find_layout(facts, lanes)
    return facts, layout


def _cut(kernel: Kernel, facts: Facts, layout: Layout, target: Target) -> None:
    """Finds a kernel's tile, lane and units."""
    kernel.parts = _parts(facts, kernel)
    free = facts.free(kernel.members[0])
    kernel.bands = tuple(free[a] for a in kernel.members[0].attrs.get("bands", ()) if a in free)
    if kernel.contraction:
        kernel.taps = _taps(facts, kernel.members[0])
    collapse(kernel)
    lane = layout.lane.get(kernel.members[0])
    if lane is None:
        tile(kernel, target)
    else:
        cut_contraction(kernel, target, lane)


def _facts_of(graph: Graph, facts: Facts) -> Facts:
    """The facts of a graph, where it is another one."""
    return facts if graph is facts.graph else find_facts(graph)


def _parts(facts: Facts, kernel: Kernel) -> dict[Iter, Iter]:
    found = {}
    for node in kernel.members:
        if "part" in node.attrs:
            axis = node.attrs["part"]
            loop = facts.loop(node, axis, node.args[0].type.size(axis))
            found[loop] = facts.free(node)[PART]
    return found


def _taps(facts: Facts, node: Node) -> dict[Iter, tuple[Iter, Affine]]:
    found = {}
    for inner in unwindows(facts, node):
        if "phase" in inner.attrs and (axis := inner.attrs["phase"]) in facts.free(node):
            phase, tap = facts.free(node)[axis], inner.attrs["tap"]
            (size,) = (n for a, n in reduced_axes(inner) if a == tap)
            found[facts.loop(inner, tap, size)] = (phase, taps_at(inner, phase))
    return found


def _distinct_outputs(graph: Graph) -> Graph:
    """Every output is a node of its own that is no input: the others are copied."""
    outputs: dict[str, Node] = {}
    taken: set[Node] = set()
    for name, node in graph.outputs.items():
        if node in taken or node.op in ("input", "table"):
            attrs = {"dims": node.type.dims, "copy": True}
            node = Node("broadcast", (node,), node.type, attrs, node.spans, node.path)
        taken.add(node)
        outputs[name] = node
    return Graph(graph.inputs, outputs, graph.checks)
