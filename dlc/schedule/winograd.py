"""Convolutions by windows of 3 x 3 as products of transformed tiles: Winograd's F(2 x 2, 3 x 3).

    y = dot(window(window(x)), w, over=(C, TY, TX))

becomes, with 4 x 4 elements of x for each 2 x 2 of y,

    y = A' dot(B' x B, G w G', over=C) A

The 16 products of a tile replace 36, so a convolution and the gradient by its input take 2.25 times
fewer multiply-adds. Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015.

The gradient by the weights takes the same tiles of the results' gradient g, and pairs of x:

    dw = S' sum(P' x P * B' g B, over=tiles) S
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dlc.graph import Axis, Graph, Node, Size, TensorType, rebuilt, rewrite
from dlc.ops import build
from dlc.schedule.convolutions import (
    NARROW,
    TAPS,
    TILE,
    WIDE,
    Convolution,
    Side,
    WeightGradient,
    backward,
    by_weights,
    forward,
)
from dlc.schedule.facts import Facts
from dlc.schedule.pools import pools_of
from dlc.schedule.reduction import is_view
from dlc.schedule.tile import Target

Row = tuple[float, ...]
_INPUT: tuple[Row, ...] = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_WEIGHT: tuple[Row, ...] = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_RESULT: tuple[Row, ...] = ((1, 1, 1, 0), (0, 1, -1, -1))
_PAIR: tuple[Row, ...] = ((1, 0), (0.5, 0.5), (0.5, -0.5), (0, 1))
_TAPS: tuple[Row, ...] = ((1, 1, 1, 0), (0, 1, -1, 0), (0, 1, 1, -1))
_unique = itertools.count(1)


def with_winograd(facts: Facts, target: Target) -> Graph:
    """The graph with convolutions and gradients by transformed tiles, where that takes less."""
    price = WIDE if target.wide else NARROW
    every = [c for n in facts.real if (c := forward(n) or backward(facts, n)) is not None]
    every = [replace(c, sides=_in_order(c), cache=target.first_cache) for c in every]
    found = {c.node: c for c in every if c.pays(price)}
    sums = {n: s for n in facts.real if (s := by_weights(n)) is not None and s.pays(price)}
    if not found and not sums:
        return facts.graph
    return rewrite(facts.graph, _Rule(facts, found, sums))


class _Rule:
    """Makes the nodes of the new graph, in order."""

    def __init__(
        self,
        facts: Facts,
        found: Mapping[Node, Convolution],
        sums: Mapping[Node, WeightGradient],
    ) -> None:
        self._facts, self._found, self._sums = facts, found, sums
        self._by_gradient = {c.x: c for c in found.values() if c.sides[0].flipped}
        given = {n for n in facts.nodes if n.op in ("input", "table")}
        read = {p for n in [*found, *sums] for p in facts.sources(n)} - given
        self._again = {p for p in read if facts.quick(p)}
        self._kept = read - self._again
        self._outside = given | facts.outputs | self._again
        self._bands: dict[Node, tuple[Axis, ...]] = {}
        self._new: dict[Node, Node] = {}
        self._copies: dict[Node, Node] = {}
        self._tiles: dict[tuple[Node, tuple[Side, ...]], _Tiles] = {}

    def __call__(self, node: Node, args: tuple[Node, ...]) -> Node:
        """The new node for one of the old graph, over new arguments."""
        with build.origin(node.spans, node.path):
            if node in self._found:
                c = self._found[node]
                weight = self._new.get(c.weight, c.weight)
                pools = self._pools(c)
                made = _transformed(c, self._tiles_of(c), weight, whole=bool(pools))
                self._bands |= pools
            elif node in self._sums:
                s = self._sums[node]
                made = _summed(s, self._tiles_of(s.met(self._by_gradient)), self._pairs_of(s.x))
            else:
                made = rebuilt(node, args)
        if bands := self._bands.get(node):
            made = _with(made, bands=bands)
        if node in self._kept:
            made = _with(made, copy=True)
        self._new[node] = made
        return made

    def _pools(self, c: Convolution) -> dict[Node, tuple[Axis, ...]]:
        """What reduces whole tiles, if all that reads the results does, with the axes of bands."""
        pools, sides = pools_of(self._facts, c.node), c.result_axes()
        if pools is None or pools.windows != dict.fromkeys(sides, TILE):
            return {}
        along = c.band_axes()
        return {node: tuple(names[axis] for axis in along) for node, names in pools.names.items()}

    def _tiles_of(self, c: Convolution) -> _Tiles:
        """The gradient by x and that by the weights share the tiles of what both are made of."""
        if (c.x, c.sides) not in self._tiles:
            self._tiles[c.x, c.sides] = _tiles(c, self._copied(c.x))
        return self._tiles[c.x, c.sides]

    def _copied(self, x: Node) -> Node:
        """An operand over the new nodes, in memory: zeros around it are then no tests."""
        made = _rebuilt(x, self._new)
        if _source(x) not in self._outside:
            return made
        if x not in self._copies:
            attrs = {"dims": made.type.dims, "copy": True}
            self._copies[x] = Node("broadcast", (made,), made.type, attrs, made.spans)
        return self._copies[x]

    def _pairs_of(self, x: Node) -> Node:
        """What is cut in pairs: computed again where that is quick, and no zeros are around it."""
        cut = any((n.constant or 0) % TILE for n in x.type.sizes)
        again = _source(x) in self._again and not cut
        return _rebuilt(x, self._new) if again else self._copied(x)


def _with(node: Node, **attrs: object) -> Node:
    """A node with attributes for the scheduler."""
    return Node(node.op, node.args, node.type, {**node.attrs, **attrs}, node.spans, node.path)


def _in_order(c: Convolution) -> tuple[Side, ...]:
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


@dataclass(frozen=True, slots=True)
class _Tiles:
    """Transformed tiles of an array: its memory, with the axes of elements, tiles and bands."""

    node: Node
    ins: tuple[Axis, ...]
    number: Axis
    bands: tuple[Axis, ...]
    counts: tuple[tuple[Axis, Size], ...]
    """How many tiles there are along each of the array's axes."""

    def numbered(self, x: Node) -> Node:
        """An array of tiles with their number, and their band, instead of their places."""
        x = build.merge(x, [axis for axis, _ in self.counts], self.number)
        if not self.bands:
            return x
        (band,), within = self.bands, self.node.type.size(self.number)
        count = self.node.type.size(band)
        return build.split(x, self.number, [(band, count), (self.number, within)])

    def stored(self, x: Node, last: Axis, bands: Sequence[Axis] = ()) -> Node:
        """Such an array in memory: tiles have their elements outermost, their numbers inside."""
        inner = (*self.bands, *self.ins, self.number, last)
        return _stored(x, [*(a for a in x.type.axes if a not in inner), *inner], last, bands)


def _tiles(c: Convolution, x: Node) -> _Tiles:
    """The tiles of x for a convolution's results."""
    ins = tuple(Axis("tile_in", -next(_unique)) for _ in c.sides)
    wide = [Axis("wide", -next(_unique)) for _ in c.sides]
    for side, tap, size in zip(c.sides, wide, c.results, strict=True):
        before, after = side.before, side.after + size % TILE
        x = build.window(
            x, side.axis, tap, TILE + TAPS - 1, stride=TILE, before=before, after=after
        )
    for tap, element in zip(wide, ins, strict=True):
        x = _combined(x, tap, _INPUT, element)
    number, band = Axis("tiles", -next(_unique)), Axis("band", -next(_unique))
    counts = tuple((side.axis, x.type.size(side.axis)) for side in c.sides)
    each = c.band_tiles()
    made = _Tiles(x, ins, number, (band,) if each else (), counts)
    x = build.merge(x, [axis for axis, _ in counts], number)
    if each:
        x = build.split(x, number, [(band, x.type.size(number) // each), (number, each)])
    return replace(made, node=made.stored(x, c.channel, made.bands))


def _transformed(c: Convolution, x: _Tiles, weight: Node, *, whole: bool) -> Node:
    """The convolution as products of tiles with transformed weights.

    Where whole tiles are reduced, what reduces them computes the results.
    """
    outs = [Axis("tile_out", -next(_unique)) for _ in c.sides]
    for side, element in zip(c.sides, x.ins, strict=True):
        weight = _combined(weight, side.tap, _flipped(_WEIGHT, side), element)
    (free,) = (a for a in weight.type.axes if a not in (*x.ins, c.channel))
    weight = _stored(weight, [*x.ins, c.channel, free], free)
    y = build.dot(x.node, weight, (c.channel,))
    attrs = {**y.attrs, "last": free, "apart": True, "bands": x.bands}
    y = Node(y.op, y.args, y.type, attrs, c.node.spans, c.node.path)
    if x.bands:
        y = build.merge(y, (*x.bands, x.number), x.number)
    y = build.split(y, x.number, x.counts)
    for side, element, out, size in zip(c.sides, x.ins, outs, c.results, strict=True):
        y = _combined(y, element, _RESULT, out)
        y = build.slice(build.merge(y, (side.axis, out), side.axis), side.axis, start=0, size=size)
    y = build.rename(y, {a: now for a, now in c.names.items() if y.type.has(a)})
    if whole:
        return build.broadcast(y, c.node.type.dims)
    return _stored(y, c.node.type.axes, c.names.get(free, free), c.band_axes())


def _summed(s: WeightGradient, gradient: _Tiles, x: Node) -> Node:
    """The gradient by weights as products of tiles of the results' gradient and pairs of x."""
    pairs = [Axis("pair", -next(_unique)) for _ in s.sides]
    places = dict(zip((axis for axis, _ in gradient.counts), gradient.ins, strict=True))
    for axis, pair in zip(places, pairs, strict=True):  # zeros around x are then no tests
        x = build.window(x, axis, pair, TILE, stride=TILE, after=x.type.size(axis) % TILE)
    for element, pair in zip(gradient.ins, pairs, strict=True):
        x = _combined(x, pair, _PAIR, element)
    x = gradient.stored(gradient.numbered(x), s.channel)
    summed = [a for a in x.type.axes if a not in (*gradient.ins, s.channel)]
    y = build.dot(x, gradient.node, summed)
    attrs = {**y.attrs, "copy": True, "apart": True}
    y = Node(y.op, y.args, y.type, attrs, s.node.spans, s.node.path)
    for side in s.sides:  # the first tap meets the last element
        y = _combined(y, places[side.axis], _TAPS[::-1], side.tap)
    return build.broadcast(y, s.node.type.dims)


def _flipped(rows: tuple[Row, ...], side: Side) -> tuple[Row, ...]:
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
