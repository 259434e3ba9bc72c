"""Sums of much into little are cut into parts, so that threads can share them.

    w = dot(x, g, over=N)      becomes      w = reduce_sum(dot(x, g, over=N, part=N), over=P)

Part p of P adds the elements [n p / P, n (p + 1) / P) of the first summed axis. The number of parts
is fixed, so that the result does not depend on the number of threads. Products of a batch with a
small weight that a step updates are cut so too: a thread then meets its own rows of it again.
"""

from __future__ import annotations

from dlc.graph import Axis, Graph, Node, Size, TensorType, rebuilt, rewrite
from dlc.schedule.facts import PART, Facts, estimate, volume
from dlc.schedule.plan import PARTS
from dlc.schedule.tile import WIDEST_ROW

RESULT, RUN_TIME_RESULT = 1 << 16, 1 << 13
"""The most elements of a result that is summed in parts; of one that grows with the batch."""
SUMMED = 64 * PARTS
"""The fewest elements that are summed into each: a part costs a store and a load."""
WHOLE = "whole"
"""The mark of sums that are not cut."""
LEAST = {"dot": 1 << 22, "reduce_sum": 1 << 17}
"""The fewest multiply-adds or additions that are worth a second pass."""
NEAR_WEIGHT = 1 << 18
"""Of a weight that steps update, the most elements that caches of the cores hold."""
WIDE = 512, WIDEST_ROW // 4
"""Rows of so many columns are always summed in parts over rows, each of which is read in order."""


def with_parts(facts: Facts, lanes: int) -> Graph:
    """The graph with large sums in parts."""
    wanted = {n: a for n in facts.real if (a := _cut_axis(facts, n, lanes)) is not None}
    if not wanted:
        return facts.graph

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node not in wanted:
            return rebuilt(node, args)
        dims = ((PART, Size.of(PARTS)), *node.type.dims)
        kept = {k: v for k, v in node.attrs.items() if k in ("copy", "apart")}  # of the sum
        attrs = {k: v for k, v in node.attrs.items() if k not in kept} | {"part": wanted[node]}
        part = Node(node.op, args, TensorType(node.type.dtype, dims), attrs, node.spans, node.path)
        total = {"over": (PART,), **kept}
        return Node("reduce_sum", (part,), node.type, total, node.spans, node.path)

    return rewrite(facts.graph, rule)


def _cut_axis(facts: Facts, node: Node, lanes: int) -> Axis | None:
    """The summed axis that is cut into parts; None where that gains nothing."""
    least = LEAST.get(node.op)
    if least is None or node.type.dtype not in ("f32", "f64"):
        return None
    if node in facts.folded or node.type.has(PART) or WHOLE in node.attrs:
        return None
    over: tuple[Axis, ...] = node.attrs["over"]
    sizes = {a: node.args[0].type.size(a) for a in over}
    result, summed = volume(node.type.sizes), volume(sizes.values())
    grows = any(n.constant is None for n in node.type.sizes)
    if result > (RUN_TIME_RESULT if grows else RESULT):
        return None
    if grows and node.op == "dot" and any(_far(facts, s) for s in facts.sources(node)):
        return None  # threads share its columns
    few = summed < SUMMED or result * summed < least
    if few and not (node.op == "reduce_sum" and not grows and _wide_rows(node.args[0], over)):
        return None
    wide = any(n.constant is not None and n.constant >= lanes // 2 for n in node.type.sizes)
    innermost = {x.type.axes[-1] for x in node.args}
    for axis, size in sizes.items():
        others = [n for a, n in sizes.items() if a != axis]
        lies_well = node.op == "reduce_sum" and axis not in innermost
        lane_left = wide or (lies_well and any(estimate(n) >= lanes // 2 for n in others))
        if estimate(size) >= 2 * PARTS and lane_left:
            return axis
    return None


def _far(facts: Facts, source: Node) -> bool:
    """Whether a thread finds nothing of a weight in its cache that it left there."""
    weight = source.op == "input" and source.attrs["role"] == "param"
    return facts.stays(source) or (weight and volume(source.type.sizes) > NEAR_WEIGHT)


def _wide_rows(x: Node, over: tuple[Axis, ...]) -> bool:
    axis, size = x.type.dims[-1]
    return axis not in over and size.constant is not None and WIDE[0] <= size.constant <= WIDE[1]
