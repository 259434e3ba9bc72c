"""Convolutions by windows of 3 x 3 and their gradients: where a graph has them.

And whether transformed tiles (`winograd.py`) take less than the plain sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from dlc.graph import Axis, Node, Size
from dlc.ops import build
from dlc.schedule.facts import Facts
from dlc.schedule.index import count_inside
from dlc.schedule.parts import RESULT
from dlc.schedule.phases import unwindows
from dlc.schedule.reduction import fold_chain

CHANNELS = 16
"""The fewest channels on both sides that pay for the transformations."""
TILE, TAPS = 2, 3
"""Results along a side of a tile, and the taps of each."""
OTHERS, FEWEST = 8 * 1024, 7
"""Bands of tiles stay in the first cache, with all weights and some bytes for others if these have
room, else alone: weights are then read again for each band, so they may take half as much again as
that cache. A band has so many tiles at least, for the rows of a register tile."""
SUMMED_IMAGE = 7 << 18
"""The most bytes of an image's tiles, of x and of the gradient, whose products parts sum."""


@dataclass(frozen=True, slots=True)
class Price:
    """What transformations cost, in channels a b / (a + b) of the products of an element."""

    plain: int
    banded: int
    """Where they go through the first cache band by band."""
    cut: int
    """Where the last tiles are cut off."""
    far: tuple[tuple[int, int], ...]
    """Where the tiles of an image take more than so many bytes, they go far, and at least so many
    channels are wanted."""


NARROW = Price(6, 6, 8, ((3 << 19, 18),))
WIDE = Price(10, 7, 12, ((3 << 19, 18), (1 << 24, 40)))


@dataclass(frozen=True, slots=True)
class Side:
    """One spatial axis, as the dot calls it: its taps, the zeros around x, the results along it."""

    axis: Axis
    tap: Axis
    before: Size
    after: Size
    flipped: bool
    """Whether the last tap meets the first element of a window."""

    def turned(self) -> Side:
        """The side of the gradient by x."""
        before, after = (Size.of(TAPS - 1) - n for n in (self.before, self.after))
        return Side(self.axis, self.tap, before, after, not self.flipped)

    def met(self, results: int) -> int:
        """How many of the taps of so many results meet no zero around x."""
        before, after = self.before.constant or 0, self.after.constant or 0
        size = results + TAPS - 1 - before - after
        return count_inside(-before, (1, 1), (TAPS, results), size)


@dataclass(frozen=True, slots=True)
class Convolution:
    """A dot, or the unwindows above one, that is a convolution by 3 x 3 taps."""

    node: Node
    x: Node
    weight: Node
    channel: Axis
    """The summed axis."""
    sides: tuple[Side, ...]
    names: dict[Axis, Axis]
    """Of the dot's axes those that the node calls otherwise."""
    cache: int = 0
    """Bytes of the first cache."""

    def pays(self, price: Price) -> bool:
        """Whether it takes less than the plain sum."""
        free = [a for a in self.weight.type.axes if a not in (*self.taps, self.channel)]
        sizes = [self.weight.type.size(a).constant for a in (*free, self.channel)]
        if len(sizes) != 2 or any(n is None or n < CHANNELS for n in sizes):
            return False
        results = [n.constant for n in self.results]
        taps = [self.weight.type.size(tap).constant for tap in self.taps]
        if None in results or taps != [TAPS, TAPS] or self.node.type.dtype != "f32":
            return False
        counts, (a, b) = [n or 0 for n in results], [n or 0 for n in sizes]
        image = _tile_bytes(a + b, counts)
        if any(image > size and a * b < least * (a + b) for size, least in price.far):
            return False
        plain, tiled = _products(self.sides, counts, counts)
        cost = price.banded if self.band_tiles() else price.plain
        cost = price.cut if any(n % TILE for n in counts) else cost
        return a * b * (plain - tiled) > cost * (a + b) * tiled

    @property
    def windows(self) -> set[tuple[Axis, Size, Size, Size]]:
        """What its tiles depend on."""
        pairs = zip(self.sides, self.results, strict=True)
        return {(side.axis, side.before, side.after, size) for side, size in pairs}

    @property
    def results(self) -> list[Size]:
        """How many there are along each side."""
        return [self.node.type.size(axis) for axis in self.result_axes()]

    def tiles(self) -> tuple[int, ...]:
        """How many tiles there are along each side."""
        return tuple(-(-(n.constant or 0) // TILE) for n in self.results)

    def band_tiles(self) -> int:
        """How many tiles of an image go through the first cache together; 0 for all of them."""
        if not self.cache:
            return 0
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

    def result_axes(self) -> list[Axis]:
        """The sides as the results call them."""
        return [self.names.get(side.axis, side.axis) for side in self.sides]

    def band_axes(self) -> list[Axis]:
        """Those of which a unit of what follows the tiles has one place."""
        tiles, width = self.band_tiles(), self.tiles()[1]
        return self.result_axes()[: 2 if tiles < width else 1] if tiles else []

    @property
    def taps(self) -> tuple[Axis, ...]:
        """The axes of the taps."""
        return tuple(side.tap for side in self.sides)


def _tile_bytes(channels: int, results: Sequence[int]) -> int:
    """Of an image's transformed tiles, which have 4 elements for each result."""
    return 16 * channels * prod(results)


def _products(sides: Sequence[Side], results: list[int], tiled: list[int]) -> tuple[int, int]:
    """Products of an image for each pair of channels: plainly, and by tiles of so many places."""
    plain = prod(side.met(n) for side, n in zip(sides, results, strict=True))
    return plain, prod((TILE + TAPS - 1) * -(-n // TILE) for n in tiled)


def forward(node: Node) -> Convolution | None:
    """A dot of windows of x."""
    if node.op != "dot" or "part" in node.attrs:
        return None
    for x, sides, weight in _windowed(node):
        rest = set(node.attrs["over"]) - {side.tap for side in sides}
        if len(rest) == 1:
            (channel,) = rest
            found = Convolution(node, x, weight, channel, sides, {})
            return found if _meets(found) else None
    return None


def _windowed(dot: Node) -> Iterator[tuple[Node, tuple[Side, ...], Node]]:
    """What plain windows along two axes are taken of, with their sides, and the other operand."""
    for windows, other in (dot.args, dot.args[::-1]):
        x, found = _under_windows(windows)
        plain = all(w["stride"] == w["dilation"] == 1 and not w["value"] for w in found.values())
        if len(found) == 2 and plain:
            sides = (
                Side(axis, w["tap"], Size.of(w["before"]), Size.of(w["after"]), False)
                for axis, w in found.items()
            )
            yield x, tuple(sides), other


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


def backward(facts: Facts, node: Node) -> Convolution | None:
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
            before, after = (Size.of(view.attrs[end]) for end in ("before", "after"))
            sides.append(Side(axis, tap, before, after, False).turned())
            del names[tap]
    for x, weight in (product.args, product.args[::-1]):
        if all(weight.type.has(side.tap) and x.type.has(side.axis) for side in sides):
            (channel,) = product.attrs["over"]
            found = Convolution(node, x, weight, channel, tuple(sides), names)
            return found if _meets(found) else None
    return None


@dataclass(frozen=True, slots=True)
class WeightGradient:
    """A dot that is the gradient by 3 x 3 weights: sums over the results of windows of x."""

    node: Node
    x: Node
    gradient: Node
    """Of the results, whose axes are those of x."""
    sides: tuple[Side, ...]
    channel: Axis
    """Of x, which is not summed."""

    def pays(self, price: Price) -> bool:
        """Whether it takes less than the plain sum."""
        b = prod(n.constant or 0 for a, n in self.gradient.type.dims if self.node.type.has(a))
        a = self.x.type.size(self.channel).constant or 0
        counts = [self.x.type.size(side.axis).constant or 0 for side in self.sides]
        if min(a, b) < CHANNELS or 0 in counts:
            return False
        in_parts = (TILE + TAPS - 1) ** 2 * a * b <= RESULT
        if in_parts and _tile_bytes(a + b, counts) > SUMMED_IMAGE:
            return False
        results = [self.gradient.type.size(side.axis).constant or 0 for side in self.sides]
        plain, tiled = _products(self.sides, results, counts)
        saved = plain - tiled
        return 2 * saved >= tiled and a * b * saved > price.plain * (a + b) * tiled

    def met(self, by_x: Mapping[Node, Convolution]) -> Convolution:
        """Whose tiles of the results' gradient serve: those of the gradient by x, if it has any."""
        (channel,) = (a for a in self.gradient.type.axes if self.node.type.has(a))
        sides = tuple(side.turned() for side in self.sides)
        own = Convolution(self.x, self.gradient, self.x, channel, sides, {})
        other = by_x.get(self.gradient)
        return other if other is not None and other.windows == own.windows else own


def by_weights(node: Node) -> WeightGradient | None:
    """A dot of windows of x and the results' gradient, over all but the channels and taps."""
    if node.op != "dot" or "part" in node.attrs or node.type.dtype != "f32":
        return None
    over = set(node.attrs["over"])
    for x, sides, gradient in _windowed(node):
        if not all(side.axis in over and side.tap not in over for side in sides):
            continue
        own = [a for a in x.type.axes if a not in over]
        others = [a for a in gradient.type.axes if a not in over]
        ends = [n for side in map(Side.turned, sides) for n in (side.before, side.after)]
        fits = all(node.type.size(side.tap).constant == TAPS for side in sides)
        fits = fits and all(n.at_least(0) for n in ends)
        apart = len(own) == len(others) == 1 and own != others
        return WeightGradient(node, x, gradient, sides, own[0]) if fits and apart else None
    return None


def _meets(c: Convolution) -> bool:
    """Whether x and the weights share the summed axis alone, and nothing is cut off x."""
    taps = {*c.taps}
    shared = {a for a in c.weight.type.axes if c.x.type.has(a)}
    if shared != {c.channel} or any(c.x.type.has(tap) for tap in taps):
        return False
    if any(not c.weight.type.has(tap) for tap in taps):
        return False
    return all(n.at_least(0) for side in c.sides for n in (side.before, side.after))
