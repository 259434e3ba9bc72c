"""Convolutions by windows of 3 x 3 as products of transformed tiles: Winograd's F(2 x 2, 3 x 3).

    y = dot(window(window(x)), w, over=(C, TY, TX))

becomes, with 4 x 4 elements of x for each 2 x 2 of y,

    y = A' dot(B' x B, G w G', over=C) A

The 16 products of a tile replace 36, so a convolution and the gradient by its input take 2.25 times
fewer multiply-adds. Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from dlc.graph import Axis, Graph, Node, Size, TensorType, rebuilt, rewrite
from dlc.ops import build
from dlc.schedule.facts import Facts
from dlc.schedule.index import count_inside
from dlc.schedule.phases import unwindows
from dlc.schedule.reduction import fold_chain, is_view
from dlc.schedule.tile import Target

CHANNELS = 16
"""The fewest channels on both sides that pay for the transformations."""
TILE, TAPS = 2, 3
"""Results along a side of a tile, and the taps of each."""
OTHERS, FEWEST = 8 * 1024, 7
"""Bands of tiles stay in the first cache, with all weights and some bytes for others if these have
room, else alone: weights are then read again for each band, so they may take half as much again as
that cache. A band has so many tiles at least, for the rows of a register tile."""
Row = tuple[float, ...]
_INPUT: tuple[Row, ...] = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_WEIGHT: tuple[Row, ...] = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_RESULT: tuple[Row, ...] = ((1, 1, 1, 0), (0, 1, -1, -1))
_unique = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Price:
    """What transformations cost, in channels a b / (a + b) of the products of an element."""

    plain: int
    banded: int
    """Where they go through the first cache band by band."""
    cut: int
    """Where the last tiles are cut off."""
    far: tuple[tuple[int, int], ...]
    """Where the tiles of an image take more than so many bytes, they go far, and at least so many
    channels are wanted."""


_NARROW = _Price(6, 6, 8, ((3 << 19, 18),))
_WIDE = _Price(10, 7, 12, ((3 << 19, 18), (1 << 24, 40)))


@dataclass(frozen=True, slots=True)
class _Side:
    """One spatial axis, as the dot calls it: its taps, the zeros around x, the results along it."""

    axis: Axis
    tap: Axis
    before: Size
    after: Size
    flipped: bool
    """Whether the last tap meets the first element of a window."""

    def met(self, results: int) -> int:
        """How many of the taps of so many results meet no zero around x."""
        before, after = self.before.constant or 0, self.after.constant or 0
        size = results + TAPS - 1 - before - after
        return count_inside(-before, (1, 1), (TAPS, results), size)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A dot, or the unwindows above one, that is a convolution by 3 x 3 taps."""

    node: Node
    x: Node
    weight: Node
    channel: Axis
    """The summed axis."""
    sides: tuple[_Side, ...]
    names: dict[Axis, Axis]
    """Of the dot's axes those that the node calls otherwise."""
    cache: int = 0
    """Bytes of the first cache."""

    def pays(self, price: _Price) -> bool:
        """Whether it takes less than the plain sum."""
        free = [a for a in self.weight.type.axes if a not in (*self.taps, self.channel)]
        sizes = [self.weight.type.size(a).constant for a in (*free, self.channel)]
        if len(sizes) != 2 or any(n is None or n < CHANNELS for n in sizes):
            return False
        results = [self.node.type.size(self.names.get(s.axis, s.axis)).constant for s in self.sides]
        taps = [self.weight.type.size(tap).constant for tap in self.taps]
        if None in results or taps != [TAPS, TAPS] or self.node.type.dtype != "f32":
            return False
        counts, (a, b) = [n or 0 for n in results], [n or 0 for n in sizes]
        image = 16 * (a + b) * prod(counts)  # 4 elements for each of both sides
        if any(image > size and a * b < least * (a + b) for size, least in price.far):
            return False
        plain = prod(side.met(n) for side, n in zip(self.sides, counts, strict=True))
        tiled = prod((TILE + TAPS - 1) * -(-n // TILE) for n in counts)
        cost = price.banded if self.band_tiles() else price.plain
        cost = price.cut if any(n % TILE for n in counts) else cost
        return a * b * (plain - tiled) > cost * (a + b) * tiled

    def tiles(self) -> tuple[int, ...]:
        """How many tiles there are along each side."""
        sizes = [self.node.type.size(self.names.get(s.axis, s.axis)) for s in self.sides]
        return tuple(-(-(n.constant or 0) // TILE) for n in sizes)

    def band_tiles(self) -> int:
        """How many tiles of an image go through the first cache together; 0 for all of them."""
        height, width = self.tiles()
        free = [a for a in self.weight.type.axes if a not in (*self.taps, self.channel)]
        sizes = [self.weight.type.size(a).constant or 0 for a in (*free, self.channel)]
        weights, tile = 64 * prod(sizes), 64 * sum(sizes)
        if 2 * weights > 3 * self.cache:
            return 0
        few = [n for n in range(FEWEST, width) if width % n == 0]
        few += [n * width for n in range(1, height) if height % n == 0 and n * width >= FEWEST]
        near = [n for n in few if n * tile + weights + OTHERS <= self.cache]
        return max(near, default=0) or max((n for n in few if n * tile <= self.cache), default=0)

    @property
    def taps(self) -> tuple[Axis, ...]:
        """The axes of the taps."""
        return tuple(side.tap for side in self.sides)


def with_winograd(facts: Facts, target: Target) -> Graph:
    """The graph with convolutions by transformed tiles, where that takes less."""
    price = _WIDE if target.wide else _NARROW
    every = [c for n in facts.real if (c := _forward(n) or _backward(facts, n)) is not None]
    every = [replace(c, sides=_in_order(c), cache=target.first_cache) for c in every]
    found = {c.node: c for c in every if c.pays(price)}
    if not found:
        return facts.graph
    outside = {n for n in facts.nodes if n.op in ("input", "table")} | facts.outputs
    kept = {p for n in found for p in facts.producers(n) if p.op not in ("input", "table")}
    new: dict[Node, Node] = {}

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node in found:
            c = found[node]
            x = _rebuilt(c.x, new)
            if _source(c.x) in outside:  # zeros around it are then no tests
                x = Node("broadcast", (x,), x.type, {"dims": x.type.dims, "copy": True}, x.spans)
            with build.origin(node.spans, node.path):
                made = _transformed(c, x, new.get(c.weight, c.weight))
        else:
            made = rebuilt(node, args)
        if node in kept:
            attrs = {**made.attrs, "copy": True}
            made = Node(made.op, made.args, made.type, attrs, made.spans, made.path)
        new[node] = made
        return made

    return rewrite(facts.graph, rule)


def _in_order(c: _Convolution) -> tuple[_Side, ...]:
    """Its sides as their axes lie."""
    axes = c.node.type.axes
    return tuple(sorted(c.sides, key=lambda s: axes.index(c.names.get(s.axis, s.axis))))


def _rebuilt(x: Node, new: dict[Node, Node]) -> Node:
    """An operand over the new nodes; one that was made here is over a node that was there."""
    if x in new or not x.args:
        return new.get(x, x)
    return rebuilt(x, tuple(_rebuilt(a, new) for a in x.args))


def _source(x: Node) -> Node:
    while is_view(x) and len(x.args) == 1 and "copy" not in x.attrs:
        x = x.args[0]
    return x


# ---- finding ----
def _forward(node: Node) -> _Convolution | None:
    """A dot of windows of x."""
    if node.op != "dot" or "part" in node.attrs:
        return None
    for windows, weight in (node.args, node.args[::-1]):
        x, found = _under_windows(windows)
        rest = set(node.attrs["over"]) - {attrs["tap"] for attrs in found.values()}
        plain = all(w["stride"] == w["dilation"] == 1 and not w["value"] for w in found.values())
        if len(found) != 2 or len(rest) != 1 or not plain:
            continue
        sides = tuple(
            _Side(axis, w["tap"], Size.of(w["before"]), Size.of(w["after"]), False)
            for axis, w in found.items()
        )
        (channel,) = rest
        convolution = _Convolution(node, x, weight, channel, sides, {})
        return convolution if _meets(convolution) else None
    return None


def _under_windows(node: Node) -> tuple[Node, dict[Axis, dict[str, Any]]]:
    """What windows are taken of, with the names of the top; their attributes by those names."""
    chain = []
    while node.op in ("window", "rename") or (node.op == "broadcast" and _permutes(node)):
        chain.append(node)
        node = node.args[0]
    names = {a: a for a in node.type.axes}
    windows: dict[Axis, dict[str, Any]] = {}
    for view in reversed(chain):
        mapping = dict(view.attrs["mapping"]) if view.op == "rename" else {}
        names = {a: mapping.get(now, now) for a, now in names.items()}
        windows = {
            mapping.get(a, a): {**w, "tap": mapping.get(w["tap"], w["tap"])}
            for a, w in windows.items()
        }
        if view.op == "window":
            if view.attrs["axis"] in windows:
                return node, {}
            windows[view.attrs["axis"]] = dict(view.attrs)
    return build.rename(node, names), windows


def _permutes(view: Node) -> bool:
    return "copy" not in view.attrs and len(view.type.dims) == len(view.args[0].type.dims)


def _backward(facts: Facts, node: Node) -> _Convolution | None:
    """The gradient by x: a convolution of the result's gradient by the flipped taps."""
    chain = unwindows(facts, node) if node.op == "unwindow" else []
    if len(chain) != 2 or any(n.attrs["stride"] != 1 or n.attrs["dilation"] != 1 for n in chain):
        return None
    product = fold_chain(chain[-1])[-1]
    if product not in facts.folded or product.op != "dot" or len(product.attrs["over"]) != 1:
        return None
    names = {a: a for a in product.type.axes}
    sides = []
    for view in (v for top in reversed(chain) for v in (*fold_chain(top)[-2::-1], top)):
        mapping = dict(view.attrs["mapping"]) if view.op == "rename" else {}
        names = {a: mapping.get(now, now) for a, now in names.items()}
        if view.op == "unwindow":
            before_names = {now: a for a, now in names.items()}
            axis, tap = before_names[view.attrs["axis"]], before_names[view.attrs["tap"]]
            around = [Size.of(TAPS - 1) - view.attrs[end] for end in ("before", "after")]
            sides.append(_Side(axis, tap, around[0], around[1], True))
            del names[tap]
    for x, weight in (product.args, product.args[::-1]):
        if all(weight.type.has(side.tap) and x.type.has(side.axis) for side in sides):
            (channel,) = product.attrs["over"]
            found = _Convolution(node, x, weight, channel, tuple(sides), names)
            return found if _meets(found) else None
    return None


def _meets(c: _Convolution) -> bool:
    """Whether x and the weights share the summed axis alone, and nothing is cut off x."""
    taps = {*c.taps}
    shared = {a for a in c.weight.type.axes if c.x.type.has(a)}
    if shared != {c.channel} or any(c.x.type.has(tap) for tap in taps):
        return False
    if any(not c.weight.type.has(tap) for tap in taps):
        return False
    return all(n.at_least(0) for side in c.sides for n in (side.before, side.after))


# ---- making ----
def _transformed(c: _Convolution, x: Node, weight: Node) -> Node:
    """The convolution by tiles; tiles have their elements outermost, their numbers inside."""
    ins = [Axis("tile_in", -next(_unique)) for _ in c.sides]
    outs = [Axis("tile_out", -next(_unique)) for _ in c.sides]
    wide = [Axis("wide", -next(_unique)) for _ in c.sides]
    results = [c.node.type.size(c.names.get(side.axis, side.axis)) for side in c.sides]
    for side, tap, size in zip(c.sides, wide, results, strict=True):
        before, after = side.before, side.after + size % TILE
        x = build.window(
            x, side.axis, tap, TILE + TAPS - 1, stride=TILE, before=before, after=after
        )
    for side, tap, element in zip(c.sides, wide, ins, strict=True):
        x = _combined(x, tap, _INPUT, element)
        weight = _combined(weight, side.tap, _flipped(_WEIGHT, side), element)
    (free,) = (a for a in weight.type.axes if a not in (*ins, c.channel))
    number, band = Axis("tiles", -next(_unique)), Axis("band", -next(_unique))
    counts = [(side.axis, x.type.size(side.axis)) for side in c.sides]
    x = build.merge(x, [axis for axis, _ in counts], number)
    tiles = c.band_tiles()
    bands = [band] if tiles else []
    if tiles:
        x = build.split(x, number, [(band, x.type.size(number) // tiles), (number, tiles)])
    rest = [a for a in x.type.axes if a not in (*ins, number, c.channel, band)]
    x = _stored(x, [*rest, *bands, *ins, number, c.channel], c.channel, bands)
    weight = _stored(weight, [*ins, c.channel, free], free)
    y = build.dot(x, weight, (c.channel,))
    attrs = {**y.attrs, "last": free, "apart": True, "bands": tuple(bands)}
    y = Node(y.op, y.args, y.type, attrs, c.node.spans, c.node.path)
    if tiles:
        y = build.merge(y, (band, number), number)
    y = build.split(y, number, counts)
    for side, element, out, size in zip(c.sides, ins, outs, results, strict=True):
        y = _combined(y, element, _RESULT, out)
        y = build.slice(build.merge(y, (side.axis, out), side.axis), side.axis, start=0, size=size)
    y = build.rename(y, {a: now for a, now in c.names.items() if y.type.has(a)})
    within = tiles and tiles < (counts[1][1].constant or 0)
    held = counts if within else counts[:1] if tiles else []
    along = [c.names.get(axis, axis) for axis, _ in held]
    return _stored(y, c.node.type.axes, c.names.get(free, free), along)


def _flipped(rows: tuple[Row, ...], side: _Side) -> tuple[Row, ...]:
    return tuple(row[::-1] for row in rows) if side.flipped else rows


def _combined(x: Node, axis: Axis, rows: Sequence[Row], into: Axis) -> Node:
    """Weighted sums of the elements along an axis, one for each row, along another axis."""
    found = [
        build.split(build.slice(x, axis, start=k, size=1), axis, ()) for k in range(len(rows[0]))
    ]
    sums = [_sum(row, found) for row in rows]
    return build.concat([build.broadcast(s, ((into, 1), *s.type.dims)) for s in sums], into)


def _sum(row: Row, elements: Sequence[Node]) -> Node:
    """Starts with an element that is added."""
    scale = max(row)
    used = sorted((k for k, n in enumerate(row) if n), key=lambda k: row[k] < 0)
    total = elements[used[0]]
    for k in used[1:]:
        total = (build.add if row[k] > 0 else build.sub)(total, elements[k])
    return total if scale == 1 else build.mul(total, build.const(scale, "f32"))


def _stored(x: Node, axes: Sequence[Axis], last: Axis, bands: Sequence[Axis] = ()) -> Node:
    """A node with memory and a kernel of its own, which may go along bands of some axes."""
    dims = tuple((a, x.type.size(a)) for a in axes)
    attrs = {"dims": dims, "copy": True, "apart": True, "last": last, "bands": tuple(bands)}
    return Node("broadcast", (x,), TensorType(x.type.dtype, dims), attrs, x.spans, x.path)
