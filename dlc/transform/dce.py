"""Dead code: what no output needs is already gone from a graph, so what can be dead is a check.

    check <N> "==" <N> "..."                ->
    check <N> "==" <M> "..." (twice)        ->    check <N> "==" <M> "..."

Nodes hang from the outputs alone: one that no output reaches is in no list, and dropping it numbers
no draw anew, since a draw carries its place. Unused inputs stay, they are the signature.
"""

from __future__ import annotations

from dlc.graph import Graph, RangeCheck, SizeCheck


def drop_dead(graph: Graph) -> Graph:
    """The graph without checks that always hold and without repeated ones."""
    kept: dict[object, SizeCheck | RangeCheck] = {}
    for check in graph.checks:
        if isinstance(check, RangeCheck):
            kept.setdefault((check.input, check.size, check.axis), check)
        elif not _holds(check):
            kept.setdefault((check.left, check.relation, check.right), check)
    return Graph(graph.inputs, graph.outputs, tuple(kept.values()))


def _holds(check: SizeCheck) -> bool:
    match check.relation:
        case "==":
            return check.left.compare(check.right) == "equal"
        case ">=":
            return check.left.at_least(check.right)
        case "divisible":
            return check.left.divide(check.right) is not None
