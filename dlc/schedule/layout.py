"""How stored tensors lie in memory: orders of axes, halos for windows, second layouts.

A named axis has no order until here. Contractions vote for the innermost axis of the tensors
around them; a zero-padded window gets a halo of zeros around its source; an operand that lies
otherwise than its contraction wants is read through a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dlc.graph import INTEGERS, Axis, Graph, Node, Size, rebuilt, rewrite
from dlc.schedule.facts import PART, Facts, Reading, estimate, is_contraction, volume
from dlc.schedule.index import Iter, bounds, data_atoms
from dlc.schedule.kernel import Buffer
from dlc.schedule.phases import unwindows
from dlc.schedule.reduction import fold_chain, is_view
from dlc.schedule.tile import CROWDED

PANEL_REUSE = 2048
"""An operand that lies well is copied to panels when each element serves so many results."""
WINDOWED = 0.02
"""Elements more to move for each multiply-add whose lanes lie along a window."""
COPIED_WEIGHT = 1 << 20
"""Elements of a weight that may lie in memory twice."""
PANEL_DEPTH = 32
"""Shorter sums read their operand from the first-level cache however it lies."""
MOVED = 3
"""Multiply-adds of vectors in the time in which an element is moved."""
FEWEST_LANES = 2
"""So few lanes are still better than lanes along a summed axis that lies badly."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A second layout: the innermost axis (None: as before), the width of its panels (0: none)."""

    last: Axis | None = None
    panel: int = 0
    order: tuple[Axis, ...] = ()
    """Of panels: the order of all axes."""


@dataclass(slots=True)
class Layout:
    """Orders and halos of stored nodes, and the lane axis that each contraction wants."""

    facts: Facts
    lanes: int
    votes: dict[Axis, float] = field(default_factory=dict)
    halos: dict[Node, dict[Axis, tuple[Size, Size]]] = field(default_factory=dict)
    lane: dict[Node, Iter] = field(default_factory=dict)
    follow: dict[Node, tuple[Axis, ...]] = field(default_factory=dict)
    """The order of a node that an output of the same shape reads: the output's."""

    def order(self, node: Node) -> tuple[Axis, ...]:
        """The axes of a stored node, outermost first."""
        if node.op in ("input", "table") or node in self.facts.outputs:
            return node.type.axes
        if node in self.follow and "last" not in node.attrs:
            return self.follow[node]
        if "order" in node.attrs:
            order: tuple[Axis, ...] = node.attrs["order"]
            return order
        wide = [a for a, n in node.type.dims if n != Size.of(1) and a != PART]
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
        return (known, not windowed, self.votes.get(name, 0.0), wide.index(axis))


def find_layout(facts: Facts, lanes: int) -> Layout:
    """Votes and halos of a graph."""
    layout = Layout(facts, lanes)
    for node in facts.real:
        if is_contraction(facts, node):
            _vote(layout, node)
        elif node in facts.outputs and node.type.dims:
            axis, size = node.type.dims[-1]
            name = facts.loop(node, axis, size).axis
            layout.votes[name] = layout.votes.get(name, 0.0) + volume(node.type.sizes)
    for node in facts.real:
        for reading in facts.readings[node]:
            _add_halo(layout, reading, product=is_contraction(facts, node))
        if node in facts.outputs and len(node.type.dims) > 1:
            _follow(layout, node)
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
    buffer = Buffer(name, node.type.dtype, order, sizes, place, port, halo)  # type: ignore[arg-type]
    near = None if buffer.near is None else order[buffer.near]
    padded = buffer.padded = place == "arena" and bool(order) and _padded(node, near, halo, lanes)
    buffer.table = node.attrs["value"] if node.op == "table" else None
    step = Size.of(1)
    for axis in reversed(order):
        buffer.strides[axis] = step
        before, after = halo.get(axis, (Size(), Size()))
        extent = sizes[axis] + before + after
        buffer.base = buffer.base + before * step
        if axis == order[-1] and "panel" in node.attrs:
            buffer.panel = node.attrs["panel"]
            step = step * buffer.panel
            continue
        if padded and axis == near:
            extent = (extent + (lanes - 1)) // lanes * lanes
        step = step * extent
        crowded = step.constant is not None and 4 * step.constant % CROWDED == 0
        outer = (order[0], *node.attrs.get("bands", ()))
        if "apart" in node.attrs and padded and crowded and axis not in outer:
            step = step + lanes
    buffer.elements = step
    if buffer.panel:
        buffer.panel_stride = step
        panels = (sizes[order[-1]] + (buffer.panel - 1)) // buffer.panel
        buffer.elements = step * panels
    return buffer


def with_copies(facts: Facts, layout: Layout) -> Graph:
    """The graph with second layouts: operands that lie otherwise than their contraction wants.

    y = dot(g, w, over=H)      becomes      y = dot(g, broadcast(w, last=In), over=H)
    """
    wanted: dict[tuple[Node, Node], Copy] = {}
    for node in facts.real:
        if is_contraction(facts, node):
            lane = _choose_lane(layout, node)
            for reading in facts.readings[node]:
                copy = _copy(layout, node, reading, lane)
                if copy is not None:
                    wanted[dot_of(facts, node), reading.source] = copy
    if not wanted:
        return facts.graph
    return _insert_copies(facts, wanted)


def with_turned_outputs(facts: Facts, layout: Layout) -> Graph:
    """The graph with outputs of contractions copied that lie otherwise than their lanes."""
    turned = {}
    for node in facts.outputs & layout.lane.keys():
        (axis,) = (a for a, i in facts.free(node).items() if i == layout.lane[node])
        if axis != node.type.axes[-1]:
            attrs = {"dims": node.type.dims, "copy": True}
            turned[node] = Node("broadcast", (node,), node.type, attrs, node.spans, node.path)
    if not turned:
        return facts.graph
    outputs = {name: turned.get(node, node) for name, node in facts.graph.outputs.items()}
    return Graph(facts.graph.inputs, outputs, facts.graph.checks)


def dot_of(facts: Facts, node: Node) -> Node:
    """The dot under a contraction."""
    while node.op == "unwindow":
        node = fold_chain(node)[-1]
    return node


def _insert_copies(facts: Facts, wanted: dict[tuple[Node, Node], Copy]) -> Graph:
    copies: dict[tuple[Node, Copy], Node] = {}
    new_of: dict[Node, Node] = {}
    by_dot: dict[Node, dict[Node, Copy]] = {}
    for (dot, source), copy in wanted.items():
        by_dot.setdefault(dot, {})[source] = copy

    def copied(source: Node, copy: Copy) -> Node:
        if (source, copy) not in copies and copy.panel and source.attrs.get("copy"):
            made = new_of.get(source, source)
            attrs = {**made.attrs, "panel": copy.panel, "order": copy.order}
            copies[source, copy] = Node(made.op, made.args, made.type, attrs, made.spans, made.path)
        elif (source, copy) not in copies:
            attrs = {"dims": source.type.dims, "copy": True}
            attrs |= {"last": copy.last} if copy.last else {}
            attrs |= {"panel": copy.panel, "order": copy.order} if copy.panel else {}
            base = new_of.get(source, source)
            copies[source, copy] = Node("broadcast", (base,), source.type, attrs, source.spans)
        return copies[source, copy]

    def over(node: Node, sources: dict[Node, Copy]) -> Node:
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


def _padded(node: Node, near: Axis | None, halo: Iterable[Axis], lanes: int) -> bool:
    """Whether rows along an axis begin at vectors: not of an image of few channels."""
    if near is None or near in halo:
        return near is None
    few = (node.type.size(near).constant or lanes) < lanes
    return not (few and halo and "copy" in node.attrs)


def _follow(layout: Layout, node: Node) -> None:
    """Known shapes only: a run-time axis stays outermost."""
    facts, own = layout.facts, layout.facts.env(node)
    if any(n.constant is None for n in node.type.sizes):
        return
    for reading in facts.readings[node]:
        places = {index: axis for axis, index in reading.env.items()}
        if len(places) != len(reading.env) or set(places) != set(own.values()):
            continue
        if len(reading.env) == len(own):
            layout.follow[reading.source] = tuple(places[own[a]] for a in node.type.axes)


def _vote(layout: Layout, node: Node) -> None:
    facts = layout.facts
    reduction = facts.reduction(node)
    free = facts.free(node)
    work = volume(node.type.sizes) * volume([i.size for i in reduction.iters])
    for iter in free.values():
        if iter.axis in facts.windowed or iter.size.constant is None or iter.axis == PART:
            continue
        shared = sum(any(iter in i.iters for i in r.env.values()) for r in facts.readings[node]) > 1
        if shared and iter.size.constant < layout.lanes:
            continue
        weight = work * min(1.0, estimate(iter.size) / layout.lanes) * (0.5 if shared else 1.0)
        layout.votes[iter.axis] = layout.votes.get(iter.axis, 0.0) + weight


def _add_halo(layout: Layout, reading: Reading, *, product: bool) -> None:
    """Zeros around what is read outside of its axes; a product is given more than a map."""
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
        if not covered or not _reasonable(before + after, test.size, product=product):
            continue
        old = layout.halos.setdefault(source, {}).get(axis, (Size(), Size()))
        layout.halos[source][axis] = (_larger(old[0], before), _larger(old[1], after))


def _reasonable(halo: Size, size: Size, *, product: bool) -> bool:
    room = 4 * estimate(size) + 16 if product else estimate(size)
    return halo.constant is not None and halo.constant <= room


def _larger(a: Size, b: Size) -> Size:
    return a if (a - b).at_least(0) else b


def _choose_lane(layout: Layout, node: Node) -> Iter | None:
    """The free axis whose lanes cost the fewest bytes to move; None if none serves."""
    wide, narrow = (_best_lane(layout, node, n) for n in (layout.lanes // 2, FEWEST_LANES))
    chosen = wide or narrow
    if chosen is None:
        return None
    if wide and narrow and _idle(layout, node, narrow[1]) < wide[0] - narrow[0]:
        chosen = narrow
    layout.lane[node] = chosen[1]
    return chosen[1]


def _idle(layout: Layout, node: Node, lane: Iter) -> float:
    """What a product loses by lanes without work, in elements that could be moved meanwhile."""
    work = volume([*node.type.sizes, *(i.size for i in layout.facts.reduction(node).iters)])
    return work * (1 / min(estimate(lane.size), layout.lanes) - 1 / layout.lanes) / MOVED


def _best_lane(layout: Layout, node: Node, least: int) -> tuple[float, Iter] | None:
    """Of the axes that fill so many lanes, with the elements that have to be moved for it."""
    facts = layout.facts
    best: tuple[float, int] | None = None
    chosen: tuple[float, Iter] | None = None
    order, summed = layout.order(node), facts.reduction(node).iters
    single = {PART, *(n.attrs.get("phase") for n in unwindows(facts, node))}
    single |= {*node.attrs.get("windows", ())}
    for axis, iter in facts.free(node).items():
        if iter.size.constant is None or iter.size.constant < least or axis in single:
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
        if _gathers(facts.readings[node], iter):
            cost += volume([*node.type.sizes, *(i.size for i in summed)])
        if iter.axis in facts.windowed:  # neighbours are read across the bounds of cache lines
            cost += WINDOWED * volume([*node.type.sizes, *(i.size for i in summed)])
        waste = layout.lanes * -(-iter.size.constant // layout.lanes) / iter.size.constant
        rank = (cost * waste, -iter.size.constant)
        if cost != float("inf") and (best is None or rank < best):
            best, chosen = rank, (cost, iter)
    return chosen


def _gathers(readings: Sequence[Reading], iter: Iter) -> bool:
    """Whether each lane along a loop would have an element by an index of its own from memory."""
    if not any(True for r in readings for i in r.env.values() for _ in data_atoms(i)):
        return False
    indices = [r.env.values() for r in readings if r.source.type.dtype in INTEGERS]
    return any(iter in index.iters for env in indices for index in env)


def _place(reading: Reading, iter: Iter) -> Axis | None:
    """The axis of the source along which a step of `iter` is one step; None if there is none."""
    hits = [a for a, i in reading.env.items() if iter in i.iters]
    if len(hits) != 1:
        return None
    index = reading.env[hits[0]]
    return hits[0] if index.step(iter, 1) == Size.of(1) else None


def _copy(layout: Layout, node: Node, reading: Reading, lane: Iter | None) -> Copy | None:
    """The second layout that a contraction wants of an operand; None if it lies well."""
    source = reading.source
    outside = source.op == "input" or source in layout.facts.outputs
    halo = Copy() if outside and reading.tests else None
    if lane is None or not any(lane in i.iters for i in reading.env.values()):
        return halo
    place = _place(reading, lane)
    made = source.attrs.get("copy") and place == layout.order(source)[-1]
    if place is None or (made and not _relaid(layout, source)):
        return halo
    panel = _panel(layout, node, reading, lane)
    panels = Copy(place, panel, _order(layout, node, reading, place)) if panel else Copy(place)
    if made:
        return panels if panel else halo
    if layout.order(source)[-1] != place:
        return panels
    whole = source.type.size(place).constant == panel and layout.order(source) == panels.order
    served = _settled(layout, source) or _reuse(layout, node, reading) >= PANEL_REUSE
    return panels if panel > 0 and not whole and served else halo


def _relaid(layout: Layout, source: Node) -> bool:
    """Whether a copy that one contraction reads may lie in panels from the start."""
    readers = [n for n in layout.facts.real for r in layout.facts.readings[n] if r.source is source]
    inside = source not in layout.facts.outputs and "panel" not in source.attrs
    return inside and len(readers) == 1


def _settled(layout: Layout, source: Node) -> bool:
    """Whether nothing in the graph changes a weight: then it is copied once for all runs."""
    return layout.facts.stays(source) and volume(source.type.sizes) <= COPIED_WEIGHT


def _order(layout: Layout, node: Node, reading: Reading, place: Axis) -> tuple[Axis, ...]:
    """The axes of a panelled operand as the other operand's memory is walked."""
    rank: dict[Iter, int] = {}
    for other in layout.facts.readings[node]:
        if other.source is not reading.source:
            for number, axis in enumerate(layout.order(other.source)):
                rank |= dict.fromkeys(other.env[axis].iters, number)
    axes = [a for a in reading.source.type.axes if a != place]
    axes.sort(key=lambda a: max([rank.get(i, -1) for i in reading.env[a].iters], default=-1))
    return (*axes, place)


def _panel(layout: Layout, node: Node, reading: Reading, lane: Iter) -> int:
    """How many neighbours a panel of a fixed operand holds; 0 where panels gain nothing."""
    size, elements = lane.size.constant, reading.source.type.elements.constant
    summed = volume([i.size for i in layout.facts.reduction(node).iters])
    if size is None or elements is None or reading.tests or summed < PANEL_DEPTH:
        return 0
    count = -(-size // layout.lanes)
    width = layout.lanes * next(v for v in (4, 3, 2, 1) if count % v == 0)
    return width if size % width == 0 or width < size else 0


def _reuse(layout: Layout, node: Node, reading: Reading) -> int:
    """How many elements of the result each element of the operand is used for."""
    free = layout.facts.free(node).values()
    used = {i for index in reading.env.values() for i in index.iters}
    return volume([i.size for i in free if i not in used])
