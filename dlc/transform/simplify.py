"""Local rewrites: each row of the two tables replaces one node by a cheaper equal one.

    %1: f32 = const {value=1.0, dtype="f32"}
    %2: f32[N=N] = broadcast(%1) {dims=((N, <N>),)}      %1: f32[N=N] = neg(%0)
    %3: f32[N=N] = mul(%0, %2)                      ->
    %4: f32[N=N] = neg(%3)

The rows run on every node, operands first, until none applies. A result with fewer axes than the
node that it stands for, or in another order, is broadcast to it.
"""

from __future__ import annotations

from dlc.graph import Graph, Node, rebuilt, rewrite
from dlc.ops.build import origin
from dlc.ops.op import REGISTRY
from dlc.transform.algebra import ALGEBRA
from dlc.transform.one_hot import ONE_HOT
from dlc.transform.rewrites import Rewrite, broadcast_to
from dlc.transform.sums import SUMS
from dlc.transform.views import VIEWS

REWRITES: tuple[Rewrite, ...] = (*ALGEBRA, *VIEWS, *SUMS, *ONE_HOT)
ROUNDS = 20
"""More than any graph was seen to need: of all nodes, each in linear time, and of one node."""


def simplify(graph: Graph) -> Graph:
    """The graph after all rewrites: same outputs up to rounding and the sign of zero."""
    for _ in range(ROUNDS):
        new = rewrite(graph, lambda node, args: _simplest(rebuilt(node, args)))
        if all(new.outputs[k] is v for k, v in graph.outputs.items()):
            return graph
        graph = new
    return graph


def rewritten(node: Node) -> Node:
    """The node after the first row that applies, or the node itself where none does."""
    with origin(node.spans, node.path):
        for row in _BY_OP.get(node.op, ()):
            new = row.rule(node, *node.args)
            if new is not None:
                return broadcast_to(new, node.type)
    return node


def _simplest(node: Node) -> Node:
    for _ in range(ROUNDS):
        new = rewritten(node)
        if new is node:
            return node
        assert new.type == node.type, f"{node} became {new}"
        node = new
    raise AssertionError(f"the rewrites of {node} run in a circle")


def _by_op() -> dict[str, tuple[Rewrite, ...]]:
    table: dict[str, tuple[Rewrite, ...]] = {}
    for name, op in REGISTRY.items():
        rows = (r for r in REWRITES if name in r.ops or op.kind in r.kinds)
        table[name] = tuple(rows)
    return table


_BY_OP = _by_op()
