"""Maps and reductions against PyTorch, in and out of cache, with GB/s against a bare copy.

    python benchmarks/maps.py [PATTERN] [--alone] [--python PATH] [--out FILE]

Bytes are those of the arrays that are read and written, once each. In cache the bare copy is our
own kernel of y = -x; out of cache it is the machine's, as `dlc doctor -v` measures it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from operations import OTHER, Operation, Table, options_of, run, told
from peers import OURS
from shown import microseconds

ROWS, COLUMNS = {"in cache": 128, "out of cache": 16384}, 1024
"""512 KB an array, and 64 MB."""
COPY = "negate"
MATRIX, VECTOR, LABELS = "N, D", "D", "N"
IMAGE, TAPS = "N, Y, X, C", "TY, TX, C"
PLANE = {"Y": 16, "X": 16, "C": 64, "TY": 3, "TX": 3}
"""An image has as many elements as 16 rows of a matrix."""


@dataclass(frozen=True, slots=True)
class Map:
    """A value in the language over arrays by name and axes; `label` is of integers below D."""

    name: str
    arrays: tuple[tuple[str, str], ...]
    value: str
    result: str = MATRIX
    writes: int = 1
    """How many arrays like the result are written."""
    draws: bool = False
    updates: tuple[tuple[str, str], ...] = ()
    """Results that go over inputs."""


X, G = ("x", MATRIX), ("g", MATRIX)
WEIGHTS = (("scale", VECTOR), ("shift", VECTOR))
LAYER = "(x - mean(x, over=D)) * rsqrt(var(x, over=D) + 1e-5) * scale + shift"
BATCH = LAYER.replace("over=D", "over=N")
MOMENTS = tuple((name, MATRIX) for name in "pmvg")
ADAM = "p - 1e-3 / (1 - 0.9 ** 2) * m2 / (sqrt(v2) * (1 / sqrt(1 - 0.999 ** 2)) + 1e-8), m2, v2"
MAPS = (
    Map("negate", (X,), "-x"),
    Map("relu", (X,), "relu(x)"),
    Map("exp", (X,), "exp(x)"),
    Map("tanh", (X,), "tanh(x)"),
    Map("sigmoid", (X,), "sigmoid(x)"),
    Map("gelu", (X,), "gelu(x)"),
    Map("gelu_gradient", (X, G), "grad(sum(gelu(x) * g), wrt=x)"),
    Map("dropout", (X,), "where(bernoulli(0.5)[N, D], x / 0.5, 0)", draws=True),
    Map("softmax", (X,), "softmax(x, over=D)"),
    Map("softmax_gradient", (X, G), "grad(sum(softmax(x, over=D) * g), wrt=x)"),
    Map("layer_norm", (X, *WEIGHTS), LAYER),
    Map("layer_norm_gradient", (X, *WEIGHTS, G), f"grad(sum(({LAYER}) * g), wrt=x)"),
    Map("batch_norm", (X, *WEIGHTS), BATCH),
    Map("batch_norm_gradient", (X, *WEIGHTS, G), f"grad(sum(({BATCH}) * g), wrt=x)"),
    Map("cross_entropy", (X, ("label", LABELS)), "cross_entropy(x, label, over=D)", LABELS),
    Map(
        "cross_entropy_gradient", (X, ("label", LABELS)),
        "grad(mean(cross_entropy(x, label, over=D)), wrt=x)",
    ),
    Map("sum_rows", (X,), "sum(x, over=D)", LABELS),
    Map("sum_columns", (X,), "sum(x, over=N)", VECTOR),
    Map("transpose", (X,), "x", "D, N"),
    Map("adam", MOMENTS, ADAM, writes=3, updates=(("out", "p"), ("m2", "m"), ("v2", "v"))),
    Map("max_pool", (("x", IMAGE),), "max_pool(x, 2)", "N, Y=8, X=8, C"),
    Map(
        "max_pool_gradient", (("x", IMAGE), ("g", "N, Y=8, X=8, C")),
        "grad(sum(max_pool(x, 2) * g), wrt=x)", IMAGE,
    ),
    Map(
        "depthwise", (("x", IMAGE), ("w", TAPS)),
        "dot(window(x, (Y, X) -> (Y, X, TY=3, TX=3), pad=1), w, over=(TY, TX))", IMAGE,
    ),
)  # fmt: skip


def main() -> None:
    run(cases(), options_of(__doc__), Rates)


def cases() -> Iterator[Operation]:
    for where, rows in ROWS.items():
        for one in MAPS:
            yield operation(one, where, rows)


def operation(one: Map, where: str, rows: int) -> Operation:
    image = any(axes == IMAGE for _, axes in one.arrays)
    known = {**PLANE, "N": rows // 16} if image else {"N": rows, "D": COLUMNS}
    shapes = {name: _shape(axes, known) for name, axes in one.arrays}
    arrays = tuple(
        (name, shape, *(("int32", COLUMNS) if name == "label" else ("float32", 0)))
        for name, shape in shapes.items()
    )
    moved = sum(_elements(shape) for shape in shapes.values())
    moved += one.writes * _elements(_shape(one.result, known))
    return Operation(
        f"{one.name}, {where}", _text(one, known), arrays, one.name, {}, 0, 4 * moved, one.draws,
        one.updates,
    )  # fmt: skip


def _text(one: Map, known: dict[str, int]) -> str:
    sizes = ", ".join(f"{axis} = {size}" for axis, size in known.items() if axis != "N")
    kinds = {name: "i32" if name == "label" else "f32" for name, _ in one.arrays}
    inputs = ", ".join(f"{name}: {kinds[name]}[{axes}]" for name, axes in one.arrays)
    result, body = f"f32[{one.result}]", []
    if one.name == "adam":
        result = f"(out: {result}, m2: {result}, v2: {result})"
        body = ["m2 = 0.9 * m + 0.1 * g", "v2 = 0.999 * abs(v) + 0.001 * g ** 2"]
    lines = [*body, f"return {one.value}"]
    head = f"axis N, {sizes}\n\nmodel Single({inputs}) -> {result}:\n"
    return head + "".join(f"    {line}\n" for line in lines)


def _shape(axes: str, known: dict[str, int]) -> tuple[int, ...]:
    parts = (axis.partition("=") for axis in axes.split(", "))
    return tuple(int(size) if size else known[name] for name, _, size in parts)


def _elements(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


class Rates(Table):
    """The copies in cache are remembered as they are measured: they come first."""

    def head(self) -> str:
        self.copies: dict[str, float] = {"out of cache": self.limits.bytes}
        return self.cells(
            f"a copy out of cache: {self.limits.bytes / 1e9:,.1f} GB/s",
            ("median", "min", "GB/s", "of copy", "torch", "min", "GB/s", "x ours"),
        )

    def with_rates(self, result: dict[str, Any]) -> dict[str, Any]:
        name, where = result["name"].split(", ")
        for figures in result["peers"].values():
            figures["bytes_per_second"] = result["bytes"] / figures["median"] * 1e6
        if name == COPY:
            self.copies.setdefault(where, result["peers"][OURS]["bytes_per_second"])
        if where in self.copies:
            for figures in result["peers"].values():
                figures["of_copy"] = figures["bytes_per_second"] / self.copies[where]
        return result

    def line(self, result: dict[str, Any]) -> str:
        ours, theirs = result["peers"][OURS], result["peers"].get(OTHER)
        cells = [microseconds(ours["median"]), microseconds(ours["min"])]
        cells += [f"{ours['bytes_per_second'] / 1e9:,.1f}"]
        cells += [f"{ours['of_copy']:.0%}" if "of_copy" in ours else ""]
        if theirs is not None:
            cells += [microseconds(theirs["median"]), microseconds(theirs["min"])]
            cells += [f"{theirs['bytes_per_second'] / 1e9:,.1f}"]
            cells += [f"{theirs['median'] / ours['median']:.2f}"]
        return self.cells(result["name"], cells) + told(result)


if __name__ == "__main__":
    main()
