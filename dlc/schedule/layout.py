"""How stored tensors lie in memory: orders of axes, halos for windows, second layouts.

A named axis has no order until here. Contractions vote for the innermost axis of the tensors
around them; a zero-padded window gets a halo of zeros around its source; an operand that lies
otherwise than its contraction wants is read through a copy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dlc.graph import Axis, Graph, Node, Size, product, rebuilt, rewrite
from dlc.schedule.facts import Facts, Reading, estimate, is_contraction, volume
from dlc.schedule.index import Iter, bounds
from dlc.schedule.kernel import Buffer
from dlc.schedule.reduction import fold_chain, is_view


@dataclass(slots=True)
class Layout:
    """Orders and halos of stored nodes, and the lane axis that each contraction wants."""

    facts: Facts
    lanes: int
    votes: dict[Axis, float] = field(default_factory=dict)
    halos: dict[Node, dict[Axis, tuple[Size, Size]]] = field(default_factory=dict)
    lane: dict[Node, Iter] = field(default_factory=dict)

    def order(self, node: Node) -> tuple[Axis, ...]:
        """The axes of a stored node, outermost first."""
        if node.op in ("input", "table") or node in self.facts.outputs:
            return node.type.axes
        wide = [a for a, n in node.type.dims if n != Size.of(1)]
        if "last" in node.attrs:
            last = node.attrs["last"]
        else:
            last = max(wide, key=lambda a: self._rank(node, a, wide), default=None)
        run_time = [a for a in node.type.axes if node.type.size(a).constant is None]
        rest = [a for a in node.type.axes if a not in run_time]
        tail = () if last is None else (last,)
        return tuple(a for a in [*run_time, *rest] if a != last) + tail

    def _rank(self, node: Node, axis: Axis, wide: list[Axis]) -> tuple[bool, bool, float, int]:
        size = node.type.size(axis)
        name = self.facts.loop(node, axis, size).axis
        known = size.constant is not None
        windowed = name in self.facts.windowed
        return (not windowed, known, self.votes.get(name, 0.0), wide.index(axis))


def find_layout(facts: Facts, lanes: int) -> Layout:
    """Votes and halos of a graph."""
    layout = Layout(facts, lanes)
    for node in facts.real:
        if is_contraction(facts, node):
            _vote(layout, node)
    for node in facts.real:
        for reading in facts.readings[node]:
            _add_halo(layout, reading)
    return layout


def make_buffer(layout: Layout, node: Node, name: str, lanes: int) -> Buffer:
    """The memory of a stored node."""
    order = layout.order(node)
    if node.op == "input":
        role = node.attrs["role"]
        place = "bound" if role in ("param", "state", "slot") else "input"
        port = node.attrs["name"]
    elif node.op == "table":
        place, port = "constant", ""
    elif node in layout.facts.outputs:
        place = "output"
        port = next(k for k, v in layout.facts.graph.outputs.items() if v is node)
    else:
        place, port = "arena", ""
    sizes = dict(node.type.dims)
    halo = layout.halos.get(node, {}) if place == "arena" else {}
    padded = place == "arena" and bool(order) and order[-1] not in halo
    buffer = Buffer(name, node.type.dtype, order, sizes, place, port, halo, padded)  # type: ignore[arg-type]
    buffer.table = node.attrs["value"] if node.op == "table" else None
    step = Size.of(1)
    for axis in reversed(order):
        buffer.strides[axis] = step
        before, after = halo.get(axis, (Size(), Size()))
        extent = sizes[axis] + before + after
        buffer.base = buffer.base + before * step
        if padded and axis == order[-1] and extent != Size.of(1):
            extent = (extent + (lanes - 1)) // lanes * lanes
        step = step * extent
    buffer.elements = step
    return buffer


def with_copies(facts: Facts, layout: Layout) -> Graph:
    """The graph with second layouts: operands that lie otherwise than their contraction wants.

    y = dot(g, w, over=H)      becomes      y = dot(g, broadcast(w, last=In), over=H)
    """
    wanted: dict[tuple[Node, Node], Axis | None] = {}
    for node in facts.real:
        if is_contraction(facts, node):
            lane = _choose_lane(layout, node)
            for reading in facts.readings[node]:
                last = _misplaced(layout, reading, lane)
                halo = reading.source.op == "input" or reading.source in facts.outputs
                if last is not None or (halo and reading.tests):
                    wanted[dot_of(facts, node), reading.source] = last
    if not wanted:
        return facts.graph
    return _insert_copies(facts, wanted)


def dot_of(facts: Facts, node: Node) -> Node:
    """The dot under a contraction."""
    while node.op == "unwindow":
        node = fold_chain(node)[-1]
    return node


def _insert_copies(facts: Facts, wanted: dict[tuple[Node, Node], Axis | None]) -> Graph:
    copies: dict[tuple[Node, Axis | None], Node] = {}
    new_of: dict[Node, Node] = {}
    by_dot: dict[Node, dict[Node, Axis | None]] = {}
    for (dot, source), last in wanted.items():
        by_dot.setdefault(dot, {})[source] = last

    def copied(source: Node, last: Axis | None) -> Node:
        if (source, last) not in copies:
            attrs = {"dims": source.type.dims, "copy": True} | ({"last": last} if last else {})
            base = new_of.get(source, source)
            copies[source, last] = Node("broadcast", (base,), source.type, attrs, source.spans)
        return copies[source, last]

    def over(node: Node, sources: dict[Node, Axis | None]) -> Node:
        if node in sources:
            return copied(node, sources[node])
        if not is_view(node):
            return new_of.get(node, node)
        args = tuple(over(a, sources) for a in node.args)
        if all(a is new_of.get(b, b) for a, b in zip(args, node.args, strict=True)):
            return new_of.get(node, node)
        return Node(node.op, args, node.type, node.attrs, node.spans, node.path)

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node in by_dot:
            args = tuple(over(a, by_dot[node]) for a in node.args)
        new = new_of[node] = rebuilt(node, args)
        return new

    return rewrite(facts.graph, rule)


def _vote(layout: Layout, node: Node) -> None:
    facts = layout.facts
    reduction = facts.reduction(node)
    free = facts.free(node)
    work = volume(node.type.sizes) * volume([i.size for i in reduction.iters])
    for iter in free.values():
        if iter.axis in facts.windowed or iter.size.constant is None:
            continue
        shared = sum(any(iter in i.iters for i in r.env.values()) for r in facts.readings[node]) > 1
        weight = work * min(1.0, estimate(iter.size) / layout.lanes) * (0.5 if shared else 1.0)
        layout.votes[iter.axis] = layout.votes.get(iter.axis, 0.0) + weight


def _add_halo(layout: Layout, reading: Reading) -> None:
    source = reading.source
    if source.op in ("input", "table") or source in layout.facts.outputs:
        return
    for test in reading.tests:
        axis = next((a for a, i in reading.env.items() if i == test.index), None)
        low, high = bounds(test.index)
        if axis is None or low is None or high is None or source.type.size(axis) != test.size:
            continue
        before, after = low * -1, high - (test.size - 1)
        before = before if before.at_least(1) else Size()
        after = after if after.at_least(1) else Size()
        covered = (low + before).at_least(0) and (test.size - 1 + after - high).at_least(0)
        if not covered or not _reasonable(before + after, test.size):
            continue
        old = layout.halos.setdefault(source, {}).get(axis, (Size(), Size()))
        layout.halos[source][axis] = (_larger(old[0], before), _larger(old[1], after))


def _reasonable(halo: Size, size: Size) -> bool:
    return halo.constant is not None and halo.constant <= 4 * estimate(size) + 16


def _larger(a: Size, b: Size) -> Size:
    return a if (a - b).at_least(0) else b


def _choose_lane(layout: Layout, node: Node) -> Iter | None:
    """The free axis whose lanes cost the fewest bytes to move; None if none serves."""
    facts = layout.facts
    best: tuple[float, int] | None = None
    chosen: Iter | None = None
    order = layout.order(node)
    for axis, iter in facts.free(node).items():
        if iter.size.constant is None or iter.size.constant < layout.lanes // 2:
            continue
        cost = 0.0 if order[-1] == axis else volume(node.type.sizes) / 4
        for reading in facts.readings[node]:
            if not any(iter in i.iters for i in reading.env.values()):
                continue
            place = _place(reading, iter)
            if place is None:
                cost = float("inf")
                break
            if layout.order(reading.source)[-1] != place:
                cost += volume(reading.source.type.sizes)
        waste = layout.lanes * -(-iter.size.constant // layout.lanes) / iter.size.constant
        rank = (cost * waste, -iter.size.constant)
        if cost != float("inf") and (best is None or rank < best):
            best, chosen = rank, iter
    if chosen is not None:
        layout.lane[node] = chosen
    return chosen


def _place(reading: Reading, iter: Iter) -> Axis | None:
    """The axis of the source along which a step of `iter` is one step; None if there is none."""
    hits = [a for a, i in reading.env.items() if iter in i.iters]
    if len(hits) != 1:
        return None
    index = reading.env[hits[0]]
    return hits[0] if index.regular(iter) and index.of(iter) == Size.of(1) else None


def _misplaced(layout: Layout, reading: Reading, lane: Iter | None) -> Axis | None:
    """The axis that a copy of the source must have innermost; None if it lies well."""
    if lane is None or not any(lane in i.iters for i in reading.env.values()):
        return None
    place = _place(reading, lane)
    return None if place is None or layout.order(reading.source)[-1] == place else place


def bytes_of(buffer: Buffer) -> Size:
    """The elements of a buffer without halo and padding, for estimates."""
    return product(tuple(buffer.sizes.values()))
