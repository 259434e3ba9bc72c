"""Views as index maps: from an element of a node to the expression that computes it.

Views are never nodes of a kernel. `pull(node, env)` rewrites the index `env` (axis -> Affine)
through the node and ends at loads of stored tensors:

    relu(rename(y, Out -> C))[n, c]   becomes   where(load(y, n*10 + c) > 0, load(y, n*10 + c), 0)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from dlc.graph import Axis, DType, Node, Size
from dlc.ops import REGISTRY
from dlc.ops.op import ViewCode
from dlc.schedule.index import Affine, Data, Iter, at, inside
from dlc.schedule.kernel import Buffer, Expr, Test

Env = dict[Axis, Affine]
Tests = tuple[Test, ...]
Load = Callable[[Node, Env, Tests], Expr]
UNIFORM_COST = 30
NOWHERE = Affine()


class Access:
    """Pulls elements of nodes; `load` reads a stored node, `stored` says which nodes are."""

    def __init__(self, stored: Callable[[Node], bool], load: Load) -> None:
        self.stored, self.load = stored, load
        self.memo: dict[object, Expr] = {}
        self.interned: dict[object, Expr] = {}

    def pull(self, node: Node, env: Env, tests: Tests = (), *, top: bool = False) -> Expr:
        """The element of `node` at `env`; loads under it happen only where `tests` hold.

        `top` computes a stored node itself instead of loading it.
        """
        key = (node, tuple(env[a] for a in node.type.axes), tests, top)
        if key not in self.memo:
            if self.stored(node) and not top:
                self.memo[key] = self.load(node, {a: env[a] for a in node.type.axes}, tests)
            else:
                self.memo[key] = self.compute(node, env, tests)
        return self.memo[key]

    def compute(self, node: Node, env: Env, tests: Tests) -> Expr:
        """One virtual node."""
        attrs, dtype = node.attrs, node.type.dtype
        match node.op:
            case "const":
                return self.make("const", dtype, value=attrs["value"])
            case "size":
                return self.number(Affine(const=attrs["value"]), dtype)
            case "index":
                return self.number(env[attrs["axis"]], dtype)
            case "uniform":
                return self.uniform(node, env, tests)
            case "gather":
                return self.gather(node, env, tests)
            case "scatter":
                return self.one_hot(node, env, tests)
            case "argsort":  # of an axis of size 1
                return self.make("const", dtype, value=0)
            case "stop_gradient":
                return self.pull(node.args[0], env, tests)
        record = REGISTRY[node.op]
        if isinstance(record.code, ViewCode):
            return self.view(node, record.code, env, tests)
        assert record.kind == "map", node
        args = tuple(self.pull(a, env, tests) for a in node.args)
        if node.op == "cast":
            return self.cast(args[0], dtype)
        assert isinstance(record.code, str), node
        return self.rounded(self.make(record.code, dtype, args, cost=record.cost))

    def cast(self, value: Expr, dtype: DType) -> Expr:
        """The value in another element type."""
        if value.dtype == dtype:
            return value
        return self.make(f"cast_{dtype}", dtype, (value,), cost=1)

    def rounded(self, value: Expr) -> Expr:
        """Half floats live in float32 vectors and are rounded after every operation."""
        if value.dtype in ("f16", "bf16"):
            return self.make(f"round_{value.dtype}", value.dtype, (value,), cost=2)
        return value

    def number(self, index: Affine, dtype: DType) -> Expr:
        """An index as a value."""
        return self.make("index", dtype, offset=index, cost=1)

    def select(self, condition: Expr, a: Expr, b: Expr) -> Expr:
        """`a` where the condition holds, else `b`."""
        return self.make("select", a.dtype, (condition, a, b), cost=1)

    def mask(self, tests: Tests) -> Expr:
        """Whether all tests hold."""
        return self.make("inside", "bool", tests=tests, cost=len(tests))

    def view(self, node: Node, code: ViewCode, env: Env, tests: Tests) -> Expr:
        """Through an index map; several reads are chosen by their conditions."""
        types = [a.type for a in node.args]
        reads = code.reads(node.attrs, types, node.type, {a: env[a] for a in node.type.axes})
        outside = node.attrs.get("value", 0)
        result: Expr | None = None
        for read in reversed(reads):
            index = {a: _affine(i) for a, i in read.index.items()}
            needed = tuple(Test(_affine(i), n) for i, n in read.inside if not inside(_affine(i), n))
            value = self.pull(node.args[read.argument], index, tests + needed)
            if (
                (result is None and len(reads) > 1)
                or not needed
                or (outside == 0 and len(reads) == 1 and _absorbed(value, needed))
            ):
                result = value
            else:
                other = (
                    result if result is not None else self.make("const", value.dtype, value=outside)
                )
                result = self.select(self.mask(needed), value, other)
        assert result is not None, node
        return result

    def gather(self, node: Node, env: Env, tests: Tests) -> Expr:
        """Data becomes part of the index, clamped to its axis."""
        x, *indices = node.args
        index = dict(env)
        for axis, i in zip(node.attrs["axes"], indices, strict=True):
            if "within" in node.attrs:
                index[axis] = self.place(i, env, tests)
            else:
                index[axis] = at(Data(self.pull(i, env, tests), x.type.size(axis)))
        return self.pull(x, index, tests)

    def place(self, node: Node, env: Env, tests: Tests) -> Affine:
        """What the places of winners are computed to, as an index."""
        if node.op == "index":
            return env[node.attrs["axis"]]
        if node.op == "const":
            return Affine(const=Size.of(node.attrs["value"]))
        if node.op in ("add", "mul", "floordiv", "mod"):
            a, b = (self.place(n, env, tests) for n in node.args)
            if node.op == "add":
                return a + b
            if node.op == "mul":
                return a * b.const if a.terms else b * a.const
            return a // b.const if node.op == "floordiv" else a % b.const
        return at(Data(self.pull(node, env, tests), Size.of(_positions(node)), sure=True))

    def one_hot(self, node: Node, env: Env, tests: Tests) -> Expr:
        """A scatter that sums over nothing: `x` where the position is the index, else 0."""
        assert not node.attrs["over"], node
        x, *indices = node.args
        value = self.pull(x, env, tests)
        zero = self.make("const", value.dtype, value=0)
        for axis, i in zip(node.attrs["axes"], indices, strict=True):
            place = self.number(env[axis], i.type.dtype)
            hit = self.make("eq", "bool", (place, self.pull(i, env, tests)), cost=1)
            value = self.select(hit, value, zero)
        return value

    def uniform(self, node: Node, env: Env, tests: Tests) -> Expr:
        """A draw; its elements are numbered in the order that the op says."""
        element = Affine()
        for axis in node.attrs["order"]:
            element = element * node.type.size(axis) + env[axis]
        args = tuple(self.pull(a, {}, ()) for a in node.args)
        value = (node.attrs["place"], node.attrs["word"])
        dtype = node.type.dtype
        return self.make("uniform", dtype, args, offset=element, value=value, cost=UNIFORM_COST)

    def make(
        self,
        op: str,
        dtype: DType,
        args: tuple[Expr, ...] = (),
        *,
        buffer: Buffer | None = None,
        offset: Affine = NOWHERE,
        tests: Tests = (),
        zeros: Tests = (),
        value: object = None,
        cost: int = 0,
    ) -> Expr:
        """An expression; equal ones are one object."""
        key = (op, dtype, args, buffer, offset, tests, zeros, repr(value))
        if key not in self.interned:
            deps = offset.iters.union(*(a.deps for a in args), *(t.index.iters for t in tests))
            total = cost + sum(a.cost for a in args)
            self.interned[key] = Expr(
                op, dtype, args, buffer, offset, tests, value, deps, total, zeros
            )
        return self.interned[key]


def own_env(node: Node, iters: Mapping[Axis, Iter]) -> Env:
    """The index of a node at its own loops; axes of size 1 are at 0."""
    one = Size.of(1)
    return {a: Affine() if n == one else at(iters[a]) for a, n in node.type.dims}


def _affine(index: object) -> Affine:
    if isinstance(index, Affine):
        return index
    assert isinstance(index, (int, Size)), index
    return Affine(const=Size.of(index))


def _absorbed(value: Expr, tests: Tests) -> bool:
    """Whether the load under a zero pad reads zeros there by itself (its buffer has a halo)."""
    return value.op == "load" and not any(t in value.tests for t in tests)


def _positions(node: Node) -> int:
    """How many places the winner of an argmax is one of."""
    while node.op != "argmax":
        (node,) = node.args
    sizes = [node.args[0].type.size(axis).constant for axis in node.attrs["over"]]
    return prod(n or 1 for n in sizes)
