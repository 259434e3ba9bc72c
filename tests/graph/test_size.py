"""Sizes are canonical: equal polynomials are equal objects, and every form keeps its value."""

import itertools
import random

import pytest

from dlc.graph import Size, parse_size, product

N, M, T = Size.symbol("N"), Size.symbol("M"), Size.symbol("T")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (N + M, M + N), ((N + 1) * 2, 2 * N + 2), (N * M - M * N, Size()), (N - N + 3, Size.of(3)),
        ((2 * N) // 2, N), ((4 * N + 6) // 2, 2 * N + 3), ((4 * N + 3) // 2, 2 * N + 1),
        ((2 * N) // 4, N // 2), ((6 * N + 1) // 4, N + N // 2), ((N // 2) // 3, N // 6),
        ((N // 2 + 1) // 2, (N + 2) // 4), ((N * M) // M, N), ((2 * N + 2) // (N + 1), Size.of(2)),
        ((N * M + M) // (N + 1), M), (N % 1, Size()), (N // 0, Size()), (N % 0, Size()),
        ((N - 1) // 2 + 1, (N + 1) // 2), (N // -1, -N), (Size.of(-7) // 2, Size.of(-4)),
    ],
)  # fmt: skip
def test_equal_sizes_are_equal_objects(left, right):
    assert left == right
    assert hash(left) == hash(right)
    assert left.compare(right) == "equal"


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        (N, N + 1, "different"), (N, N + M + 1, "different"), (N, M, "unknown"), (N, 3, "unknown"),
        (N + 4, 3, "different"), (N // 2, N, "unknown"), (N // 2 + 1, 0, "different"),
        (2 * N + N // 3 + 5, 4, "different"), (N - 5, 0, "unknown"), (Size.of(64), 32, "different"),
    ],
)  # fmt: skip
def test_verdicts(left, right, verdict):
    assert left.compare(right) == verdict
    assert Size.of(right).compare(left) == verdict


def test_what_is_proved_about_bounds():
    assert (N + 1).at_least(1)
    assert not N.at_least(1)
    assert (N // 2 + 2).at_least(2)
    assert (N // M).at_least(0)
    assert not (N - M).at_least(0)
    assert not ((N - 1) // 2).at_least(0)


def test_exact_division():
    assert (6 * N * M).divide(2 * M) == 3 * N
    assert (6 * N).divide(4) is None
    assert N.divide(M) is None
    assert (N * N - 1).divide(N + 1) == N - 1
    assert N.divide(0) is None
    assert product([N, M, Size.of(2)]) == 2 * N * M
    assert product([]) == Size.of(1)


def test_a_size_is_not_ordered_against_numbers():
    with pytest.raises(TypeError):
        assert N < 3
    assert sorted([N, M]) == [M, N]


def grown(rng: random.Random, depth: int):
    """A random size and the same expression as a function of the symbols' values."""
    if not depth or rng.random() < 0.2:
        if rng.random() < 0.5:
            k = rng.randint(-4, 9)
            return Size.of(k), lambda at: k
        name = rng.choice("NMT")
        return Size.symbol(name), lambda at: at[name]
    a, f = grown(rng, depth - 1)
    match rng.choice("+-*/%"):
        case "+":
            b, g = grown(rng, depth - 1)
            return a + b, lambda at: f(at) + g(at)
        case "-":
            b, g = grown(rng, depth - 1)
            return a - b, lambda at: f(at) - g(at)
        case "*":
            b, g = grown(rng, depth - 1)
            return a * b, lambda at: f(at) * g(at)
        case "/":
            k = rng.choice([1, 2, 3, 4, 6, -2])
            return a // k, lambda at: f(at) // k
        case _:
            k = rng.choice([1, 2, 3, 5])
            return a % k, lambda at: f(at) % k


@pytest.mark.parametrize("seed", range(200))
def test_canonical_forms_keep_the_value(seed):
    size, function = grown(random.Random(seed), 4)
    again = parse_size(str(size))
    assert again == size
    half = size.substitute({"N": 2 * M + 1})
    for n, m, t in itertools.product((0, 1, 5, 8), (1, 2, 7), (0, 3)):
        at = {"N": n, "M": m, "T": t}
        assert size.value(at) == function(at)
        assert half.value(at) == function({**at, "N": 2 * m + 1})
        for bound in (0, 1, 4):
            assert not size.at_least(bound) or function(at) >= bound


@pytest.mark.parametrize("text", ["", "N +", "N / 2", "f(N)", "'a'", "1.5"])
def test_text_that_is_no_size(text):
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


def test_a_size_needs_its_symbols():
    with pytest.raises(KeyError):
        (N + M).value({"N": 1})
    assert (N * (M // 2)).symbols == {"N", "M"}
