"""The gradient of a window with a stride is computed by phases of the stride.

    dx = unwindow(g, Y, stride=2)      becomes      dx = merge(unwindow(g, Y, phase P), (Y, P))

Element o * stride + p of the result gets only every stride-th tap, and within a phase p its
neighbours in o read neighbours of g: loops over o are as regular as those of a convolution.
"""

from __future__ import annotations

import itertools

from dlc.graph import Axis, Graph, Node, Size, TensorType, rebuilt, rewrite
from dlc.ops.build import merge, slice
from dlc.schedule.facts import Facts, is_contraction
from dlc.schedule.index import Affine, Iter, Quot, Rem, at
from dlc.schedule.reduction import fold_chain

MOST = 16
"""The longest stride that is computed by phases."""
_unique = itertools.count(1)


def with_phases(facts: Facts) -> Graph:
    """The graph with strided unwindows of products by phases."""
    tops = [
        n
        for n in facts.nodes
        if n.op == "unwindow" and n not in facts.folded and is_contraction(facts, n)
    ]
    chains = {n: _chain(facts, n) for n in tops}
    chains = {n: c for n, c in chains.items() if any(_strided(x) for x in c)}
    if not chains:
        return facts.graph
    inner = {x for chain in chains.values() for x in chain[1:]}

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node in inner:
            return Node(node.op, args, node.type, node.attrs, node.spans, node.path)
        if node not in chains:
            return rebuilt(node, args)
        chain = chains[node]
        return _by_phases(chain, new[chain[-1].args[0]])

    new: dict[Node, Node] = {}

    def remembered(node: Node, args: tuple[Node, ...]) -> Node:
        new[node] = rule(node, args)
        return new[node]

    return rewrite(facts.graph, remembered)


def taps_at(node: Node, phase: Iter) -> Affine:
    """How many taps an unwindow by phases has at one."""
    s, tap = node.attrs["stride"], node.attrs["tap"]
    left = at(Rem(at(phase) + node.attrs["before"], Size.of(s)))
    count = Affine(const=node.args[0].type.size(tap) + (s - 1)) - left
    return at(Quot(count, Size.of(s)))


def unwindows(facts: Facts, node: Node) -> list[Node]:
    """The unwindows that are summed in one reduction, topmost first."""
    found = []
    while node.op == "unwindow":
        found.append(node)
        below = fold_chain(node)[-1]
        if below not in facts.folded:
            break
        node = below
    return found


def _strided(node: Node) -> bool:
    """Whether phases serve: whole strides must not be much more than the axis."""
    if node.op != "unwindow" or node.attrs["dilation"] != 1:
        return False
    size, stride = Size.of(node.attrs["size"]).constant, node.attrs["stride"]
    return 1 < stride <= MOST and (size is None or size >= stride)


def _chain(facts: Facts, top: Node) -> list[Node]:
    """The unwindows and the renames between them, topmost first; empty where there is more."""
    chain = [top]
    while True:
        views = fold_chain(chain[-1])
        below = views[-1]
        if below.op != "unwindow" or below not in facts.folded:
            return chain
        if any(v.op != "rename" for v in views[:-1]):
            return []
        chain += views


def _by_phases(chain: list[Node], x: Node) -> Node:
    """The chain over its new operand, and the phases merged with their axes."""
    phases: list[tuple[Axis, Axis, Size]] = []
    for node in reversed(chain):
        if node.op == "rename":
            names = dict(node.attrs["mapping"])
            dims = tuple((names.get(a, a), n) for a, n in x.type.dims)
            phases = [(names.get(a, a), p, n) for a, p, n in phases]
            x = Node("rename", (x,), TensorType(x.type.dtype, dims), node.attrs, node.spans)
            continue
        axis, attrs = node.attrs["axis"], node.attrs
        kept = [(a, n) for a, n in x.type.dims if a != attrs["tap"]]
        size = Size.of(attrs["size"])
        dims = tuple((a, size if a == axis else n) for a, n in kept)
        if _strided(node):
            s, phase = attrs["stride"], Axis("phase", -next(_unique))
            phases.append((axis, phase, size))
            attrs = {**attrs, "phase": phase}
            dims = tuple(
                d
                for a, n in kept
                for d in (
                    [(a, (size + (s - 1)) // s), (phase, Size.of(s))] if a == axis else [(a, n)]
                )
            )
        kind = TensorType(node.type.dtype, dims)
        x = Node("unwindow", (x,), kind, attrs, node.spans, node.path)
    for axis, phase, size in phases:
        x = merge(x, (axis, phase), axis)
        if x.type.size(axis) != size:
            x = slice(x, axis, size=size)
    return x
