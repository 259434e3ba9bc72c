"""Where a rectifier cut is read from what it gave, not from what it was given.

    y = where(x <= 0, 0, x)                  x <= 0   is   y <= 0

The gradient needs to know where x was cut off, and nothing else of it. Where y has memory anyway, x
then needs none.
"""

from __future__ import annotations

from dlc.graph import Graph, Node, rebuilt, rewrite
from dlc.schedule.facts import Facts
from dlc.schedule.reduction import is_view

CUTS = {"le": 1, "gt": 2}
"""Comparisons with 0 that tell the same of both, and which argument of `where` is then x."""


def with_masks(facts: Facts) -> Graph:
    """The graph with comparisons of stored rectifiers' results."""
    cut = {node.args[0]: node for node in facts.real if _rectifies(node)}
    cut = {c: node for c, node in cut.items() if len(facts.users[c]) > 1}
    if not cut:
        return facts.graph
    new: dict[Node, Node] = {}

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        args = tuple(
            _compared(a, new_a, new[cut[a]]) if a in cut and cut[a] in new else new_a
            for a, new_a in zip(node.args, args, strict=True)
        )
        new[node] = rebuilt(node, args)
        return new[node]

    return rewrite(facts.graph, rule)


def _compared(old: Node, new: Node, result: Node) -> Node:
    return Node(old.op, (result, new.args[1]), old.type, old.attrs, old.spans, old.path)


def _rectifies(node: Node) -> bool:
    """Whether a node is its argument where a comparison with 0 holds, else 0."""
    if node.op != "where" or node.args[0].op not in CUTS:
        return False
    comparison = node.args[0]
    kept, other = node.args[2], node.args[1]
    if comparison.op == "gt":
        kept, other = other, kept
    return comparison.args[0] is kept and _is_zero(other) and _is_zero(comparison.args[1])


def _is_zero(node: Node) -> bool:
    while is_view(node) and len(node.args) == 1:
        node = node.args[0]
    return node.op == "const" and node.attrs["value"] == 0
