"""Single products and convolutions against PyTorch (oneDNN, channels last).

    python benchmarks/contractions.py [PATTERN] [--random SEED] [--alone] [--python PATH]

Prints GFLOP/s, the share of the machine's measured peak, and how many times ours PyTorch's time is.
A call takes arrays and gives a fresh one; weights lie as a `.dl` file declares them. With a seed
the shapes are drawn: any sizes, kernels of 1 to 7, strides of 1 to 3, 3 to 1,000 channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from operations import OTHER, Operation, Table, options_of, run, told
from peers import OURS
from shown import microseconds

SQUARES = (256, 512, 1024, 2048)
PRODUCTS = (
    (255, 255, 255), (777, 1000, 501), (1, 784, 128), (1, 1024, 1024), (64, 784, 128),
    (64, 3136, 128), (512, 3136, 128), (128, 1000, 1000),
)  # fmt: skip
"""Rows, summed axis, columns."""
CONVOLUTIONS = (
    # batch, height, width, channels in and out, kernel, stride
    (32, 32, 32, 16, 16, 3, 1),
    (32, 28, 28, 32, 32, 3, 1),
    (32, 28, 28, 64, 64, 3, 1),
    (32, 14, 14, 128, 128, 3, 1),
    (32, 7, 7, 256, 256, 3, 1),
    (64, 28, 28, 1, 32, 3, 1),
    (64, 14, 14, 32, 64, 3, 1),
    (1, 14, 14, 32, 64, 3, 1),
    (1, 28, 28, 128, 128, 3, 1),
    (512, 8, 8, 64, 64, 3, 1),
    (5, 29, 31, 17, 23, 3, 1),
    (32, 32, 32, 16, 32, 3, 2),
    (16, 33, 33, 32, 64, 3, 3),
    (32, 28, 28, 64, 256, 1, 1),
    (32, 28, 28, 64, 128, 1, 2),
    (16, 7, 7, 256, 1000, 1, 1),
    (4, 112, 112, 3, 64, 7, 2),
    (8, 28, 28, 16, 32, 5, 1),
)
PRODUCT = """axis M, K = {k}, N = {n}

model Single(a: f32[{a}], b: f32[{b}]) -> f32[M, N]:
    return dot(a, b, over=K)
"""
CONVOLUTION = """axis N, Y = {y}, X = {x}, C = {c}, D = {d}, TY = {t}, TX = {t}

model Single({inputs}) -> {result}:
    y = dot(window(x, (Y, X) -> (Y, X, TY={t}, TX={t}), stride={s}, pad={p}), w, over=(C, TY, TX))
    return {value}
"""
GRADIENT = "grad(sum(y * g), wrt={})"


DRAWN = 12
"""Products, and convolutions, that a seed draws."""
SIZES = (1, 3, 7, 16, 33, 64, 100, 128, 200, 255, 333, 512, 777, 1000)
BATCHES = (1, 1, 2, 3, 8, 16, 32, 64, 100, 128, 512)
IMAGES = (5, 7, 8, 9, 13, 14, 17, 28, 32, 33, 56, 64, 112, 224)
CHANNELS = (3, 4, 8, 10, 16, 17, 23, 24, 32, 48, 64, 96, 100, 128, 192, 256, 512, 1000)
FEWEST, MOST, ELEMENTS = 4e6, 1e9, 8e6
"""Operations of a drawn case, and how many elements an image's batch has at most."""


def main() -> None:
    options = options_of(__doc__, seeded=True)
    run(cases() if options.random is None else drawn(options.random), options, Rates)


def drawn(seed: int) -> Iterator[Operation]:
    """Products and convolutions of shapes by a seed."""
    random = Random(seed)
    for _ in range(DRAWN):
        m, k, n = (random.choice(SIZES) for _ in range(3))
        yield product(m, k, n, random.choice(("nn", "nt", "tn")))
    found = 0
    while found < DRAWN:
        batch, size = random.choice(BATCHES), random.choice(IMAGES)
        c, d = random.choice(CHANNELS), random.choice(CHANNELS)
        taps, stride = random.choice((1, 1, 3, 3, 3, 5, 7)), random.choice((1, 1, 2, 3))
        result = (size + taps // 2 * 2 - taps) // stride + 1
        flops = 2 * batch * result * result * c * d * taps * taps
        small = batch * max(size * size * c, result * result * d) < ELEMENTS
        if FEWEST < flops < MOST and small and stride <= max(taps, 3) and taps <= size:
            found += 1
            yield from convolutions(batch, size, size, c, d, taps, stride)


def cases() -> Iterator[Operation]:
    for size in SQUARES:
        yield product(size, size, size)
    for over in ("tn", "nt"):
        yield product(512, 512, 512, over)
    for sizes in PRODUCTS:
        yield product(*sizes)
    for sizes in CONVOLUTIONS:
        yield from convolutions(*sizes)


def product(m: int, k: int, n: int, over: str = "nn") -> Operation:
    """`over` tells which operands lie transposed."""
    a, b = ("K, M" if over[0] == "t" else "M, K"), ("N, K" if over[1] == "t" else "K, N")
    sizes = {"M": m, "K": k, "N": n}
    shapes = [tuple(sizes[axis] for axis in axes.split(", ")) for axes in (a, b)]
    arrays = tuple((name, s, "float32", 0) for name, s in zip("ab", shapes, strict=True))
    kind = {"nn": "", "tn": ", first transposed", "nt": ", second transposed"}[over]
    text = PRODUCT.format(k=k, n=n, a=a, b=b)
    options = {"over": over}
    return Operation(f"{m} x {k} x {n}{kind}", text, arrays, "product", options, 2 * m * k * n)


def convolutions(n: int, y: int, x: int, c: int, d: int, t: int, s: int) -> Iterator[Operation]:
    """Forward and both gradients."""
    p = t // 2
    oy, ox = ((size + 2 * p - t) // s + 1 for size in (y, x))
    flops = 2 * n * oy * ox * d * c * t * t
    image, weight, result = ("x", (n, y, x, c)), ("w", (c, t, t, d)), ("g", (n, oy, ox, d))
    types = {
        "x": "f32[N, Y, X, C]", "w": "f32[C, TY, TX, D]", "g": f"f32[N, Y={oy}, X={ox}, D]"
    }  # fmt: skip
    name = f"{t}x{t} {c}-{d} on {n} x {y}x{x}" + (f" stride {s}" if s > 1 else "")
    options = {"stride": s, "pad": p}
    todo = (
        ("", (image, weight), types["g"], "y", "convolution"),
        (", by input", (image, weight, result), types["x"], GRADIENT.format("x"), "by_input"),
        (", by weights", (image, weight, result), types["w"], GRADIENT.format("w"), "by_weights"),
    )
    for suffix, given, output, value, function in todo:
        inputs = ", ".join(f"{one}: {types[one]}" for one, _ in given)
        text = CONVOLUTION.format(
            y=y, x=x, c=c, d=d, t=t, s=s, p=p, inputs=inputs, result=output, value=value
        )
        arrays = tuple((one, shape, "float32", 0) for one, shape in given)
        yield Operation(name + suffix, text, arrays, function, options, flops)


class Rates(Table):
    def head(self) -> str:
        return self.cells(
            f"peak {self.limits.flops / 1e9:,.0f} GFLOP/s",
            ("median", "min", "GFLOP/s", "of peak", "torch", "min", "GFLOP/s", "x ours"),
        )

    def with_rates(self, result: dict[str, Any]) -> dict[str, Any]:
        for figures in result["peers"].values():
            figures["flops_per_second"] = result["flops"] / figures["median"] * 1e6
            figures["of_peak"] = figures["flops_per_second"] / self.limits.flops
        return result

    def line(self, result: dict[str, Any]) -> str:
        ours, theirs = result["peers"][OURS], result["peers"].get(OTHER)
        cells = [microseconds(ours["median"]), microseconds(ours["min"])]
        cells += [f"{ours['flops_per_second'] / 1e9:,.1f}", f"{ours['of_peak']:.0%}"]
        if theirs is not None:
            cells += [microseconds(theirs["median"]), microseconds(theirs["min"])]
            cells += [f"{theirs['flops_per_second'] / 1e9:,.1f}"]
            cells += [f"{theirs['median'] / ours['median']:.2f}"]
        return self.cells(result["name"], cells) + told(result)


if __name__ == "__main__":
    main()
