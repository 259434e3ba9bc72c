"""Reverse-mode gradients, source to source: every `grad` node becomes the nodes that compute it.

    %0: f32[N=N] = input {name="x"}          %0: f32[N=N] = input {name="x"}
    %1: f32[N=N] = exp(%0)                   %1: f32[N=N] = exp(%0)
    %2: f32 = reduce_sum(%1) {over=(N,)}     %2: f32 = const {value=1.0, dtype="f32"}
    %3: f32[N=N] = grad(%2, %0)         ->   %3: f32[N=N] = broadcast(%2) {dims=((N, <N>),)}
                                             %4: f32[N=N] = scale(%3, %1)

All gradients of one `y` come from one walk back from it, over the nodes that lie between a wanted
`x` and `y` alone, so the work is linear in their number. Contributions to one node are added in
the order in which its users stand in the graph, last first. A node of a gradient has the spans and
the path of the forward node that it comes from. `grad` nodes are met operands first, so a gradient
of an expression that holds gradients finds them expanded. `stop_gradient` is dropped at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from dlc.diagnostics import fail
from dlc.diagnostics.gradients import NoGradient
from dlc.graph import FLOATS, Graph, Node, TensorType, order, rebuilt, rewrite
from dlc.ops.build import add, const, origin, sum_to, zeros
from dlc.ops.op import NO_GRADIENT, REGISTRY, ZERO, Backward


def expand_gradients(graph: Graph) -> Graph:
    """The graph without `grad` and `stop_gradient`. Raises DlcError where there is no gradient."""
    return _drop_stops(_expand(graph))


def _expand(graph: Graph) -> Graph:
    wanted: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if node.op == "grad":
            wanted.setdefault(node.args[0], []).append(node)
    new: dict[Node, Node] = {n: n for n in graph.inputs}
    found: dict[Node, Mapping[Node, Node]] = {}
    for node in graph.nodes:
        if node.op == "grad":
            y, x = node.args
            if y not in found:
                # An x that is not expanded yet stands behind y: y does not depend on it.
                xs = [new[n.args[1]] for n in wanted[y] if n.args[1] in new]
                found[y] = _gradients(new[y], xs, node)
            new[node] = found[y].get(new[x]) or _zeros(new[x].type, like=node)
        elif node.op != "input":
            new[node] = rebuilt(node, tuple(new[a] for a in node.args))
    return Graph(graph.inputs, {k: new[v] for k, v in graph.outputs.items()}, graph.checks)


def _gradients(y: Node, xs: Sequence[Node], asked: Node) -> dict[Node, Node]:
    """For each of `xs` that the float scalar `y` depends on the gradient of y, of x's type.

    `asked` is the `grad` node that wants them, for the error where there is none (E0512).
    """
    nodes = order([y])
    between = _between(nodes, xs)
    if y not in between:
        return {}
    with origin(y.spans, y.path):
        one = const(1.0, y.type.dtype)
    parts: dict[Node, list[Node]] = {y: [one]}
    kept = set(xs)
    found: dict[Node, Node] = {}
    for node in reversed(nodes):
        if node not in between or node not in parts:
            continue
        with origin(node.spans, node.path):
            cotangent = reduce(add, parts.pop(node))
            if node in kept:
                found[node] = cotangent
            for operand, part in _contributions(node, cotangent, between):
                parts.setdefault(operand, []).append(part)
    if any(_without_gradient(n) for n in between):
        for x in xs:
            if x not in found:
                _check_reached(nodes, x, asked)
    return found


def _between(nodes: Iterable[Node], xs: Iterable[Node]) -> set[Node]:
    """The nodes through which a change of `xs` reaches later ones."""
    reached = set(xs)
    for node in nodes:
        if node not in reached and any(a in reached for a in node.args) and _passes(node):
            reached.add(node)
    return reached


def _passes(node: Node) -> bool:
    if node.op == "stop_gradient":
        return False
    rule = REGISTRY[node.op].gradient
    return rule == NO_GRADIENT or (rule != ZERO and node.type.dtype in FLOATS)


def _contributions(node: Node, cotangent: Node, between: set[Node]) -> list[tuple[Node, Node]]:
    """What the node passes to each operand that wants it, of the operand's type."""
    if not any(a in between for a in node.args):
        return []
    rule = REGISTRY[node.op].gradient
    if isinstance(rule, str):
        return []
    passed = zip(node.args, rule(Backward(node, cotangent)), strict=True)
    return [(a, sum_to(g, a.type)) for a, g in passed if g is not None and a in between]


def _without_gradient(node: Node) -> bool:
    return node.op in REGISTRY and REGISTRY[node.op].gradient == NO_GRADIENT


def _check_reached(nodes: Sequence[Node], x: Node, asked: Node) -> None:
    """Raises where y, which gave x no cotangent, depends on it by an op without a gradient."""
    between = _between(nodes, [x])
    for node in nodes:
        if node in between and _without_gradient(node):
            place = node.spans[0] if node.spans else None
            raise fail(NoGradient(node.op, place, asked.spans[0] if asked.spans else None))


def _zeros(type: TensorType, like: Node) -> Node:
    with origin(like.spans, like.path):
        return zeros(type)


def _drop_stops(graph: Graph) -> Graph:
    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        return args[0] if node.op == "stop_gradient" else rebuilt(node, args)

    return rewrite(graph, rule)
