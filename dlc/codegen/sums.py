"""Accumulators of a kernel as text: their start, their step, and how they are folded."""

from __future__ import annotations

from itertools import pairwise

from dlc.codegen.text import Coords
from dlc.codegen.values import Values
from dlc.graph import FLOATS
from dlc.schedule.index import Iter
from dlc.schedule.kernel import Accumulate, Nest

NOWHERE = 2**31 - 1
"""The place of the best of nothing yet."""
_LEAST = {"i32": -(2**31), "i64": -(2**63), "u8": 0}
_GREATEST = {"i32": 2**31 - 1, "i64": 2**63 - 1, "u8": 255}


class Sums(Values):
    """Sums, extremes and their places, one accumulator for each tile coordinate."""

    __slots__ = ()

    def sum_coords(self, s: Accumulate) -> list[Coords]:
        """The tile coordinates that have an accumulator of their own."""
        deps = s.expr.deps | (s.position.deps if s.position else frozenset())
        return list(self.coords(deps))

    def acc(self, s: Accumulate, coords: Coords, prefix: str = "") -> str:
        """The name of an accumulator."""
        return prefix + s.name + self.suffix(coords)

    def neutral(self, s: Accumulate) -> str:
        """What an accumulator starts with."""
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
        """Set accumulators to their start."""
        for coords in self.sum_coords(s):
            self.line(f"{self.acc(s, coords)} = {self.neutral(s)}")
            if s.position is not None:
                self.line(f"{self.acc(s, coords, 'at_')} = const_i32({NOWHERE})")

    def accumulate(self, s: Accumulate, coords: Coords, nest: Nest, prefix: str) -> None:
        """One step of one accumulator."""
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
        """Two partial results as one."""
        if s.expr.dtype == "bool":
            return f"{'and_' if s.f == 'min' else 'or_'}({a}, {b})"
        name = {"sum": "add", "max": "maximum", "min": "minimum"}[s.f]
        return f"{name}({a}, {b})"

    def best(self, s: Accumulate, coords: Coords, value: str, mask: str | None) -> None:
        """Keep the first extreme; a NaN is more extreme than any number."""
        assert s.position is not None
        where = self.value(s.position, coords)
        self.better(s, self.acc(s, coords), self.acc(s, coords, "at_"), value, where, mask)

    def later(self, s: Accumulate, acc: str, place: str, value: str, where: str) -> None:
        """Take a value from behind where it is more extreme."""
        hit, worse = self.fresh("hit"), "le" if s.f == "argmax" else "ge"
        better = f"not_({worse}({value}, {acc}))"  # and where one of them is a NaN
        if s.expr.dtype in FLOATS:
            better = f"and_({better}, not_(is_nan({acc})))"
        self.line(f"{hit} = {better}")
        self.line(f"{acc} = select({hit}, {value}, {acc})")
        self.line(f"{place} = select({hit}, {where}, {place})")

    def better(
        self, s: Accumulate, acc: str, place: str, value: str, where: str, mask: str | None
    ) -> None:
        """Take the value where it is more extreme, or as extreme and earlier."""
        test = "gt" if s.f == "argmax" else "lt"
        hit = self.fresh("hit")
        if s.expr.dtype == "bool":
            value = f"cast_i32({value})"
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

    def fold_tile(self, sums: list[Accumulate], loops: list[Iter]) -> None:
        """Reduces loops of which the tile holds every place, in the order of the places."""
        placed = [s for s in sums if s.position is not None]
        for s in placed:
            self.fold_windows(s, loops)
        for s in sums:
            if s.position is not None:
                continue
            twin = next((t for t in placed if (t.f, t.expr) == (f"arg{s.f}", s.expr)), None)
            if twin is None:
                self.fold_windows(s, loops)
                continue
            for kept, _ in self.windows(s, loops):  # the best is known with its place
                self.line(f"{self.acc(s, kept)} = {self.acc(twin, kept)}")
        for s in placed:
            for kept, _ in self.windows(s, loops):
                self.line(f"{self.acc(s, kept)} = {self.acc(s, kept, 'at_')}")

    def windows(self, s: Accumulate, loops: list[Iter]) -> list[tuple[Coords, list[Coords]]]:
        """The places of other loops, each with all places of these."""
        found: dict[str, tuple[Coords, list[Coords]]] = {}
        for coords in self.sum_coords(s):
            kept = {i: c for i, c in coords.items() if i not in loops}
            found.setdefault(self.suffix(kept), (kept, []))[1].append(coords)
        return list(found.values())

    def fold_windows(self, s: Accumulate, loops: list[Iter]) -> None:
        """Reduces the places of each window."""
        for kept, (first, *rest) in self.windows(s, loops):
            acc, place = self.acc(s, kept), self.acc(s, kept, "at_")
            self.line(f"{acc} = {self.value(s.expr, first)}")
            if s.position is None:
                for coords in rest:
                    value = self.value(s.expr, coords)
                    self.line(f"{acc} = {self.combine(s, acc, value)}")
                continue
            self.line(f"{place} = {self.value(s.position, first)}")
            numbers = [self.fixed(s.position.offset, coords) for coords in (first, *rest)]
            rising = None not in numbers and all(a < b for a, b in pairwise(numbers))  # type: ignore[operator]
            for coords in rest:
                value, where = self.value(s.expr, coords), self.value(s.position, coords)
                if rising and s.expr.dtype != "bool":
                    self.later(s, acc, place, value, where)
                else:
                    self.better(s, acc, place, value, where, None)

    def fold(self, s: Accumulate, nest: Nest) -> None:
        """Over the lanes, and over the tile of the lane axis, when that axis was reduced."""
        lane = self.kernel.lane
        if lane not in nest.reduced:
            if s.position is not None:
                for coords in self.sum_coords(s):
                    place = self.placed(nest, self.acc(s, coords, "at_"))
                    self.line(f"{self.acc(s, coords)} = {place}")
            return
        assert lane is not None
        groups: dict[str, list[Coords]] = {}
        for coords in self.sum_coords(s):
            kept = {i: c for i, c in coords.items() if i != lane}
            groups.setdefault(s.name + self.suffix(kept), []).append(coords)
        for name, members in groups.items():
            self.fold_one(s, name, members)
            if s.position is not None and (place := self.placed(nest, name)) != name:
                self.line(f"{name} = {place}")

    def placed(self, nest: Nest, place: str) -> str:
        """The place that was found; 0 of nothing."""
        if all(i.size.constant for i in nest.reduced):
            return place
        return f"select(eq({place}, const_i32({NOWHERE})), const_i32(0), {place})"

    def fold_one(self, s: Accumulate, name: str, members: list[Coords]) -> None:
        """The accumulators of one result as one value in all lanes."""
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
        """The place of the most extreme lane."""
        top = self.fresh("top")
        far = f"const_i32({NOWHERE})"
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
