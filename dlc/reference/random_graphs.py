"""Seeded random graphs over all ops: small, well-typed, of several dtypes and run-time sizes.

A graph is grown node by node. Each new node is run at once on the feeds, and kept only if its
values are finite and not large; so no graph drowns in NaN, whatever ops meet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dlc.graph import (
    FLOATS,
    INTEGERS,
    Attr,
    Axis,
    DType,
    Graph,
    Node,
    Role,
    Size,
    TensorType,
    input_node,
)
from dlc.ops import build as b
from dlc.ops.arrays import round_bf16
from dlc.ops.op import NUMPY_DTYPES, REGISTRY, Op, TypeRuleError
from dlc.reference.interpreter import evaluate

Array = np.ndarray[Any, Any]
LARGEST = 1000.0
"""Of any value, so that f16 does not overflow in a next step."""
ELEMENTS = 3000
ATTEMPTS = 60
N, T = Size.symbol("N"), Size.symbol("T")
SIZES: Mapping[Axis, Size] = {
    Axis("N"): N, Axis("T"): T, Axis("W"): N * 2, Axis("K"): Size.of(3), Axis("H"): Size.of(4),
    Axis("Y"): Size.of(6), Axis("E", 2): Size.of(2),
}  # fmt: skip
WIDTHS: tuple[tuple[DType, ...], ...] = (
    ("f32",), ("f32", "f64"), ("f32", "bf16"), ("f32", "f16", "f64"),
)  # fmt: skip


def random_graph(
    seed: int, *, ops: Collection[str] | None = None, size: int = 12
) -> tuple[Graph, dict[str, Array]]:
    """A graph of about `size` nodes and feeds for it; the same for the same seed.

    `ops` limits the ops that are drawn (`abs`, `add`, `tanh` may still stand before one that needs
    positive or bounded operands). All outputs are finite.
    """
    grower = _Grower(np.random.default_rng(seed))
    names = [n for n in REGISTRY if n != "grad" and (ops is None or n in ops)]
    while len(grower.pool) < size + len(grower.inputs):
        grower.grow(names)
    used = {a for node in grower.pool for a in node.args}
    ends = [n for n in grower.pool if n not in used and n.op != "input"]
    outputs = {f"out{i}": node for i, node in enumerate(ends)}
    return Graph(tuple(grower.inputs), outputs), grower.feeds


class _Grower:
    """A pool of nodes with their values, and how to add one."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.sizes = {"N": int(rng.integers(2, 5)), "T": int(rng.integers(2, 5))}
        self.floats = WIDTHS[int(rng.integers(len(WIDTHS)))]
        self.inputs: list[Node] = []
        self.feeds: dict[str, Array] = {}
        self.values: dict[Node, Array] = {}
        self.fresh = 0
        kinds: list[DType] = ["f32", "f32", *self.floats, "i32", "bool"]
        kinds.append(self.pick(("i64", "u8", "i32")))
        for number, dtype in enumerate(kinds):
            self.add_input(f"x{number}", self.type(dtype, whole=number == 0))
        for clock in ("seed", "step"):
            self.add_input(clock, TensorType("i64"))

    @property
    def pool(self) -> list[Node]:
        return list(self.values)

    def pick(self, choices: Sequence[Any]) -> Any:
        assert choices
        return choices[int(self.rng.integers(len(choices)))]

    def some(self, choices: Iterable[Any], least: int = 0) -> tuple[Any, ...]:
        """Some of the choices, in random order."""
        found = list(choices)
        self.rng.shuffle(found)
        if len(found) < least:
            raise TypeRuleError("too few axes")
        return tuple(found[: int(self.rng.integers(least, len(found) + 1))])

    def type(self, dtype: DType, *, whole: bool) -> TensorType:
        """A type of two or three axes, or fewer; `whole` has all run-time sizes."""
        first = [Axis("N"), Axis("T")] if whole else []
        axes = first or list(self.some(SIZES, 1))[:3]
        return TensorType.of(dtype, [(a, SIZES[a]) for a in axes])

    def add_input(self, name: str, type: TensorType) -> None:
        role: Role = "clock" if name in ("seed", "step") else "data"
        node = input_node(name, type, role)
        shape = [n.value(self.sizes) for n in type.sizes]
        low = 0 if type.dtype == "u8" else -4
        if type.dtype in FLOATS:
            value: Array = np.asarray(self.rng.normal(size=shape))
        else:
            value = np.asarray(self.rng.integers(low, 5, size=shape))
        value = (value > 0) if type.dtype == "bool" else value.astype(NUMPY_DTYPES[type.dtype])
        self.inputs.append(node)
        self.feeds[name] = round_bf16(value) if type.dtype == "bf16" else value
        self.values[node] = self.feeds[name]

    def grow(self, names: Sequence[str]) -> None:
        """Adds one node of one of these ops, and what it needs before it."""
        groups = [
            [n for n in names if (REGISTRY[n].kind == "map") is flag] for flag in (True, False)
        ]
        for _ in range(ATTEMPTS):
            op = REGISTRY[self.pick(self.pick([g for g in groups if g]))]
            try:
                node = GROWERS.get(op.name, GROWERS.get(op.kind, _map))(self, op)
            except TypeRuleError:
                continue
            if self.keep(node):
                return
        raise AssertionError(f"no op of {names} fits the graph")

    def keep(self, node: Node) -> bool:
        """Runs the node and its new operands; whether all values are tame."""
        if node in self.values:
            return False
        new: dict[Node, Array] = {}
        for part in _new_nodes(node, self.values):
            if not _same_sizes(a.type for a in part.args):
                return False
            if part.type.elements.value(self.sizes) > ELEMENTS:
                return False
            operands = [new[a] if a in new else self.values[a] for a in part.args]
            new[part] = evaluate(part, operands, self.sizes)
            if not np.all(np.abs(new[part].astype(np.float64)) <= LARGEST):
                return False
        self.values.update(new)
        return True

    def node(self, dtypes: Collection[str], axes: int = 0) -> Node:
        """A node of one of the dtypes with so many axes at least, later ones more often."""
        fit = [n for n in self.pool if n.type.dtype in dtypes and len(n.type.dims) >= axes]
        if not fit:
            raise TypeRuleError("no such operand")
        late = int(len(fit) * self.rng.beta(2, 1))
        return fit[min(late, len(fit) - 1)]

    def number(self, axes: int = 0) -> Node:
        dtypes = FLOATS if self.rng.random() < 0.8 else INTEGERS
        return self.node(dtypes, axes)

    def axis(self, node: Node) -> tuple[Axis, Size]:
        if not node.type.dims:
            raise TypeRuleError("no axis")
        found: tuple[Axis, Size] = self.pick(node.type.dims)
        return found

    def new_axis(self) -> Axis:
        self.fresh += 1
        return Axis(f"A{self.fresh}", self.fresh % 3)


def _new_nodes(node: Node, known: Mapping[Node, Array]) -> list[Node]:
    """The node and the operands under it that are not known, operands first."""
    if node in known:
        return []
    parts = [part for a in node.args for part in _new_nodes(a, known)]
    return list(dict.fromkeys([*parts, node]))


def _same_sizes(types: Iterable[TensorType]) -> bool:
    """Whether no axis has two sizes that could differ at run time."""
    seen: dict[Axis, Size] = {}
    return all(seen.setdefault(a, n) == n for t in types for a, n in t.dims)


def _map(g: _Grower, op: Op) -> Node:
    sample = g.pick(op.samples)
    wanted = [t.dtype for t in sample.types]
    chosen: dict[bool, Node] = {}
    args: list[Node] = []
    for dtype in wanted:
        group = FLOATS if dtype in FLOATS else INTEGERS if dtype in INTEGERS else {"bool"}
        first = chosen.get(dtype == "bool")
        node = g.node({first.type.dtype} if first else group)
        chosen.setdefault(dtype == "bool", node)
        args.append(_in_domain(node, sample.draw))
    attrs: Mapping[str, Attr] = sample.attrs
    if op.name == "cast":
        attrs = {"dtype": g.pick((*g.floats, "f32", "i32", "bool"))}
    return b.make(op.name, args, attrs)


def _in_domain(x: Node, draw: str) -> Node:
    if x.type.dtype not in FLOATS:
        return x
    if draw == "positive":
        return b.add(b.abs(x), 0.5)
    return b.tanh(x) if draw == "unit" else x


def _reduce(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    return b.make(op.name, (x,), {"over": g.some(x.type.axes, 1)})


def _dot(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    y = g.node({x.type.dtype}, 1)
    shared = [a for a in x.type.axes if y.type.has(a)]
    return b.dot(x, y, g.some(shared, 1))


def _const(g: _Grower, op: Op) -> Node:
    dtype = g.pick((*g.floats, "i32", "bool"))
    value = float(g.pick((0.0, 1.0, -1.0, 2.0, 0.5, 0.1)))
    return b.const(value if dtype in FLOATS else int(value > 0), dtype)


def _table(g: _Grower, op: Op) -> Node:
    axis = g.pick((Axis("K"), Axis("H"), Axis("Y")))
    n = SIZES[axis].constant
    dtype = g.pick(("f32", "i32"))
    return b.table(g.rng.integers(-2, 3, size=n).astype(NUMPY_DTYPES[dtype]), (axis,), dtype)


def _index(g: _Grower, op: Op) -> Node:
    axis = g.pick(list(SIZES))
    return b.index(axis, SIZES[axis])


def _size(g: _Grower, op: Op) -> Node:
    return b.make("size", (), {"value": g.pick((N, N * T, T + 1, Size.of(7)))})


def _uniform(g: _Grower, op: Op) -> Node:
    seed, step = (n for n in g.inputs if n.attrs["role"] == "clock")
    dims = g.type("f32", whole=False).dims
    place, word = int(g.rng.integers(1, 1 << 62)), int(g.rng.integers(4))
    return b.uniform(seed, step, dims, place=place, word=word)


def _broadcast(g: _Grower, op: Op) -> Node:
    x = g.number()
    extra = [(a, n) for a, n in SIZES.items() if not x.type.has(a)]
    dims = [*x.type.dims, *g.some(extra)[:1]]
    g.rng.shuffle(dims)
    return b.make("broadcast", (x,), {"dims": tuple((a, n) for a, n in dims)})


def _rename(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    axis, _ = g.axis(x)
    return b.rename(x, {axis: g.new_axis()})


def _split(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    axis, n = g.axis(x)
    if g.rng.random() < 0.3:
        return b.split(b.slice(x, axis, size=1), axis, ())
    part = g.pick((1, 2, 3))
    rest = n.divide(part)
    if rest is None:
        raise TypeRuleError("no such split")
    parts = ((axis, rest), (g.new_axis(), part))
    return b.split(x, axis, parts if g.rng.random() < 0.5 else parts[::-1])


def _merge(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    return b.merge(x, g.some(x.type.axes, 1)[:2], g.new_axis())


def _slice(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    axis, n = g.axis(x)
    if g.rng.random() < 0.3:
        return b.flip(x, axis)
    start, step = int(g.rng.integers(2)), int(g.rng.integers(1, 3))
    return b.slice(x, axis, start=start, step=step, size=(n - start + step - 1) // step)


def _pad(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    attrs = {
        "axis": g.axis(x)[0], "before": Size.of(g.pick((0, 1))), "after": Size.of(g.pick((0, 2))),
        "value": g.pick((0, 1)),
    }  # fmt: skip
    return b.make("pad", (x,), attrs)


def _window(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    axis, n = g.axis(x)
    taps, stride, dilation = (int(g.rng.integers(1, 4)) for _ in range(3))
    pads = [int(g.rng.integers(2)) for _ in range(2)]
    if n.value(g.sizes) + sum(pads) < (taps - 1) * dilation + 1:
        raise TypeRuleError("no window fits")
    return b.window(
        x, axis, g.new_axis(), taps, stride=stride, dilation=dilation, before=pads[0],
        after=pads[1],
    )  # fmt: skip


def _unwindow(g: _Grower, op: Op) -> Node:
    x = g.number(2)
    (axis, many), (tap, taps) = g.some(x.type.dims, 2)[:2]
    stride, dilation = int(g.rng.integers(1, 4)), int(g.rng.integers(1, 3))
    before, extra = int(g.rng.integers(2)), int(g.rng.integers(2))
    reach = (many - 1) * stride + (taps - 1) * dilation + 1 + extra - before
    if reach.value(g.sizes) < 1:
        raise TypeRuleError("nothing is left")
    return b.unwindow(x, axis, tap, reach, stride=stride, dilation=dilation, before=before)


def _concat(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    axis, _ = g.axis(x)
    same = [n for n in g.pool if n.type.dtype == x.type.dtype and _beside(n.type, x.type, axis)]
    return b.concat((x, *g.some(same)[:2]), axis)


def _beside(a: TensorType, b: TensorType, axis: Axis) -> bool:
    return a.has(axis) and dict(a.without((axis,)).dims) == dict(b.without((axis,)).dims)


def _gather(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    axes = g.some(x.type.axes, 1)[:2]
    return b.gather(x, [g.node(("i32", "i64")) for _ in axes], axes)


def _scatter(g: _Grower, op: Op) -> Node:
    x, i = g.number(), g.node(("i32", "i64"))
    axes = dict.fromkeys((*x.type.axes, *i.type.axes))
    return b.scatter(x, (i,), (g.new_axis(),), (g.pick((3, N)),), g.some(axes))


def _argsort(g: _Grower, op: Op) -> Node:
    x = g.number(1)
    return b.argsort(x, g.axis(x)[0])


def _marker(g: _Grower, op: Op) -> Node:
    return b.stop_gradient(g.node(FLOATS))


GROWERS: Mapping[str, Callable[[_Grower, Op], Node]] = {
    "map": _map, "reduce": _reduce, "dot": _dot, "const": _const, "table": _table, "size": _size,
    "index": _index, "uniform": _uniform, "broadcast": _broadcast, "rename": _rename,
    "split": _split, "merge": _merge, "slice": _slice, "pad": _pad, "window": _window,
    "unwindow": _unwindow, "concat": _concat, "gather": _gather, "scatter": _scatter,
    "sort": _argsort, "marker": _marker,
}  # fmt: skip
"""By the name of an op, else by its kind."""
