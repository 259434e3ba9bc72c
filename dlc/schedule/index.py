"""Index expressions of kernels: affine, and with quotients and data where views need them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from dlc.graph import Axis, Size

if TYPE_CHECKING:
    from dlc.schedule.kernel import Expr


START = "from "
"""The names of the places where blocks of a loop begin; no axis is called so."""


class Iter(NamedTuple):
    """A loop over an axis at the size it has here."""

    axis: Axis
    size: Size

    def __str__(self) -> str:
        return f"{self.axis}:{self.size}"


@dataclass(frozen=True, slots=True)
class Quot:
    """`index // size`, rounded down."""

    index: Affine
    size: Size


@dataclass(frozen=True, slots=True)
class Rem:
    """`index % size`, in 0 .. size - 1."""

    index: Affine
    size: Size


@dataclass(frozen=True, slots=True)
class Data:
    """An element of an integer tensor, clamped to `0 .. size - 1` unless it surely is there."""

    value: Expr
    size: Size
    sure: bool = False


Atom = Iter | Quot | Rem | Data


@dataclass(frozen=True, slots=True)
class Affine:
    """A sum of atoms with coefficients, and a constant; no coefficient is 0, no atom twice."""

    terms: tuple[tuple[Atom, Size], ...] = ()
    const: Size = field(default_factory=Size)
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        """Computed once: indices are hashed far more often than made."""
        if not self._hash:
            object.__setattr__(self, "_hash", hash((self.terms, self.const)) or 1)
        return self._hash

    def __add__(self, other: Affine | Size | int) -> Affine:
        if not isinstance(other, Affine):
            return Affine(self.terms, self.const + other)
        terms = dict(self.terms)
        for atom, coefficient in other.terms:
            terms[atom] = terms.get(atom, Size()) + coefficient
        return _joined(terms, self.const + other.const)

    def __mul__(self, factor: Size | int) -> Affine:
        k = Size.of(factor)
        if k == Size():
            return Affine()
        return Affine(tuple((a, c * k) for a, c in self.terms), self.const * k)

    def __sub__(self, other: Affine | Size | int) -> Affine:
        return self + other * -1

    def __floordiv__(self, divisor: Size | int) -> Affine:
        return self._divide(Size.of(divisor))[0]

    def __mod__(self, divisor: Size | int) -> Affine:
        return self._divide(Size.of(divisor))[1]

    def _divide(self, n: Size) -> tuple[Affine, Affine]:
        """Quotient and remainder: affine where the remainder provably stays in 0 .. n - 1."""
        if n == Size.of(1):
            return self, Affine()
        whole = [(a, c.divide(n)) for a, c in self.terms]
        rest = Affine(tuple(t for t, (_, q) in zip(self.terms, whole, strict=True) if q is None))
        q = self.const // n
        rest = Affine(rest.terms, self.const - q * n)
        quotient = Affine(tuple((a, c) for a, c in whole if c is not None), q)
        low, high = bounds(rest)
        if low is not None and high is not None and low.at_least(0) and (n - 1 - high).at_least(0):
            return quotient, rest
        if (shorter := _shorter(rest, n)) is not None:
            return quotient + shorter[0], shorter[1]
        if not rest.terms and rest.const.constant is None:
            return Affine(const=self.const // n), Affine(const=self.const % n)
        return quotient + at(Quot(rest, n)), at(Rem(rest, n))

    def of(self, atom: Atom) -> Size:
        """The coefficient of an atom; 0 if it does not occur as a term."""
        return dict(self.terms).get(atom, Size())

    @property
    def iters(self) -> frozenset[Iter]:
        """Every loop variable that the index varies with."""
        found: set[Iter] = set()
        for atom, _ in self.terms:
            found |= atom_iters(atom)
        return frozenset(found)

    def step(self, iter: Iter, lanes: int) -> Size | None:
        """The distance between neighbours among `lanes` values of `iter` from a multiple of it.

        None where it is not the same for all. Blocks of a multiple of `lanes` values, as panels
        and merged axes have them, do not disturb it.
        """
        total = Size()
        for atom, coefficient in self.terms:
            match atom:
                case Iter() if atom == iter:
                    total = total + coefficient
                case Quot(index=index, size=size) if _blocks(index, size, iter, lanes):
                    continue
                case Rem(index=index, size=size) if _blocks(index, size, iter, lanes):
                    total = total + coefficient
                case _ if iter in atom_iters(atom):
                    return None
        return total

    def __str__(self) -> str:
        return " + ".join([f"{c}*{a}" for a, c in self.terms] + [str(self.const)])


def _blocks(index: Affine, size: Size, iter: Iter, lanes: int) -> bool:
    """Whether the index is `iter`, counted from a multiple of `lanes`, and `size` is one too."""
    starts = [a for a, _ in index.terms if a != iter]
    counted = index.of(iter) == Size.of(1) and all(
        isinstance(a, Iter) and a.axis.name.startswith(START) for a in starts
    )
    return counted and size.constant is not None and size.constant % lanes == 0


def at(atom: Atom) -> Affine:
    """The index that is one atom."""
    return Affine(((atom, Size.of(1)),))


def atom_iters(atom: Atom) -> frozenset[Iter]:
    """The loop variables that an atom varies with."""
    match atom:
        case Iter():
            return frozenset((atom,))
        case Quot(index=index) | Rem(index=index):
            return index.iters
        case Data(value=value):
            return value.deps


def data_atoms(index: Affine) -> Iterator[Data]:
    """All data that an index depends on."""
    for atom, _ in index.terms:
        match atom:
            case Data():
                yield atom
            case Quot(index=inner) | Rem(index=inner):
                yield from data_atoms(inner)


def bounds(index: Affine) -> tuple[Size | None, Size | None]:
    """The least and the greatest value, sizes being at least 1; None where it is not known."""
    low = high = index.const
    for atom, coefficient in index.terms:
        top = _top(atom)
        if top is None:
            return None, None
        if coefficient.at_least(0):
            high = high + coefficient * top
        elif (coefficient * -1).at_least(0):
            low = low + coefficient * top
        else:
            return None, None
    return low, high


def inside(index: Affine, size: Size) -> bool:
    """Whether 0 <= index < size is proved for all loop values."""
    low, high = bounds(index)
    return (
        low is not None and high is not None and low.at_least(0) and (size - 1 - high).at_least(0)
    )


def substitute(index: Affine, values: Mapping[Iter, Affine]) -> Affine:
    """The index with loop variables replaced; data atoms are left alone."""
    total = Affine(const=index.const)
    for atom, coefficient in index.terms:
        match atom:
            case Iter():
                part = values.get(atom, at(atom))
            case Quot(index=inner, size=size):
                part = substitute(inner, values) // size
            case Rem(index=inner, size=size):
                part = substitute(inner, values) % size
            case Data():
                part = at(atom)
        total = total + part * coefficient
    return total


def renamed(index: Affine, loops: Mapping[Iter, Iter]) -> Affine:
    """The index over other loops of the same sizes, no two of them one; without data."""
    return Affine(tuple((_renamed(a, loops), c) for a, c in index.terms), index.const)


def _renamed(atom: Atom, loops: Mapping[Iter, Iter]) -> Atom:
    match atom:
        case Iter():
            return loops[atom]
        case Quot(index=index, size=size):
            return Quot(renamed(index, loops), size)
        case Rem(index=index, size=size):
            return Rem(renamed(index, loops), size)
    raise TypeError(atom)


def _top(atom: Atom) -> Size | None:
    match atom:
        case Iter(size=size) | Rem(size=size) | Data(size=size):
            return size - 1
        case Quot(index=index, size=size):
            low, high = bounds(index)
            if low is None or high is None or not low.at_least(0):
                return None
            return high // size


def _shorter(index: Affine, n: Size) -> tuple[Affine, Affine] | None:
    """Quotient and remainder of `g a + r` by `g k` from those of `a` by `k`, where 0 <= r < g."""
    size, first = n.constant, index.const.constant
    known = [(atom, c.constant) for atom, c in index.terms]
    if size is None or first is None or any(c is None for _, c in known):
        return None
    for g in sorted({gcd(c or 0, size) for _, c in known} - {1, size}, reverse=True):
        many = tuple((a, Size.of((c or 0) // g)) for a, c in known if not (c or 0) % g)
        few = Affine(
            tuple((a, Size.of(c or 0)) for a, c in known if (c or 0) % g), Size.of(first % g)
        )
        low, high = bounds(few)
        inside = low is not None and high is not None and low.at_least(0)
        if many and inside and high is not None and (Size.of(g - 1) - high).at_least(0):
            whole = Affine(many, Size.of(first // g))
            return whole // (size // g), whole % (size // g) * g + few
    return None


def _joined(terms: Mapping[Atom, Size], const: Size) -> Affine:
    """Drop zeros, and join `c*n * (i // n) + c * (i % n)` to `c * i`."""
    kept = {a: c for a, c in terms.items() if c != Size()}
    for atom in list(kept):
        if not isinstance(atom, Rem) or atom not in kept:
            continue
        twin = Quot(atom.index, atom.size)
        if twin in kept and kept[twin] == kept[atom] * atom.size:
            coefficient = kept.pop(atom)
            del kept[twin]
            return Affine(tuple(kept.items()), const) + atom.index * coefficient
    return Affine(tuple(kept.items()), const)


def total(indices: Iterable[Affine]) -> Affine:
    """The sum of indices."""
    result = Affine()
    for index in indices:
        result = result + index
    return result


def count_inside(first: int, steps: tuple[int, int], turns: tuple[int, int], size: int) -> int:
    """For how many turns (i, k) of two loops first + steps[0] i + steps[1] k is in [0, size)."""
    (step, other), (n, m), hits = steps, turns, 0
    for i in range(n):
        start = first + step * i
        low, high = (-start, size - start) if other > 0 else (start - size + 1, start + 1)
        width = abs(other)
        hits += max(min(-(-high // width), m) - max(-(-low // width), 0), 0)
    return hits
