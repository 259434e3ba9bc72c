"""The gradient of a convolution of single channels is a contraction of products over nothing.

    dx = unwindow(unwindow(g * w))      becomes      dx = unwindow(unwindow(dot(g, w, over=())))

where w alone has the taps. Then it is summed like the gradient of any other convolution.
"""

from __future__ import annotations

from collections import Counter

from dlc.graph import Graph, Node, rebuilt, rewrite
from dlc.ops import build
from dlc.schedule.reduction import fold_chain


def with_outer_products(graph: Graph) -> Graph:
    """The graph with such products as dots."""
    uses = Counter(a for n in graph.nodes for a in n.args)
    uses.update(graph.outputs.values())
    tops = [n for n in graph.nodes if n.op == "unwindow"]
    tops = [n for n in tops if all(uses[view] == 1 for view in fold_chain(n))]
    found = {p for n in tops if (p := _product(n)) is not None}
    if not found:
        return graph

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node not in found:
            return rebuilt(node, args)
        with build.origin(node.spans, node.path):
            return build.to_type(build.dot(args[0], args[1], ()), node.type)

    return rewrite(graph, rule)


def _product(node: Node) -> Node | None:
    """What an unwindow sums, if it is the product of a tensor with taps and one without."""
    base = fold_chain(node)[-1]
    if base.op != "mul" or base.type.dtype not in ("f32", "f64"):
        return None
    taps = {node.attrs["tap"]}
    for view in fold_chain(node)[-2::-1]:
        if view.op == "rename":
            names = {new: old for old, new in view.attrs["mapping"]}
            taps = {names.get(tap, tap) for tap in taps}
    with_taps = [all(x.type.has(tap) for tap in taps) for x in base.args]
    return base if with_taps.count(True) == 1 and all(x.type.dims for x in base.args) else None
