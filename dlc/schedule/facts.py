"""What the scheduler knows of a graph: what has memory, what shares loops, what reads what."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dlc.graph import UPDATE, Axis, Graph, Node, Size, TensorType, users
from dlc.ops import REGISTRY
from dlc.schedule.access import Access, Env, Tests, own_env
from dlc.schedule.index import Affine, Iter, at, data_atoms, renamed
from dlc.schedule.kernel import Expr, Test
from dlc.schedule.reduction import (
    Loops,
    Reduction,
    fold_chain,
    is_view,
    reduces,
    reduction,
)

DEAR = 8
"""A value that several kernels read is stored when computing it costs more vector operations."""
STENCIL = 3
"""The same for a value that a window reads, several times an element."""
DRAW = 30
"""Vector operations of a random number."""
SCALAR = 3
"""A scalar that a tensor meets is computed once, not for every element."""
SPREAD, MANY = 16, 1 << 15
"""The same for a small tensor that meets one so many times larger, of so many elements."""
SPARED = 4
"""A value that several read is stored too when that spares so many reads: each would read all
arrays of its size, of `MANY` elements or more, that it is computed from."""
DEPTH = 40
"""A chain of so many maps is cut by a stored value: expressions stay small."""
TYPICAL = 64
"""What a run-time size counts as in estimates."""
PART = Axis("part", 0)
"""The axis over parts of every node that is summed in parts; all kernels call its loop so."""
_unique = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Reading:
    """One element of `source` that a node's element needs."""

    source: Node
    env: Env
    tests: Tests

    @property
    def plain(self) -> bool:
        """Whether no data decides which element it is."""
        indices = [*self.env.values(), *(t.index for t in self.tests)]
        return not any(True for i in indices for _ in data_atoms(i))

    def renamed(self, loops: Mapping[Iter, Iter]) -> Reading:
        """The same reading, which is plain, in other loops."""
        env = {a: renamed(i, loops) for a, i in self.env.items()}
        return Reading(
            self.source, env, tuple(Test(renamed(t.index, loops), t.size) for t in self.tests)
        )


Below = tuple[frozenset[Node], frozenset[Node]]
"""A node with what is computed where it is, and the stored nodes that this reads."""


@dataclass(slots=True)
class Facts:
    """Facts of a graph, found once; later stages only read them.

    `find_facts` finds what has memory, which is what changes of the graph ask for; `find_readings`
    finds the rest.
    """

    graph: Graph
    nodes: tuple[Node, ...] = ()
    users: dict[Node, list[Node]] = field(default_factory=dict)
    real: dict[Node, None] = field(default_factory=dict)
    folded: frozenset[Node] = frozenset()
    canon: dict[Node, dict[Axis, Axis]] = field(default_factory=dict)
    readings: dict[Node, tuple[Reading, ...]] = field(default_factory=dict)
    made: dict[Node, Below] = field(default_factory=dict)
    """What real nodes are computed from."""
    windowed: set[Axis] = field(default_factory=set)
    """Canonical axes that some node reads at another place than its own."""
    outputs: set[Node] = field(default_factory=set)
    parts: dict[tuple[Axis, tuple[Size, ...], int], Axis] = field(default_factory=dict)
    """The names of loops over parts of axes: of the axis, the sizes, and the place among them."""
    given: dict[Axis, Axis] = field(default_factory=dict)
    """The names of loops over the axes of inputs: those that share an axis share its loop."""
    walked: dict[tuple[Node, Axis], Axis] = field(default_factory=dict)
    """The names of loops over axes of what reductions share as their operand."""
    _free: dict[Node, dict[Axis, Iter]] = field(default_factory=dict)
    _producers: dict[Node, tuple[Node, ...]] = field(default_factory=dict)

    def stored(self, node: Node) -> bool:
        """Whether a node has memory: inputs, tables and real nodes."""
        return node in self.real or node.op in ("input", "table")

    def stays(self, node: Node) -> bool:
        """Whether a node is a weight or a state that nothing in the graph changes."""
        bound = node.op == "input" and node.attrs["role"] in ("param", "state")
        return bound and UPDATE + node.attrs["name"] not in self.graph.outputs

    def loop(self, node: Node, axis: Axis, size: Size) -> Iter:
        """The loop of `node` over one of its free or reduced axes."""
        table = self.canon.setdefault(node, {})
        if axis not in table:
            names = self.given if node.op in ("input", "table") else table
            table[axis] = names.setdefault(axis, Axis(axis.name, -next(_unique)))
        return Iter(table[axis], size)

    def free(self, node: Node) -> Mapping[Axis, Iter]:
        """The loops over a node's own axes; those of size 1 have none.

        A merged axis has a loop for each of its parts, which are what it is computed from.
        """
        if node not in self._free:
            dims = [(a, n) for a, n in _walked(node).dims if n != Size.of(1)]
            self._free[node] = {a: self.loop(node, a, n) for a, n in dims}
        return self._free[node]

    def env(self, node: Node) -> Env:
        """The index of a node at its own loops."""
        return _own_env(node, self.free(node))

    def reduction(self, node: Node) -> Reduction:
        """The reduction of a node at its own loops."""
        return reduction(node, self.env(node), self.loop, self.folded)

    def sources(self, node: Node) -> frozenset[Node]:
        """The stored nodes that a real node is computed from."""
        return self.made[node][1]

    def producers(self, node: Node) -> tuple[Node, ...]:
        """The stored nodes that a real node reads."""
        if node not in self._producers:
            self._producers[node] = tuple(dict.fromkeys(r.source for r in self.readings[node]))
        return self._producers[node]

    def quick(self, node: Node) -> bool:
        """Whether a stored map is as well computed again from one array of its size."""
        if node in self.outputs or node not in self.made:
            return False
        inside, sources = self.made[node]
        maps = all(REGISTRY[n.op].kind in ("map", "view") or not n.args for n in inside)
        return maps and _price(inside) <= DEAR and _wide(node, sources) == 1


def _walked(node: Node) -> TensorType:
    """The axes that a node's loops walk along."""
    return node.args[0].type if node.op == "merge" else node.type


def _own_env(node: Node, iters: Mapping[Axis, Iter]) -> Env:
    env = own_env(node.args[0] if node.op == "merge" else node, iters)
    if node.op == "merge":
        whole = Affine()
        for axis in node.attrs["axes"]:
            whole = whole * _walked(node).size(axis) + env[axis]
        env = {a: env[a] for a in node.type.axes if a != node.attrs["into"]}
        env[node.attrs["into"]] = whole
    return env


def find_facts(graph: Graph) -> Facts:
    """What has memory in a graph, and what that is computed from."""
    facts = Facts(graph)
    facts.nodes = graph.nodes
    facts.users = users(facts.nodes)
    facts.outputs = set(graph.outputs.values())
    facts.folded = _folded(facts)
    _find_real(facts)
    return facts


def find_readings(facts: Facts) -> Facts:
    """The same facts, with where real nodes read what, and the names of their loops."""
    for node in facts.real:
        _read(facts, node)
    return facts


def estimate(size: Size) -> int:
    """A typical number for a size."""
    return max(1, size.value(dict.fromkeys(size.symbols, TYPICAL)))


def volume(sizes: Iterable[Size]) -> int:
    """The product of typical sizes."""
    total = 1
    for size in sizes:
        total *= estimate(size)
    return total


def is_contraction(facts: Facts, node: Node) -> bool:
    """Whether a node is a dot, or an unwindow that sums one."""
    while node.op == "unwindow" and fold_chain(node)[-1] in facts.folded:
        node = fold_chain(node)[-1]
    return node.op == "dot"


def _folded(facts: Facts) -> frozenset[Node]:
    """Dots and unwindows that only an unwindow reads, through views of the same elements."""
    found: set[Node] = set()
    for node in facts.nodes:
        if node.op != "unwindow":
            continue
        chain = fold_chain(node)
        base = chain[-1]
        single = all(len(facts.users[c]) == 1 and c not in facts.outputs for c in chain)
        plain = all(c.op in ("rename", "broadcast") and _same_elements(c) for c in chain[:-1])
        if single and plain and base.op in ("dot", "unwindow"):
            found.add(base)
    return frozenset(found)


def _same_elements(view: Node) -> bool:
    return len(view.type.dims) == len(view.args[0].type.dims)


def _find_real(facts: Facts) -> None:
    dot_reads = _dot_operands(facts)
    depth: dict[Node, int] = {}
    below: dict[Node, Below] = {}
    for node in facts.nodes:
        if node.op in ("input", "table"):
            depth[node], below[node] = 0, (frozenset(), frozenset((node,)))
            continue
        depth[node] = 1 + max((depth[a] for a in node.args), default=0)
        inside = frozenset((node,)).union(*(below[a][0] for a in node.args))
        below[node] = inside, frozenset[Node]().union(*(below[a][1] for a in node.args))
        real = node in facts.outputs or node in dot_reads or "copy" in node.attrs
        kind = REGISTRY[node.op].kind
        if node not in facts.folded:
            real |= reduces(node) or kind == "sort"
            real |= node.op == "scatter" and bool(node.attrs["over"])
        if kind in ("map", "random", "gather"):
            real |= depth[node] > DEPTH or _pays(facts, node, *below[node])
        if real:
            facts.real[node] = None
            facts.made[node] = below[node]
            depth[node], below[node] = 0, (frozenset(), frozenset((node,)))


def _price(inside: Iterable[Node]) -> int:
    """Vector operations of nodes, each counted once."""
    return sum(map(_cost, inside))


def _cost(node: Node) -> int:
    """Vector operations of a node itself."""
    record = REGISTRY[node.op]
    return DRAW if node.op == "uniform" else record.cost if record.kind == "map" else 0


def _pays(facts: Facts, node: Node, inside: Iterable[Node], sources: Iterable[Node]) -> bool:
    """Whether a map is better computed once than wherever it is read."""
    price = _price(inside)
    readers = [u for u in facts.users[node] if u.op != "stop_gradient"]
    if not node.type.dims:
        return price > SCALAR and any(u.type.dims for u in readers)
    if len(readers) > 1 and price > DEAR:
        return True
    if (_wide(node, sources) - 1) * len(_readers(facts, node)) >= SPARED:
        return True
    if price > STENCIL and _under_window(facts, node):
        return True
    small = max(volume(node.type.sizes) * SPREAD, MANY)
    return price > SCALAR and any(volume(u.type.sizes) >= small for u in readers)


def _readers(facts: Facts, node: Node) -> set[Node]:
    """What computes with a node, through views."""
    found: set[Node] = set()
    todo, seen = [node], set[Node]()
    while todo:
        for user in facts.users[todo.pop()]:
            if user in seen:
                continue
            seen.add(user)
            if is_view(user) and "copy" not in user.attrs:
                todo.append(user)
            elif user.op != "stop_gradient":
                found.add(user)
    return found


def _wide(node: Node, sources: Iterable[Node]) -> int:
    """How many of the arrays that a node is computed from are large, and as large as it is."""
    least = max(volume(node.type.sizes), MANY)
    return sum(volume(s.type.sizes) >= least for s in sources)


def _dot_operands(facts: Facts) -> set[Node]:
    """What dots read through views, and sorts read: never computed in their inner loops."""
    found: set[Node] = set()
    for node in facts.nodes:
        if node.op == "argsort" and node.args[0].op != "input":
            found.add(node.args[0])
        if node.op != "dot":
            continue
        todo = list(node.args)
        while todo:
            below = todo.pop()
            if below.op == "merge" and _computed(below):
                found.add(below)  # its parts would be read by quotients and remainders
            elif below.op == "stop_gradient" or _read_through(below):
                todo.extend(below.args[:1] if "within" in below.attrs else below.args)
            elif below.op != "input":
                found.add(below)
    return found - facts.folded


def _read_through(node: Node) -> bool:
    """Whether a product computes where a node lies in what the node is of."""
    return (is_view(node) and "copy" not in node.attrs) or "within" in node.attrs


def _computed(view: Node) -> bool:
    """Whether there is more than views between a node and the inputs."""
    while is_view(view) and len(view.args) == 1:
        view = view.args[0]
    return view.op not in ("input", "table")


def _under_window(facts: Facts, node: Node) -> bool:
    todo, seen = list(facts.users[node]), set[Node]()
    while todo:
        user = todo.pop()
        if user in seen:
            continue
        seen.add(user)
        if user.op == "unwindow" or (user.op == "window" and _overlaps(user)):
            return True
        if is_view(user) and "copy" not in user.attrs:
            todo += facts.users[user]
    return False


def _overlaps(window: Node) -> bool:
    """Whether an element is in several windows."""
    size, stride = window.type.size(window.attrs["tap"]), window.attrs["stride"]
    return size.constant is None or size.constant > stride


def _read(facts: Facts, node: Node) -> None:
    """Find what a real node reads, and name its loops after those of what it reads."""
    probe = {a: Iter(Axis(a.name, -next(_unique)), n) for a, n in _walked(node).dims}
    reduced: dict[Axis, Iter] = {}

    def loop(owner: Node, axis: Axis, size: Size) -> Iter:
        key = Axis(f"{axis.name}#{id(owner)}", axis.scope)
        if key not in reduced:
            reduced[key] = Iter(Axis(axis.name, -next(_unique)), size)
            owners.append((owner, axis, reduced[key]))
        return reduced[key]

    owners: list[tuple[Node, Axis, Iter]] = []
    env = _own_env(node, probe)
    readings = _probe(facts, node, env, loop)
    taken: set[Axis] = set()
    found = sorted(readings, key=lambda r: r.source.op in ("input", "table"))
    every = [*((node, a, i) for a, i in probe.items()), *owners]
    for owner, axis, iter in every:
        names = facts.canon.setdefault(owner, {})
        name = axis if axis == PART else _inherited(facts, iter, found, taken)
        name = name or _part_of(facts, iter, found, taken)
        names[axis] = name if name is not None else _new_name(facts, owner, axis)
        taken.add(names[axis])
    loops = {i: facts.loop(o, a, i.size) for o, a, i in every}
    if all(r.plain for r in readings):
        readings = [r.renamed(loops) for r in readings]
    else:
        readings = _probe(facts, node, facts.env(node), facts.loop)
    facts.readings[node] = tuple(readings)
    for reading in readings:
        for axis, index in reading.env.items():
            simple = not index.terms or (index.const == Size() and len(index.terms) == 1)
            if not simple and reading.source in facts.canon:
                facts.windowed.add(facts.loop(reading.source, axis, Size.of(1)).axis)
            if not simple:
                facts.windowed |= {i.axis for i in index.iters}


def _new_name(facts: Facts, owner: Node, axis: Axis) -> Axis:
    """The name of a loop that none inherits: reductions of one operand share those."""
    new = Axis(axis.name, -next(_unique))
    if reduces(owner) and len(owner.args) == 1:
        return facts.walked.setdefault((owner.args[0], axis), new)
    return new


def scatter_env(node: Node, env: Env, loop: Loops) -> Env:
    """The index of a scatter's operands: its own free loops, and loops over what it sums."""
    index = {a: env[a] for a in node.type.axes if a not in node.attrs["axes"]}
    for axis in node.attrs["over"]:
        size = next(x.type.size(axis) for x in node.args if x.type.has(axis))
        index[axis] = Affine() if size == Size.of(1) else at(loop(node, axis, size))
    return index


def _probe(facts: Facts, node: Node, env: Env, loop: Loops) -> list[Reading]:
    readings: list[Reading] = []

    def load(source: Node, index: Env, tests: Tests) -> Expr:
        readings.append(Reading(source, index, tests))
        offset = at(Iter(Axis(f"load{len(readings)}", 0), Size.of(1)))
        return Expr("load", source.type.dtype, offset=offset, tests=tests)

    access = Access(facts.stored, load)
    if reduces(node):
        reduction(node, env, loop, facts.folded).value(access)
    elif node.op == "scatter" and node.attrs["over"]:
        access.pull(node.args[0], scatter_env(node, env, loop))
        for index in node.args[1:]:
            access.pull(index, scatter_env(node, env, loop))
    elif node.op == "argsort":
        axis = node.attrs["over"][0]
        inner = {**env, axis: at(loop(node, axis, node.type.size(axis)))}
        access.pull(node.args[0], inner)
    else:
        access.pull(node, env, top=True)
    return readings


def _inherited(facts: Facts, iter: Iter, readings: list[Reading], taken: set[Axis]) -> Axis | None:
    """The name of the loop that a producer had for the axis read at exactly `iter`."""
    for reading in readings:
        for axis, index in reading.env.items():
            if index == at(iter) and reading.source.type.size(axis) == iter.size:
                name = facts.loop(reading.source, axis, iter.size).axis
                if name not in taken:
                    return name
    return None


def _part_of(facts: Facts, iter: Iter, readings: list[Reading], taken: set[Axis]) -> Axis | None:
    """The name of a loop over a part of an axis that is split: all who split it so use it."""
    for reading in readings:
        for axis, index in reading.env.items():
            parts = _radix(index)
            if not any(part == iter for part, _ in parts):
                continue
            whole = facts.loop(reading.source, axis, reading.source.type.size(axis)).axis
            sizes = tuple(part.size for part, _ in parts)
            place = next(n for n, (part, _) in enumerate(parts) if part == iter)
            name = facts.parts.setdefault(
                (whole, sizes, place), Axis(iter.axis.name, -next(_unique))
            )
            if name not in taken:
                return name
    return None


def _radix(index: Affine) -> list[tuple[Iter, int]]:
    """The loops of an index that goes through an axis part by part, innermost first; else none."""
    found = []
    for atom, coefficient in index.terms:
        if not isinstance(atom, Iter) or coefficient.constant is None:
            return []
        found.append((atom, coefficient.constant))
    found.sort(key=lambda part: part[1])
    step = 1
    for iter, distance in found:
        if distance != step:
            return []
        step *= iter.size.constant or 0  # an axis of unknown size can only be the outermost
    return found if len(found) > 1 and index.const == Size() else []
