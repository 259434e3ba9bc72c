"""Which stored nodes are computed together: kernels grow greedily, producers first."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlc.graph import UPDATE, Node
from dlc.schedule.facts import Facts, volume
from dlc.schedule.index import Iter
from dlc.schedule.kernel import Buffer, Kernel
from dlc.schedule.layout import Layout
from dlc.schedule.lower import BufferOf, NoFit, lower, outer_axes
from dlc.schedule.reduction import reduces

ROWS = 16
"""A kernel keeps at least so many units of work when a member joins."""
MEMBERS = 12
EPILOGUE = 20
"""Vector operations an element after a contraction; more are a kernel of their own."""
LARGE = 1 << 14
"""A weight of so many elements is updated where its gradient is computed."""
BODY = 400
"""Vector operations an element in one kernel."""


@dataclass(slots=True)
class Grouping:
    """Kernels in the order of their making, and the kernel of each real node."""

    facts: Facts
    layout: Layout
    buffer_of: BufferOf
    kernels: list[Kernel] = field(default_factory=list)
    home: dict[Node, Kernel] = field(default_factory=dict)
    readers: dict[Node, list[Kernel]] = field(default_factory=dict)
    """By stored node."""

    def settle(self, node: Node, kernel: Kernel) -> None:
        """A node is computed by a kernel."""
        self.home[node] = kernel
        for source in self.facts.producers(node):
            self.readers.setdefault(source, []).append(kernel)

    def depends(self, kernel: Kernel, on: Kernel) -> bool:
        """Whether a kernel needs another's results, directly or through others."""
        seen: set[int] = set()
        todo = [kernel]
        while todo:
            k = todo.pop()
            if k is on:
                return True
            if id(k) in seen:
                continue
            seen.add(id(k))
            todo += self.sources(k)
        return False

    def sources(self, kernel: Kernel) -> list[Kernel]:
        """The kernels whose results a kernel reads."""
        found = {id(k): k for m in kernel.members for k in self._homes(m) if k is not kernel}
        return list(found.values())

    def _homes(self, node: Node) -> list[Kernel]:
        return [self.home[p] for p in self.facts.producers(node) if p in self.home]


def group(facts: Facts, layout: Layout, buffer_of: BufferOf) -> list[Kernel]:
    """The kernels of a graph, lowered, in an order that respects what they read."""
    state = Grouping(facts, layout, buffer_of)
    for node in facts.real:
        kernel = next((k for k in _candidates(state, node) if _join(state, k, node)), None)
        if kernel is None:
            kernel = _new_kernel(state, node)
        state.settle(node, kernel)
    return _sorted(state)


def _candidates(state: Grouping, node: Node) -> list[Kernel]:
    if node in state.layout.lane or node.op == "argsort":
        return []
    if node.op == "scatter" and node.attrs["over"]:
        return []
    homes = {id(k) for k in state._homes(node)}
    loops = set(state.facts.free(node).values())
    others = {id(k): k for p in state.facts.producers(node) for k in state.readers.get(p, ())}
    for kernel in others.values():
        first = kernel.members[0]
        alike = set(state.facts.free(first).values()) == loops
        if alike and _summed(state, node) in (set(), _summed(state, first)):
            homes.add(id(kernel))
    return [k for k in reversed(state.kernels) if id(k) in homes]


def _summed(state: Grouping, node: Node) -> set[Iter]:
    return set(state.facts.reduction(node).iters) if reduces(node) else set()


def _new_kernel(state: Grouping, node: Node) -> Kernel:
    outer = list(outer_axes(state.facts, node).values())
    kernel = Kernel(f"k{len(state.kernels)}", [node], _by_stride(state, node, outer))
    kernel.contraction = node in state.layout.lane
    if kernel.contraction:
        free = state.facts.free(node)
        kernel.folds = tuple(free[axis] for axis in node.attrs.get("windows", ()))
    rows = node.op == "argsort" and len(outer) < len(state.facts.free(node))
    kernel.template = "sort" if rows else "nests"
    lower(state.facts, kernel, state.buffer_of)
    state.kernels.append(kernel)
    return kernel


def _join(state: Grouping, kernel: Kernel, node: Node) -> bool:
    facts = state.facts
    loops = {*facts.free(node).values(), *kernel.folds}
    outer = [i for i in kernel.outer if i in loops]
    if not _alike(state, kernel, node) or not _loops_suit(state, kernel, node, outer):
        return False
    if any(k is not kernel and state.depends(k, kernel) for k in state._homes(node)):
        return False
    trial = Kernel(kernel.name, [*kernel.members, node], outer)
    trial.contraction, trial.folds = kernel.contraction, kernel.folds
    try:
        lower(facts, trial, state.buffer_of)
    except NoFit:
        return False
    short = kernel.contraction and not _ends(state, kernel, node)
    if _cost(trial) > (EPILOGUE if short else BODY):
        return False
    kernel.members, kernel.outer, kernel.nests = trial.members, trial.outer, trial.nests
    return True


def _alike(state: Grouping, kernel: Kernel, node: Node) -> bool:
    """Whether a node is of the kind of a kernel's members."""
    first = kernel.members[0]
    if len(kernel.members) >= MEMBERS or kernel.template == "sort":
        return False
    if first.op == "scatter" and first.attrs["over"]:
        return False
    updates = all(_is_update(state, m) for m in kernel.members)
    if _is_update(state, node) != updates and not _ends(state, kernel, node):
        return False
    return all(("part" in m.attrs) == ("part" in node.attrs) for m in kernel.members)


def _loops_suit(state: Grouping, kernel: Kernel, node: Node, outer: list[Iter]) -> bool:
    """Whether enough is left of a kernel in these outer loops, which a node shares with it."""
    whole = len(outer) == len(kernel.outer)
    own = set(state.facts.free(node).values())
    same = whole and set(outer) == own
    if any("apart" in m.attrs for m in (node, *kernel.members)) and not same:
        return False
    if "part" in node.attrs and not whole:
        return False
    if kernel.contraction and reduces(node):
        folded = {*state.facts.reduction(node).iters} == {*kernel.folds}
        return bool(kernel.folds) and folded and own | {*kernel.folds} == set(kernel.outer)
    if kernel.contraction:
        return same or (whole and own == set(outer) - {*kernel.folds})
    free = [*state.facts.free(node).values()]
    most = max(_units(state, node, kernel.outer), _units(state, node, free))
    return _units(state, node, outer) >= min(ROWS, most)


def _is_update(state: Grouping, node: Node) -> bool:
    """Updates share kernels with updates alone, so that those of all parameters are alike."""
    outputs = state.facts.graph.outputs
    return node in state.facts.outputs and any(
        v is node and k.startswith(UPDATE) for k, v in outputs.items()
    )


def _ends(state: Grouping, kernel: Kernel, node: Node) -> bool:
    """Whether a large gradient by a weight ends in its update: nothing else need see it."""
    large = volume(node.type.sizes) >= LARGE
    return large and kernel.contraction and _is_update(state, node)


def _units(state: Grouping, node: Node, outer: list[Iter]) -> int:
    """About how many units of work outer loops give; the innermost axis in memory is for lanes."""
    inner = {
        state.facts.free(n)[state.layout.order(n)[-1]]
        for n in (node, *state.facts.producers(node))
        if n.type.dims and state.layout.order(n)[-1] in state.facts.free(n)
    }
    return volume([i.size for i in outer if i not in inner or i.size.constant is None])


def _cost(kernel: Kernel) -> int:
    seen: dict[int, int] = {}
    total = 0
    for nest in kernel.nests:
        for statement in [*nest.body, *nest.after]:
            total += _distinct(statement.expr, seen)
    return total


def _distinct(expr: object, seen: dict[int, int]) -> int:
    from_here = 0
    todo = [expr]
    while todo:
        e = todo.pop()
        if id(e) in seen:
            continue
        seen[id(e)] = 1
        from_here += e.cost - sum(a.cost for a in e.args)  # type: ignore[attr-defined]
        todo += e.args  # type: ignore[attr-defined]
    return from_here


def _by_stride(state: Grouping, node: Node, outer: list[Iter]) -> list[Iter]:
    """Outer loops with the largest strides of the result first."""
    order = state.layout.order(node)
    env = state.facts.env(node)
    rank = {i: n for n, a in enumerate(order) for i in env[a].iters}
    return sorted(outer, key=lambda i: rank[i])


def _sorted(state: Grouping) -> list[Kernel]:
    """Producers first, readers of a parameter before its update: joining changed the order."""
    after = _anti_dependences(state)
    out: list[Kernel] = []
    done: set[int] = set()
    for kernel in state.kernels:
        stack = [(kernel, False)]
        while stack:
            k, ready = stack.pop()
            if ready:
                out.append(k)
                continue
            if id(k) in done:
                continue
            done.add(id(k))
            stack.append((k, True))
            stack += [(s, False) for s in [*state.sources(k), *after.get(id(k), [])]]
    return out


def _anti_dependences(state: Grouping) -> dict[int, list[Kernel]]:
    """For the kernel that writes `update:P`, those that read P and do not wait for it."""
    readers: dict[str, list[Kernel]] = {}
    for kernel in state.kernels:
        for member in kernel.members:
            for source in state.facts.producers(member):
                if source.op == "input":
                    readers.setdefault(source.attrs["name"], []).append(kernel)
    found: dict[int, list[Kernel]] = {}
    for name, node in state.facts.graph.outputs.items():
        if not name.startswith(UPDATE) or node not in state.home:
            continue
        writer = state.home[node]
        for reader in readers.get(name.removeprefix(UPDATE), []):
            if reader is not writer and not _reaches(found, writer, reader, state):
                found.setdefault(id(writer), []).append(reader)
    return found


def _reaches(extra: dict[int, list[Kernel]], start: Kernel, goal: Kernel, state: Grouping) -> bool:
    """Whether `goal` must already come after `start`, with the edges added so far."""
    seen: set[int] = set()
    todo = [goal]
    while todo:
        k = todo.pop()
        if k is start:
            return True
        if id(k) not in seen:
            seen.add(id(k))
            todo += [*state.sources(k), *extra.get(id(k), [])]
    return False


def buffers_of(kernel: Kernel) -> set[Buffer]:
    """Every buffer that a kernel touches."""
    found: set[Buffer] = set()
    todo: list[object] = []
    for nest in kernel.nests:
        for statement in [*nest.body, *nest.after]:
            todo.append(statement.expr)
    while todo:
        e = todo.pop()
        if e.buffer is not None:  # type: ignore[attr-defined]
            found.add(e.buffer)  # type: ignore[attr-defined]
        todo += e.args  # type: ignore[attr-defined]
    return found
