"""Mean and variance over a batch of images from those of every image.

    S = sum x, V = sum (x - S / n)^2, both over the batch and k elements of each image

    s = sum x, q = sum (x - m)^2, r = sum (x - m) over each image, with m = s / k
    S = sum s, V = sum (q + (m - S / n) (2 r + k (m - S / n))) over the batch

which is exact (Chan, Golub and LeVeque 1979; r is what rounding m left). V needed a second reading
of the whole batch; q and r are computed while the image is in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from dlc.graph import Axis, Graph, Node, Size, rebuilt, rewrite
from dlc.ops import build as b
from dlc.schedule.facts import Facts, volume
from dlc.schedule.parts import WHOLE
from dlc.schedule.reduction import is_view

ELEMENTS = 32
"""Images of fewer elements a channel are summed as before: their moments would be much memory."""
NEAR = 1 << 20
"""Elements of an image, all channels, that the caches hold. Larger ones are summed as before too:
nothing would be saved, and a small batch of them has too few images for many threads."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A sum over a batch and the squared distances from its mean."""

    total: Node
    squares: Node

    @property
    def inside(self) -> tuple[Axis, ...]:
        """The axes of an image."""
        return tuple(a for a, n in self._summed() if n.constant is not None)

    @property
    def batch(self) -> tuple[Axis, ...]:
        """The axes of the batch."""
        return tuple(a for a, n in self._summed() if n.constant is None)

    def _summed(self) -> list[tuple[Axis, Size]]:
        x = self.total.args[0].type
        return [(a, x.size(a)) for a in self.total.attrs["over"]]

    @property
    def elements(self) -> int:
        """The elements of an image and channel."""
        return prod(n.constant or 1 for _, n in self._summed())


def with_moments(facts: Facts) -> Graph:
    """The graph with variances from moments of images."""
    pairs = [p for n in facts.nodes if (p := _pair(n)) is not None and _suits(facts, p)]
    totals, squares = {p.total: p for p in pairs}, {p.squares: p for p in pairs}
    if not pairs:
        return facts.graph
    sums: dict[Node, Node] = {}

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        with b.origin(node.spans, node.path):
            if node in totals:
                sums[node] = _whole(b.reduce_sum(args[0], totals[node].inside))
                return b.reduce_sum(sums[node], totals[node].batch)
            if node in squares:
                pair = squares[node]
                return _squares(pair, args[0], sums[pair.total])
        return rebuilt(node, args)

    return rewrite(facts.graph, rule)


def _squares(pair: _Pair, square: Node, total: Node) -> Node:
    """The squared distances from the mean of all, by those from the mean of each image."""
    x, mean = square.args[0].args
    own = b.mul(total, 1 / pair.elements)
    apart, far = b.sub(x, own), b.sub(own, mean)
    inside = _whole(b.reduce_sum(b.mul(apart, apart), pair.inside))
    left = _whole(b.reduce_sum(apart, pair.inside))
    moved = b.add(b.add(left, left), b.mul(far, pair.elements))
    return b.reduce_sum(b.add(inside, b.mul(far, moved)), pair.batch)


def _whole(node: Node) -> Node:
    """A sum that is not cut in parts: threads have images."""
    attrs = {**node.attrs, WHOLE: True}
    return Node(node.op, node.args, node.type, attrs, node.spans, node.path)


def _pair(node: Node) -> _Pair | None:
    """A sum of (x - S / n)^2 over what S sums x over."""
    if node.op != "reduce_sum" or node.args[0].op != "mul":
        return None
    apart, other = node.args[0].args
    if apart is not other or apart.op != "sub" or apart.args[1].op != "div":
        return None
    x, mean = apart.args
    total = mean.args[0]
    over = set(node.attrs["over"])
    alike = total.op == "reduce_sum" and set(total.attrs["over"]) == over
    alike = alike and not over & set(mean.type.axes)  # one mean for all that is summed
    return _Pair(total, node) if alike and total.args[0] is x else None


def _suits(facts: Facts, pair: _Pair) -> bool:
    """Whether each image is in memory, large enough, and small enough for the caches."""
    image = pair.elements * volume(pair.total.type.sizes)
    x = pair.total.args[0]
    while is_view(x) and len(x.args) == 1 and "copy" not in x.attrs:
        x = x.args[0]
    known = facts.stored(x) and pair.total.type.dtype in ("f32", "f64")
    return known and len(pair.batch) == 1 and pair.elements >= ELEMENTS and image <= NEAR
