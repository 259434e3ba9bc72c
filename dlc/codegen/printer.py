"""Kernel IR to readable Numba text.

Every subexpression is printed once for each tile coordinate that it depends on; so the same
printer gives the inner loop of a matrix product, a pooling window and a row of a softmax.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product as cartesian

from dlc.diagnostics import Span
from dlc.graph import INTEGERS, DType, Node, Size, product
from dlc.schedule.index import Affine, Atom, Data, Iter, Quot, Rem, at, atom_iters
from dlc.schedule.kernel import Accumulate, Buffer, Expr, Kernel, Nest, Store, Test

Coords = dict[Iter, int]
TWO_LEVEL = 16
"""An innermost reduced loop at least so long is summed for itself, then added: smaller errors."""
FLOATS = ("f32", "f64", "f16", "bf16")
NEUTRAL = {"sum": "0", "max": "-inf", "min": "inf"}
_LEAST = {"i32": -(2**31), "i64": -(2**63), "u8": 0}
_GREATEST = {"i32": 2**31 - 1, "i64": 2**63 - 1, "u8": 255}


@dataclass(frozen=True, slots=True)
class Printed:
    """The text of a kernel and what its arguments are: buffers and sizes, in order."""

    text: str
    arguments: tuple[Buffer | Size, ...]
    units: Size
    spans: tuple[Span, ...]


def print_kernel(kernel: Kernel, lanes: int) -> Printed:
    """The text of a kernel for vectors of `lanes` elements."""
    printer = _Printer(kernel, lanes)
    if kernel.template == "sort":
        printer.sort()
    else:
        printer.units()
    return printer.finish()


@dataclass(slots=True)
class _Printer:
    kernel: Kernel
    lanes: int
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    arguments: dict[Buffer | Size, str] = field(default_factory=dict)
    scopes: list[dict[object, str]] = field(default_factory=lambda: [{}])
    names: dict[Iter, str] = field(default_factory=dict)
    tile: dict[Iter, int] = field(default_factory=dict)
    count: int = 0

    # ---- text ----
    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def finish(self) -> Printed:
        head = ["def kernel(lo, hi, args):"]
        head += [f"    {name} = argument(args, {i})" for i, name in enumerate(self.arguments.values())]
        where = sorted({f"{s.source.path}:{s.line}" for m in self.kernel.members for s in m.spans[:1]})
        note = [f"# {', '.join(describe(m) for m in self.kernel.members)}"]
        note += [f"# {', '.join(where)}"] if where else []
        counts = [self.blocks(i) for i in self.kernel.units]
        spans = tuple(dict.fromkeys(s for m in self.kernel.members for s in m.spans[:1]))
        text = "\n".join([*note, *head, *self.lines]) + "\n"
        return Printed(text, tuple(self.arguments), product(counts), spans)

    def blocks(self, iter: Iter) -> Size:
        step = self.kernel.step(iter, self.lanes)
        return (iter.size + (step - 1)) // step

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def name(self, iter: Iter) -> str:
        if iter not in self.names:
            base = re.sub(r"\W", "_", iter.axis.name).lower()
            taken = set(self.names.values())
            name, n = f"i_{base}", 1
            while name in taken:
                n += 1
                name = f"i_{base}{n}"
            self.names[iter] = name
        return self.names[iter]

    def argument(self, thing: Buffer | Size) -> str:
        if thing not in self.arguments:
            if isinstance(thing, Buffer):
                base = re.sub(r"\W", "_", thing.name)
                self.arguments[thing] = f"p{len(self.arguments)}_{base}"
            else:
                self.arguments[thing] = f"n{len(self.arguments)}"
        return self.arguments[thing]

    def size(self, size: Size) -> str:
        value = size.constant
        return self.argument(size) if value is None else str(value)

    # ---- units and outer loops ----
    def units(self) -> None:
        self.tile = dict(self.kernel.tile)
        self.line("for unit in range(lo, hi):")
        self.depth += 1
        self.decode()
        self.remainders([i for i in self.kernel.units if self.ragged(i)])
        self.depth -= 1

    def decode(self) -> None:
        """From the number of a unit to the first index of each of its loops."""
        rest = "unit"
        for iter in reversed(self.kernel.units):
            name, step = self.name(iter), self.kernel.step(iter, self.lanes)
            blocks = self.blocks(iter)
            last = iter is self.kernel.units[0]
            if blocks == Size.of(1):
                self.line(f"{name} = 0")
                continue
            block = rest if last else f"({rest} % {self.size(blocks)})"
            self.line(f"{name} = {block} * {step}" if step > 1 else f"{name} = {block}")
            if not last:
                after = self.fresh("rest")
                self.line(f"{after} = {rest} // {self.size(blocks)}")
                rest = after

    def ragged(self, iter: Iter) -> bool:
        """Whether a tile of rows may reach past the end of its axis."""
        step = self.tile.get(iter, 1)
        if iter == self.kernel.lane or step == 1:
            return False
        return iter.size.constant is None or iter.size.constant % step != 0

    def remainders(self, iters: list[Iter]) -> None:
        """Whole tiles, and row by row where the axis ends inside one."""
        if not iters:
            self.outer_loops(list(self.kernel.serial))
            return
        iter, step = iters[0], self.tile[iters[0]]
        name, size = self.name(iter), self.size(iter.size)
        self.line(f"if {name} + {step} <= {size}:")
        self.scoped(lambda: self.remainders(iters[1:]))
        self.line("else:")
        self.depth += 1
        start = self.fresh("start")
        self.line(f"{start} = {name}")
        self.line(f"for {name} in range({start}, {size}):")
        self.single(iter, lambda: self.remainders(iters[1:]))
        self.depth -= 1

    def outer_loops(self, serial: list[Iter]) -> None:
        if not serial:
            self.body()
            return
        iter, rest = serial[0], serial[1:]
        name, step, n = self.name(iter), self.kernel.step(iter, self.lanes), iter.size.constant
        assert n is not None
        if not self.ragged(iter):
            self.line(f"for {name} in range(0, {n}, {step}):")
            self.scoped(lambda: self.outer_loops(rest))
            return
        whole = n // step * step
        if whole:
            self.line(f"for {name} in range(0, {whole}, {step}):")
            self.scoped(lambda: self.outer_loops(rest))
        self.line(f"for {name} in range({whole}, {n}):")
        self.single(iter, lambda: self.outer_loops(rest))

    def single(self, iter: Iter, inside: object) -> None:
        old = self.tile[iter]
        self.tile[iter] = 1
        self.scoped(inside)
        self.tile[iter] = old

    def scoped(self, inside: object) -> None:
        self.depth += 1
        self.scopes.append({})
        before = len(self.lines)
        inside()  # type: ignore[operator]
        if len(self.lines) == before:
            self.line("pass")
        self.scopes.pop()
        self.depth -= 1

    # ---- nests ----
    def body(self) -> None:
        self.scopes.append({})
        for nest in self.kernel.nests:
            self.loops(nest, list(nest.free), lambda n=nest: self.reduce(n))  # type: ignore[misc]
        self.scopes.pop()

    def loops(self, nest: Nest, iters: list[Iter], inside: object) -> None:
        if not iters:
            inside()  # type: ignore[operator]
            return
        iter, rest = iters[0], iters[1:]
        self.hoist(nest, iters)
        name = self.name(iter)
        step = self.kernel.step(iter, self.lanes) if iter == self.kernel.lane else 1
        stride = f", {step}" if step > 1 else ""
        self.line(f"for {name} in range(0, {self.size(iter.size)}{stride}):")
        self.scoped(lambda: self.loops(nest, rest, inside))

    def hoist(self, nest: Nest, iters: list[Iter]) -> None:
        """Print what does not vary with the loops that follow, before them."""
        inner = set(iters) | set(nest.reduced)
        if iters[0] in nest.reduced:
            inner = set(nest.reduced[nest.reduced.index(iters[0]) :])
        if iters[0] in nest.reduced and len(iters) < len(nest.reduced) and self.tiled(nest):
            return
        for statement in self.statements(nest, iters):
            for expr in _invariant(statement.expr, inner):
                for coords in self.coords(expr.deps):
                    self.value(expr, coords)

    def tiled(self, nest: Nest) -> bool:
        return any(step > self.lanes for step in self.tile.values()) and bool(nest.reduced)

    def statements(self, nest: Nest, iters: list[Iter]) -> list[Accumulate | Store]:
        return [*nest.body, *(nest.after if iters[0] in nest.free else [])]

    def reduce(self, nest: Nest) -> None:
        sums = [s for s in nest.body if isinstance(s, Accumulate)]
        for s in sums:
            self.start(s)
        if len(nest.reduced) > 1 and self.two_level(nest):
            inner = nest.reduced[-1:]
            self.loops(nest, nest.reduced[:-1], lambda: self.partial(nest, inner, sums))
        else:
            self.loops(nest, list(nest.reduced), lambda: self.step(nest, ""))
        for s in sums:
            self.fold(s, nest)
        self.store(nest.after)

    def two_level(self, nest: Nest) -> bool:
        size = nest.reduced[-1].size.constant
        step = self.lanes if nest.reduced[-1] == self.kernel.lane else 1
        long = size is None or size // step >= TWO_LEVEL
        sums = [s for s in nest.body if isinstance(s, Accumulate)]
        return long and bool(sums) and all(s.f == "sum" for s in sums)

    def partial(self, nest: Nest, inner: list[Iter], sums: list[Accumulate]) -> None:
        for s in sums:
            for coords in self.sum_coords(s):
                self.line(f"{self.acc(s, coords, 'inner_')} = {self.neutral(s)}")
        self.loops(nest, inner, lambda: self.step(nest, "inner_"))
        for s in sums:
            for coords in self.sum_coords(s):
                acc = self.acc(s, coords)
                self.line(f"{acc} = add({acc}, {self.acc(s, coords, 'inner_')})")

    def step(self, nest: Nest, prefix: str) -> None:
        for s in nest.body:
            if isinstance(s, Accumulate):
                for coords in self.sum_coords(s):
                    self.accumulate(s, coords, nest, prefix)
        self.store([s for s in nest.body if isinstance(s, Store)])

    # ---- accumulators ----
    def coords(self, deps: Iterable[Iter]) -> Iterator[Coords]:
        """All places in the tile, over those of `deps` that it holds."""
        held = [i for i in self.tile if i in deps and self.held(i) > 1]
        steps = [
            range(0, self.tile[i], self.lanes if i == self.kernel.lane else 1) for i in held
        ]
        for place in cartesian(*steps):
            yield dict(zip(held, place, strict=True))

    def held(self, iter: Iter) -> int:
        step = self.tile[iter]
        return step // self.lanes if iter == self.kernel.lane else step

    def sum_coords(self, s: Accumulate) -> list[Coords]:
        deps = s.expr.deps | (s.position.deps if s.position else frozenset())
        return list(self.coords(deps))

    def acc(self, s: Accumulate, coords: Coords, prefix: str = "") -> str:
        return prefix + s.name + self.suffix(coords)

    def suffix(self, coords: Coords) -> str:
        parts = [
            str(c // (self.lanes if i == self.kernel.lane else 1)) for i, c in coords.items()
        ]
        return "".join(f"_{p}" for p in parts)

    def neutral(self, s: Accumulate) -> str:
        dtype = s.expr.dtype
        if dtype == "bool":
            return "all_lanes()" if s.f in ("min", "argmin") else "no_lanes()"
        if s.f == "sum":
            return f"const_{dtype}(0)"
        low = s.f in ("max", "argmax")
        if dtype in FLOATS:
            return f"const_{dtype}({'-inf' if low else 'inf'})"
        return f"const_{dtype}({(_LEAST if low else _GREATEST)[dtype]})"

    def start(self, s: Accumulate) -> None:
        for coords in self.sum_coords(s):
            self.line(f"{self.acc(s, coords)} = {self.neutral(s)}")
            if s.position is not None:
                self.line(f"{self.acc(s, coords, 'at_')} = const_i32({2**31 - 1})")

    def accumulate(self, s: Accumulate, coords: Coords, nest: Nest, prefix: str) -> None:
        acc, expr = self.acc(s, coords, prefix), s.expr
        mask = self.tail(coords) if self.kernel.lane in nest.reduced else None
        fused = expr.op == "mul" and s.f == "sum" and expr.dtype in ("f32", "f64")
        if fused and mask is None:
            a, b = (self.value(x, coords) for x in expr.args)
            self.line(f"{acc} = fma({a}, {b}, {acc})")
            return
        value = self.value(expr, coords)
        if s.position is not None:
            self.best(s, coords, value, mask)
            return
        if mask is not None:
            value = f"select({mask}, {value}, {self.neutral(s)})"
        self.line(f"{acc} = {self.combine(s, acc, value)}")

    def combine(self, s: Accumulate, a: str, b: str) -> str:
        if s.expr.dtype == "bool":
            return f"{'and_' if s.f == 'min' else 'or_'}({a}, {b})"
        name = {"sum": "add", "max": "maximum", "min": "minimum"}[s.f]
        return f"{name}({a}, {b})"

    def best(self, s: Accumulate, coords: Coords, value: str, mask: str | None) -> None:
        """Keep the first extreme; a NaN is more extreme than any number."""
        assert s.position is not None
        where = self.value(s.position, coords)
        self.better(s, self.acc(s, coords), self.acc(s, coords, "at_"), value, where, mask)

    def better(
        self, s: Accumulate, acc: str, place: str, value: str, where: str, mask: str | None
    ) -> None:
        test = "gt" if s.f == "argmax" else "lt"
        hit = self.fresh("hit")
        if s.expr.dtype == "bool":
            value, kind = f"cast_i32({value})", "i32"
            old = f"cast_i32({acc})"
            self.line(f"{hit} = {test}({value}, {old})")
            self.line(f"{hit} = or_({hit}, and_(eq({value}, {old}), lt({where}, {place})))")
            new = f"or_(and_({hit}, ne({value}, const_i32(0))), and_(not_({hit}), {acc}))"
        else:
            self.line(f"{hit} = {test}({value}, {acc})")
            same = f"eq({value}, {acc})"
            if s.expr.dtype in FLOATS:
                self.line(f"{hit} = or_({hit}, and_(is_nan({value}), not_(is_nan({acc}))))")
                same = f"or_({same}, and_(is_nan({value}), is_nan({acc})))"
            self.line(f"{hit} = or_({hit}, and_({same}, lt({where}, {place})))")
            new = f"select({hit}, {value}, {acc})"
        if mask is not None:
            self.line(f"{hit} = and_({hit}, {mask})")
        self.line(f"{acc} = {new}")
        self.line(f"{place} = select({hit}, {where}, {place})")

    def fold(self, s: Accumulate, nest: Nest) -> None:
        """Over the lanes, and over the tile of the lane axis, when that axis was reduced."""
        lane = self.kernel.lane
        if lane not in nest.reduced:
            if s.position is not None:
                for coords in self.sum_coords(s):
                    self.line(f"{self.acc(s, coords)} = {self.acc(s, coords, 'at_')}")
            return
        assert lane is not None
        groups: dict[str, list[Coords]] = {}
        for coords in self.sum_coords(s):
            kept = {i: c for i, c in coords.items() if i != lane}
            groups.setdefault(s.name + self.suffix(kept), []).append(coords)
        for name, members in groups.items():
            self.fold_one(s, name, members)

    def fold_one(self, s: Accumulate, name: str, members: list[Coords]) -> None:
        first = self.acc(s, members[0])
        if s.position is not None:
            place = self.acc(s, members[0], "at_")
            for other in members[1:]:
                self.better(s, first, place, self.acc(s, other), self.acc(s, other, "at_"), None)
            self.fold_best(s, name, first, place)
            return
        total = first
        for other in members[1:]:
            total = self.combine(s, total, self.acc(s, other))
        if s.expr.dtype == "bool":
            self.line(f"{name} = {'fold_and' if s.f == 'min' else 'fold_or'}({total})")
            return
        function = {"sum": "fold_add", "max": "fold_max", "min": "fold_min"}[s.f]
        self.line(f"{name} = {function}({total})")

    def fold_best(self, s: Accumulate, name: str, value: str, place: str) -> None:
        top = self.fresh("top")
        far = f"const_i32({2**31 - 1})"
        if s.expr.dtype == "bool":
            fold = "fold_or" if s.f == "argmax" else "fold_and"
            self.line(f"{top} = {fold}({value})")
            same = f"not_(xor_({value}, {top}))"
        else:
            fold = "fold_max" if s.f == "argmax" else "fold_min"
            self.line(f"{top} = {fold}({value})")
            same = f"eq({value}, {top})"
            if s.expr.dtype in FLOATS:
                same = f"or_({same}, is_nan({value}))"
                some = f"any_lane(is_nan({value}))"
                self.line(f"{top} = is_nan({value}) if {some} else {same}")
                same = top
        self.line(f"{name} = fold_min(select({same}, {place}, {far}))")

    # ---- values ----
    def value(self, expr: Expr, coords: Coords) -> str:
        """The name of a value, printed where it is first needed."""
        if expr.op == "ref":
            assert isinstance(expr.value, str)
            here = {i: c for i, c in coords.items() if i in expr.deps}
            return expr.value + self.suffix(here)
        key = (expr, tuple(sorted(((str(i), c) for i, c in coords.items() if i in expr.deps))))
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        text = self.compute(expr, {i: c for i, c in coords.items() if i in expr.deps})
        name = self.fresh("v")
        self.line(f"{name} = {text}")
        self.scopes[-1][key] = name
        return name

    def compute(self, expr: Expr, coords: Coords) -> str:
        match expr.op:
            case "const":
                return constant(expr.dtype, expr.value)
            case "load":
                return self.load(expr, coords)
            case "index":
                return self.number(expr, coords)
            case "inside":
                return self.mask(expr.tests, coords) or "all_lanes()"
            case "uniform":
                return self.uniform(expr, coords)
            case "round_f16" | "round_bf16":
                return f"cast_{expr.dtype}({self.value(expr.args[0], coords)})"
        args = [self.value(a, coords) for a in expr.args]
        if "{" in expr.op:
            return expr.op.format(*args)
        return f"{expr.op}({', '.join(args)})"

    def number(self, expr: Expr, coords: Coords) -> str:
        if self.kernel.lane in expr.offset.iters:
            return f"cast_{expr.dtype}({self.vector(expr.offset, coords)})"
        text = self.scalar(expr.offset, coords)
        if expr.dtype in INTEGERS:
            return f"const_{expr.dtype}({text})"
        return f"cast_{expr.dtype}(const_i64({text}))"

    def uniform(self, expr: Expr, coords: Coords) -> str:
        seed, step = (self.integer(a) for a in expr.args)
        assert isinstance(expr.value, tuple)
        place, word = expr.value
        varies = self.kernel.lane in expr.offset.iters
        element = self.vector(expr.offset, coords) if varies else (
            f"const_i64({self.scalar(expr.offset, coords)})"
        )
        return f"uniform_{expr.dtype}({seed}, {step}, {element}, {place}, {word})"

    def integer(self, expr: Expr) -> str:
        """A scalar integer, the same in all lanes."""
        if expr.op == "load" and expr.buffer is not None and not expr.offset.terms:
            return f"get_{expr.dtype}({self.argument(expr.buffer)}, {self.size(expr.offset.const)})"
        if expr.op == "const":
            return str(expr.value)
        return f"scalar_i64(cast_i64({self.value(expr, {})}))"

    def load(self, expr: Expr, coords: Coords) -> str:
        buffer, offset, lane = expr.buffer, expr.offset, self.kernel.lane
        assert buffer is not None
        base, dtype = self.argument(buffer), buffer.dtype
        mask = self.mask(expr.tests, coords)
        if lane is None or lane not in offset.iters:
            return self.splat(expr, coords, mask)
        if not offset.regular(lane):
            return f"gather_{dtype}({base}, {self.vector(offset, coords)}, {self.safe(mask, coords)})"
        start, stride = self.scalar(offset, coords), self.size(offset.of(lane))
        if stride != "1":
            return f"load_strided_{dtype}({base}, {start}, {stride}, {self.safe(mask, coords)})"
        if mask is None and (buffer.padded or self.tail(coords) is None):
            return f"load_{dtype}({base}, {start})"
        return f"load_masked_{dtype}({base}, {start}, {self.safe(mask, coords)})"

    def splat(self, expr: Expr, coords: Coords, mask: str | None) -> str:
        assert expr.buffer is not None
        base, dtype = self.argument(expr.buffer), expr.buffer.dtype
        where = self.scalar(expr.offset, coords)
        if mask is None:
            return f"splat_{dtype}({base}, {where})"
        conditions = [self.holds(t, coords) for t in expr.tests if self.kernel.lane not in t.index.iters]
        if conditions:
            where = f"({where}) if ({' and '.join(conditions)}) else 0"
        return f"select({mask}, splat_{dtype}({base}, {where}), {constant(expr.dtype, 0)})"

    def safe(self, mask: str | None, coords: Coords) -> str:
        """The mask that keeps a load or store inside its axis."""
        tail = self.tail(coords)
        parts = [m for m in (mask, tail) if m is not None]
        if not parts:
            return "all_lanes()"
        return parts[0] if len(parts) == 1 else f"and_({parts[0]}, {parts[1]})"

    def tail(self, coords: Coords) -> str | None:
        """The mask of lanes inside the lane axis; None where all always are."""
        lane = self.kernel.lane
        if lane is None or (lane.size.constant or 1) % self.lanes == 0 and lane.size.constant is not None:
            return None
        key = ("tail", coords.get(lane, 0))
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        name = self.fresh("m")
        start = self.iter_text(lane, coords)
        self.line(f"{name} = below({self.size(lane.size)} - ({start}))")
        self.scopes[-1][key] = name
        return name

    # ---- indices ----
    def iter_text(self, iter: Iter, coords: Coords) -> str:
        shift = coords.get(iter, 0)
        return f"{self.name(iter)} + {shift}" if shift else self.name(iter)

    def scalar(self, index: Affine, coords: Coords) -> str:
        """An index as an integer; of the first lane where it varies with the lanes."""
        parts = []
        for atom, coefficient in index.terms:
            text, k = self.atom(atom, coords), self.size(coefficient)
            if k == "1":
                parts.append(text)
            else:
                parts.append(f"({text}) * {k}" if " " in text else f"{text} * {k}")
        if index.const != Size() or not parts:
            parts.append(self.size(index.const))
        return " + ".join(parts).replace("+ -", "- ")

    def atom(self, atom: Atom, coords: Coords) -> str:
        match atom:
            case Iter():
                return self.iter_text(atom, coords)
            case Quot(index=index, size=size):
                return f"floor_div({self.scalar(index, coords)}, {self.size(size)})"
            case Rem(index=index, size=size):
                return f"floor_mod({self.scalar(index, coords)}, {self.size(size)})"
            case Data(value=value, size=size):
                here = {i: c for i, c in coords.items() if i in value.deps}
                found = f"scalar_i64(cast_i64({self.value(value, here)}))"
                return f"imax(imin({found}, {self.size(size)} - 1), 0)"

    def vector(self, index: Affine, coords: Coords) -> str:
        """An index as a vector of i64, one for each lane."""
        lane = self.kernel.lane
        fixed = [t for t in index.terms if lane not in atom_iters(t[0])]
        text = f"const_i64({self.scalar(Affine(tuple(fixed), index.const), coords)})"
        for atom, coefficient in index.terms:
            if lane not in atom_iters(atom):
                continue
            part, k = self.atom_vector(atom, coords), self.size(coefficient)
            part = part if k == "1" else f"mul({part}, const_i64({k}))"
            text = part if text == "const_i64(0)" else f"add({text}, {part})"
        return text

    def atom_vector(self, atom: Atom, coords: Coords) -> str:
        match atom:
            case Iter():
                return f"lanes_i64({self.iter_text(atom, coords)})"
            case Quot(index=index, size=size):
                return f"floordiv({self.vector(index, coords)}, const_i64({self.size(size)}))"
            case Rem(index=index, size=size):
                return f"mod({self.vector(index, coords)}, const_i64({self.size(size)}))"
            case Data(value=value, size=size):
                found = f"cast_i64({self.value(value, coords)})"
                top = f"minimum({found}, const_i64({self.size(size)} - 1))"
                return f"maximum({top}, const_i64(0))"

    def holds(self, test: Test, coords: Coords) -> str:
        index = self.scalar(test.index, coords)
        return f"0 <= {index} < {self.size(test.size)}"

    def mask(self, tests: tuple[Test, ...], coords: Coords) -> str | None:
        """Where all tests hold; None for no tests."""
        if not tests:
            return None
        uniform = [t for t in tests if self.kernel.lane not in t.index.iters]
        parts = []
        if uniform:
            conditions = " and ".join(self.holds(t, coords) for t in uniform)
            parts.append(f"mask_of({conditions})")
        for t in tests:
            if t not in uniform:
                index, size = self.vector(t.index, coords), self.size(t.size)
                parts.append(f"and_(ge({index}, const_i64(0)), lt({index}, const_i64({size})))")
        text = parts[0]
        for part in parts[1:]:
            text = f"and_({text}, {part})"
        key = ("mask", tests, tuple(sorted((str(i), c) for i, c in coords.items())))
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        name = self.fresh("m")
        self.line(f"{name} = {text}")
        self.scopes[-1][key] = name
        return name

    # ---- stores ----
    def store(self, stores: list[Store]) -> None:
        """At each place of the tile first all values, then all stores: updates are in place."""
        if not stores:
            return
        every = frozenset[Iter]().union(*(s.offset.iters | s.expr.deps for s in stores))
        for coords in self.coords(every):
            ready = []
            for s in stores:
                own = {i: c for i, c in coords.items() if i in s.offset.iters | s.expr.deps}
                if all(coords[i] == 0 for i in coords if i not in own):
                    ready.append((s, own, self.value(s.expr, own)))
            for s, own, value in ready:
                self.store_one(s, own, value)

    def store_one(self, s: Store, coords: Coords, value: str) -> None:
        buffer, offset, lane = s.buffer, s.offset, self.kernel.lane
        base, dtype = self.argument(buffer), buffer.dtype
        where = self.scalar(offset, coords)
        if lane is None or lane not in offset.iters:
            if s.add:
                value = f"add(splat_{dtype}({base}, {where}), {value})"
            self.line(f"store_one_{dtype}({base}, {where}, {value})")
            return
        if not offset.regular(lane):
            ix, mask = self.vector(offset, coords), self.safe(None, coords)
            assert not s.add
            self.line(f"put_{dtype}({base}, {ix}, {value}, {mask})")
            return
        stride = self.size(offset.of(lane))
        if stride != "1":
            mask = self.safe(None, coords)
            if s.add:
                value = f"add(load_strided_{dtype}({base}, {where}, {stride}, {mask}), {value})"
            self.line(f"store_strided_{dtype}({base}, {where}, {stride}, {value}, {mask})")
            return
        if buffer.padded or self.tail(coords) is None:
            if s.add:
                value = f"add(load_{dtype}({base}, {where}), {value})"
            self.line(f"store_{dtype}({base}, {where}, {value})")
            return
        mask = self.safe(None, coords)
        if s.add:
            value = f"add(load_masked_{dtype}({base}, {where}, {mask}), {value})"
        self.line(f"store_masked_{dtype}({base}, {where}, {value}, {mask})")

    # ---- sorting ----
    def sort(self) -> None:
        """Bottom-up merge sort of indices, stable, NaN last; one unit sorts a row."""
        (load, store) = self.kernel.nests[0].body
        assert isinstance(load, Accumulate)
        assert isinstance(store, Store)
        source, axis = load.expr, self.kernel.nests[0].reduced[0]
        assert source.buffer is not None
        count = product([i.size for i in [*self.kernel.units, axis]])
        spare = Buffer("spare", "i32", (), {}, "arena", elements=count)
        names = {
            "x": self.argument(source.buffer), "out": self.argument(store.buffer),
            "spare": self.argument(spare), "n": self.size(axis.size), "D": source.dtype,
            "sx": self.size(source.offset.of(axis)), "so": self.size(store.offset.of(axis)),
        }  # fmt: skip
        self.line("for unit in range(lo, hi):")
        self.depth += 1
        self.decode()
        self.line(f"{self.name(axis)} = 0")
        self.line(f"x0 = {self.scalar(source.offset, {})}")
        self.line(f"o0 = {self.scalar(store.offset, {})}")
        for line in _MERGE_SORT.strip("\n").split("\n"):
            self.line(line.format(**names))
        self.depth -= 1


_MERGE_SORT = """
s0 = unit * {n}
for i in range(0, {n}):
    set_i32({out}, o0 + i * {so}, i)
width = 1
while width < {n}:
    for start in range(0, {n}, 2 * width):
        mid = imin(start + width, {n})
        end = imin(mid + width, {n})
        i = start
        j = mid
        for k in range(start, end):
            right = j < end
            if right and i < mid:
                a = splat_{D}({x}, x0 + get_i32({out}, o0 + i * {so}) * {sx})
                b = splat_{D}({x}, x0 + get_i32({out}, o0 + j * {so}) * {sx})
                right = any_lane(or_(lt(b, a), and_(ne(a, a), eq(b, b))))
            if right:
                set_i32({spare}, s0 + k, get_i32({out}, o0 + j * {so}))
                j = j + 1
            else:
                set_i32({spare}, s0 + k, get_i32({out}, o0 + i * {so}))
                i = i + 1
    for k in range(0, {n}):
        set_i32({out}, o0 + k * {so}, get_i32({spare}, s0 + k))
    width = 2 * width
"""


def describe(node: Node) -> str:
    """A node in a kernel's headline."""
    axes = ", ".join(str(a) for a in node.type.axes)
    return f"{node.path + ' ' if node.path else ''}{node.op}[{axes}]"


def constant(dtype: DType, value: object) -> str:
    """A literal in all lanes."""
    if dtype == "bool":
        return "all_lanes()" if value else "no_lanes()"
    if dtype in FLOATS:
        number = float(value)  # type: ignore[arg-type]
        if math.isnan(number):
            return f"const_{dtype}(nan)"
        if math.isinf(number):
            return f"const_{dtype}({'-inf' if number < 0 else 'inf'})"
        return f"const_{dtype}({number!r})"
    return f"const_{dtype}({int(value)})"  # type: ignore[call-overload]


def _invariant(expr: Expr, inner: set[Iter]) -> Iterator[Expr]:
    """The largest parts of an expression that do not vary with the inner loops."""
    todo, seen = [expr], set[int]()
    while todo:
        e = todo.pop()
        if id(e) in seen:
            continue
        seen.add(id(e))
        if not e.deps & inner:
            if e.op != "ref":
                yield e
        else:
            todo += e.args


__all__ = ["Printed", "at", "constant", "describe", "print_kernel"]
