"""Expressions of a kernel as text: loads, indices, masks, and functions of values."""

from __future__ import annotations

import math
from dataclasses import replace

from dlc.codegen.text import Coords, KernelText
from dlc.graph import FLOATS, INTEGERS, DType, Size
from dlc.schedule.index import Affine, Atom, Data, Iter, Quot, Rem, atom_iters
from dlc.schedule.kernel import Buffer, Expr, Test


class Values(KernelText):
    """Prints each subexpression once for each tile coordinate that it depends on."""

    __slots__ = ()

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
        here = {i: c for i, c in coords.items() if i in expr.deps}
        chosen = self.chosen(expr, here)
        if chosen is not None:
            return self.value(chosen, here)
        text = self.compute(expr, here)
        for scope in reversed(self.scopes):
            if text in scope:  # other expressions that came to the same at this place
                return scope[text]
        name = self.fresh("v")
        self.line(f"{name} = {text}")
        self.scopes[-1][key] = self.scopes[-1][text] = name
        return name

    def chosen(self, expr: Expr, coords: Coords) -> Expr | None:
        """The side of a choice that the place in the tile decides."""
        if expr.op != "select" or expr.args[0].op != "inside":
            return None
        decided = [self.decided(t, coords) for t in expr.args[0].tests]
        if False in decided:
            return expr.args[2]
        return expr.args[1] if None not in decided else None

    def decided(self, test: Test, coords: Coords) -> bool | None:
        """Whether a test holds, where the place in the tile tells."""
        index, size = self.fixed(test.index, coords), test.size.constant
        return None if index is None or size is None else 0 <= index < size

    def fixed(self, index: Affine, coords: Coords) -> int | None:
        """An index as a number, where the place in the tile tells."""
        total = index.const.constant
        for atom, coefficient in index.terms:
            value, k = self.fixed_atom(atom, coords), coefficient.constant
            if total is None or value is None or k is None:
                return None
            total += value * k
        return total

    def fixed_atom(self, atom: Atom, coords: Coords) -> int | None:
        """A term of such an index: loops in the tile begin at multiples of their part of it."""
        match atom:
            case Iter():
                count = self.dividing(atom)
                return coords.get(atom, 0) if count and count == atom.size.constant else None
            case Rem(index=index, size=size) if len(index.terms) == 1:
                (iter, step), first = index.terms[0], index.const.constant
                if not isinstance(iter, Iter) or step != Size.of(1) or first is None:
                    return None
                n, count = size.constant, self.dividing(iter)
                return (coords.get(iter, 0) + first) % n if n and count and not count % n else None
        return None

    def dividing(self, iter: Iter) -> int:
        """How many places of a loop the tile holds, if it divides it; 0 if not, or of the lanes."""
        count, size = self.tile.get(iter, 1), iter.size.constant
        whole = count > 1 and iter != self.kernel.lane and size is not None and size % count == 0
        return count if whole else 0

    def compute(self, expr: Expr, coords: Coords) -> str:
        """A value as an expression over named values."""
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
        """An index as a value of some dtype."""
        if self.kernel.lane in expr.offset.iters:
            return f"cast_{expr.dtype}({self.vector(expr.offset, coords)})"
        text = self.scalar(expr.offset, coords)
        if expr.dtype in INTEGERS:
            return f"const_{expr.dtype}({text})"
        return f"cast_{expr.dtype}(const_i64({text}))"

    def uniform(self, expr: Expr, coords: Coords) -> str:
        """A random draw."""
        seed, step = (self.integer(a) for a in expr.args)
        assert isinstance(expr.value, tuple)
        place, word = expr.value
        varies = self.kernel.lane in expr.offset.iters
        element = (
            self.vector(expr.offset, coords)
            if varies
            else (f"const_i64({self.scalar(expr.offset, coords)})")
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
        """An element, or a vector of them."""
        buffer, offset, lane = expr.buffer, expr.offset, self.kernel.lane
        assert buffer is not None
        base, dtype = self.argument(buffer), buffer.dtype
        kept = tuple(t for t in expr.tests if not self.decided(t, coords))
        if len(kept) < len(expr.tests):
            expr = replace(expr, tests=kept)
        mask = self.mask(expr.tests, coords)
        if lane is None or lane not in offset.iters:
            return self.splat(expr, coords, mask)
        step = offset.step(lane, self.lanes)
        if step is None:
            return (
                f"gather_{dtype}({base}, {self.vector(offset, coords)}, {self.safe(mask, coords)})"
            )
        start, stride = self.scalar(offset, coords), self.size(step)
        if stride != "1":
            return f"load_strided_{dtype}({base}, {start}, {stride}, {self.safe(mask, coords)})"
        left = None if mask is not None else self.left(coords)
        clean = buffer.padded and (buffer.place == "scratch" or buffer.panel > 0)  # copies fill it
        if mask is None and (left is None or clean):
            return f"load_{dtype}({base}, {start})"
        if left is not None and buffer.padded:
            return self.beyond(dtype, base, start, left)
        return f"load_masked_{dtype}({base}, {start}, {self.safe(mask, coords)})"

    def beyond(self, dtype: DType, base: str, start: str, left: str) -> str:
        """A vector that reaches into the padding of a buffer, whatever lies there."""
        return f"load_{dtype}({base}, {start})"

    def splat(self, expr: Expr, coords: Coords, mask: str | None) -> str:
        """One element in all lanes."""
        assert expr.buffer is not None
        base, dtype = self.argument(expr.buffer), expr.buffer.dtype
        where = self.scalar(expr.offset, coords)
        if mask is None:
            return f"splat_{dtype}({base}, {where})"
        conditions = [
            self.holds(t, coords) for t in expr.tests if self.kernel.lane not in t.index.iters
        ]
        if conditions:
            where = f"({where}) if ({' and '.join(conditions)}) else 0"
        return f"select({mask}, splat_{dtype}({base}, {where}), {constant(expr.dtype, 0)})"

    def prefetch(self, buffer: Buffer, offset: Affine, coords: Coords) -> None:
        """Asks for a line that is needed soon; it need not be inside the buffer."""
        where = self.scalar(offset, coords)
        self.line(f"prefetch_{buffer.dtype}({self.argument(buffer)}, {where})")

    def safe(self, mask: str | None, coords: Coords) -> str:
        """The mask that keeps a load or store inside its axis."""
        parts = [m for m in (mask, self.tail(coords)) if m is not None]
        if not parts:
            return "all_lanes()"
        return parts[0] if len(parts) == 1 else f"and_({parts[0]}, {parts[1]})"

    def owned(self, buffer: Buffer, offset: Affine) -> bool:
        """Whether what a vector writes behind the lane axis is padding: no loop walks in a row."""
        if buffer.place == "scratch":
            return True
        row = buffer.row()
        others = [k for atom, k in offset.terms if self.kernel.lane not in atom_iters(atom)]
        return not others if row is None else all((k - row).at_least(0) for k in others)

    def tail(self, coords: Coords) -> str | None:
        """The mask of these lanes."""
        left = self.left(coords)
        return None if left is None else self.shared(f"below({left})", "m")

    def left(self, coords: Coords) -> str | None:
        """How many lanes are inside the lane axis, or more; None where all always are."""
        lane = self.kernel.lane
        if lane is None or self.full:
            return None
        known = lane.size.constant
        if known is not None and known % self.lanes == 0 and not self.flat:
            return None
        if coords.get(lane, 0) + self.lanes < self.tile.get(lane, 0):
            return None  # of a tile the last vector alone may lie across the end
        start = self.iter_text(lane, coords)
        return self.shared(f"{self.size(lane.size)} - ({start})")

    def scalar(self, index: Affine, coords: Coords) -> str:
        """An index as an integer; of the first lane where it varies with the lanes.

        What places of the tile share is computed once: Numba takes long over each operation.
        """
        parts, shift = [], index.const
        for atom, coefficient in index.terms:
            here = coords
            if isinstance(atom, Iter) and atom not in self.clamped:
                shift, here = shift + coefficient * coords.get(atom, 0), {}
                if self.unrolled(atom):
                    continue
            text, k = self.atom(atom, here), self.size(coefficient)
            if k == "1":
                parts.append(text)
            else:
                parts.append(f"({text}) * {k}" if " " in text else f"{text} * {k}")
        base = " + ".join(parts)
        if len(parts) > 1:
            base = self.shared(base)
        if shift == Size() and parts:
            return base
        rest = self.size(shift)
        return f"{base} + {rest}".replace("+ -", "- ") if parts else rest

    def shared(self, text: str, prefix: str = "o") -> str:
        """The name of an integer or a mask, printed where it is first needed."""
        for scope in reversed(self.scopes):
            if text in scope:
                return scope[text]
        name = self.fresh(prefix)
        self.line(f"{name} = {text}")
        self.scopes[-1][text] = name
        return name

    def atom(self, atom: Atom, coords: Coords) -> str:
        """A term of a scalar index."""
        match atom:
            case Iter():
                return self.iter_text(atom, coords)
            case Quot() if (whole := self.quotient(atom, coords)) is not None:
                return whole
            case Quot(index=index, size=size):
                return f"floor_div({self.scalar(index, coords)}, {self.size(size)})"
            case Rem() if (rest := self.fixed_atom(atom, coords)) is not None:
                return str(rest)
            case Rem(index=index, size=size):
                return f"floor_mod({self.scalar(index, coords)}, {self.size(size)})"
            case Data(value=value, size=size, sure=sure):
                here = {i: c for i, c in coords.items() if i in value.deps}
                found = f"scalar_i64(cast_i64({self.value(value, here)}))"
                if sure and size.constant is not None:  # the compiler sees that it is not negative
                    return f"({found} & {(1 << (size.constant - 1).bit_length()) - 1})"
                return f"imax(imin({found}, {self.size(size)} - 1), 0)"

    def quotient(self, atom: Quot, coords: Coords) -> str | None:
        """A quotient whose remainder the place in the tile tells."""
        if self.fixed_atom(Rem(atom.index, atom.size), coords) is None:
            return None
        (iter, _), n = atom.index.terms[0], atom.size.constant
        first = atom.index.const.constant
        assert isinstance(iter, Iter)
        assert n is not None
        assert first is not None
        return f"floor_div({self.name(iter)}, {n}) + {(coords.get(iter, 0) + first) // n}"

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
        """A term of an index that varies with the lanes."""
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
        """A test as a scalar condition."""
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
        return self.shared(text, "m")


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
