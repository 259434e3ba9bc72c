"""Sizes of axes: integer polynomials in run-time sizes with floor quotients, and their solver."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, total_ordering
from typing import Literal

from dlc.diagnostics.record import record

Verdict = Literal["equal", "different", "unknown"]


@record
class Quotient:
    """`numerator // denominator`, where the polynomial cannot divide it further."""

    numerator: Size
    denominator: Size

    def __str__(self) -> str:
        return f"({self.numerator})//({self.denominator})"


Atom = str | Quotient
"""The name of a run-time size, or a quotient."""
Monomial = tuple[Atom, ...]


@total_ordering
@dataclass(frozen=True, slots=True, eq=True)
class Size:
    """A canonical sum of products: equal sizes are equal objects.

    `terms` maps each product of atoms (sorted, the empty product is 1) to its coefficient, which
    is never 0. Every symbol stands for an integer of at least 0.
    """

    terms: tuple[tuple[Monomial, int], ...] = ()
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        """Computed once: sizes are hashed far more often than made."""
        if not self._hash:
            object.__setattr__(self, "_hash", hash(self.terms) or 1)
        return self._hash

    @staticmethod
    def of(value: int | Size) -> Size:
        """The size of a number."""
        return value if isinstance(value, Size) else _number(value)

    @staticmethod
    def symbol(name: str) -> Size:
        """The run-time size called `name`."""
        return Size((((name,), 1),))

    @property
    def constant(self) -> int | None:
        """Its value if it is known while compiling, else None."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and self.terms[0][0] == ():
            return self.terms[0][1]
        return None

    @property
    def symbols(self) -> frozenset[str]:
        """The names of the run-time sizes in it."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                if isinstance(atom, str):
                    found.add(atom)
                else:
                    found |= atom.numerator.symbols | atom.denominator.symbols
        return frozenset(found)

    def __add__(self, other: int | Size) -> Size:
        other = Size.of(other)
        if not other.terms or not self.terms:
            return self if self.terms else other
        terms = dict(self.terms)
        for monomial, coefficient in other.terms:
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _canonical(terms)

    def __mul__(self, other: int | Size) -> Size:
        terms: dict[Monomial, int] = {}
        other = Size.of(other)
        if self.terms == _ONE or other.terms == _ONE:
            return other if self.terms == _ONE else self
        for a, x in self.terms:
            for b, y in other.terms:
                monomial = tuple(sorted(a + b, key=str)) if a and b else a or b
                terms[monomial] = terms.get(monomial, 0) + x * y
        return _canonical(terms)

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: int | Size) -> Size:
        other = Size.of(other)
        if not other.terms:
            return self
        terms = dict(self.terms)
        for monomial, coefficient in other.terms:
            terms[monomial] = terms.get(monomial, 0) - coefficient
        return _canonical(terms)

    def __rsub__(self, other: int) -> Size:
        return Size.of(other) - self

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: int | Size) -> Size:
        """Rounded down; a divisor of 0 gives 0, as everywhere in the language."""
        divisor = Size.of(other)
        exact = self.divide(divisor)
        if exact is not None:
            return exact
        k = divisor.constant
        if k is None:
            return Size((((Quotient(self, divisor),), 1),))
        if k == 0:
            return Size()
        whole = _canonical({m: c // k for m, c in self.terms})
        return whole + _quotient(_canonical({m: c % k for m, c in self.terms}), k)

    def __mod__(self, other: int | Size) -> Size:
        return self - (self // other) * other if Size.of(other) != Size() else Size()

    def divide(self, other: int | Size) -> Size | None:
        """The exact quotient where it is provable, else None; a divisor in symbols is not 0.

        Long division by leading terms, given up after a bounded number of steps.
        """
        divisor, out, rest = Size.of(other), Size(), self
        if not divisor.terms:
            return None
        for _ in range(2 * len(self.terms) + 8):
            if not rest.terms:
                return out
            term = _divided(rest.terms[0], divisor.terms[0])
            if term is None:
                return None
            out = out + term
            rest = rest - term * divisor
        return None

    def compare(self, other: int | Size) -> Verdict:
        """Whether both are the same number for all, no or only some run-time sizes."""
        difference = self - other
        if not difference.terms:
            return "equal"
        sure = difference.at_least(1) or (-difference).at_least(1)
        return "different" if sure else "unknown"

    def at_least(self, bound: int | Size) -> bool:
        """True where it is proved, symbols being 0 or more; False where it is not."""
        rest = self - bound
        return all(c >= 0 for _, c in rest.terms) and _monotone(rest)

    def value(self, sizes: Mapping[str, int]) -> int:
        """The number for these run-time sizes. Raises KeyError for a missing one."""
        total = 0
        for monomial, coefficient in self.terms:
            for atom in monomial:
                if isinstance(atom, str):
                    coefficient *= sizes[atom]
                else:
                    below = atom.denominator.value(sizes)
                    coefficient *= atom.numerator.value(sizes) // below if below else 0
            total += coefficient
        return total

    def substitute(self, sizes: Mapping[str, Size]) -> Size:
        """The size with symbols replaced; symbols without a replacement stay."""
        total = Size()
        for monomial, coefficient in self.terms:
            product = Size.of(coefficient)
            for atom in monomial:
                if isinstance(atom, str):
                    product = product * sizes.get(atom, Size.symbol(atom))
                else:
                    above = atom.numerator.substitute(sizes)
                    product = product * (above // atom.denominator.substitute(sizes))
            total = total + product
        return total

    def __lt__(self, other: Size) -> bool:
        """An order for sorting, by text; for which is larger ask `at_least`."""
        if not isinstance(other, Size):
            return NotImplemented
        return str(self) < str(other)

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        text = "+".join("*".join(_factors(m, c)) for m, c in self.terms)
        return text.replace("+-", "-")

    __repr__ = __str__


_ONE: tuple[tuple[Monomial, int], ...] = (((), 1),)


@lru_cache(maxsize=4096)
def _number(value: int) -> Size:
    return Size((((), int(value)),)) if value else Size()


def product(sizes: tuple[Size, ...] | list[Size]) -> Size:
    """The product of sizes; 1 for none."""
    total = Size.of(1)
    for size in sizes:
        total = total * size
    return total


def parse_size(text: str) -> Size:
    """The size that `str(size)` wrote. Raises ValueError for other text."""
    try:
        return _evaluate(ast.parse(text, mode="eval").body)
    except (SyntaxError, TypeError, RecursionError) as error:
        raise ValueError(f"not a size: {text!r}") from error


def _evaluate(node: ast.expr) -> Size:
    match node:
        case ast.Constant(value=int(value)):
            return Size.of(value)
        case ast.Name(id=name):
            return Size.symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _evaluate(left), _evaluate(right)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.FloorDiv():
                    return a // b
    raise TypeError(ast.dump(node))


def _canonical(terms: Mapping[Monomial, int]) -> Size:
    kept = [(m, c) for m, c in terms.items() if c]
    if len(kept) > 1:
        kept.sort(key=lambda t: (-len(t[0]), str(t[0])))
    return Size(tuple(kept))


def _factors(monomial: Monomial, coefficient: int) -> list[str]:
    names = [f"({a})" if isinstance(a, Quotient) else a for a in monomial]
    return names if coefficient == 1 and names else [str(coefficient), *names]


def _divided(term: tuple[Monomial, int], divisor: tuple[Monomial, int]) -> Size | None:
    """One product divided by another; None where it does not divide."""
    left = list(term[0])
    for atom in divisor[0]:
        if atom not in left:
            return None
        left.remove(atom)
    return None if term[1] % divisor[1] else Size(((tuple(left), term[1] // divisor[1]),))


def _quotient(rest: Size, k: int) -> Size:
    """`rest // k` in lowest terms, for a constant k; quotients of quotients become one."""
    value = rest.constant
    if value is not None:
        return Size.of(value // k)
    shared = math.gcd(k, *(c for m, c in rest.terms if m))
    if shared > 1 and k > 0:
        return _canonical({m: c // shared for m, c in rest.terms}) // (k // shared)
    nested = _quotient_and_constant(rest)
    if nested is not None and k > 0:
        inner, constant = nested
        below = inner.denominator.constant
        if below is not None and below > 0:
            return (inner.numerator + constant * below) // (below * k)
    return Size((((Quotient(rest, Size.of(k)),), 1),))


def _quotient_and_constant(size: Size) -> tuple[Quotient, int] | None:
    """The parts of a quotient plus a number; None for another size."""
    constant = sum(c for m, c in size.terms if not m)
    first, coefficient = size.terms[0]
    if len(size.terms) - bool(constant) != 1 or coefficient != 1 or len(first) != 1:
        return None
    return (first[0], constant) if isinstance(first[0], Quotient) else None


def _monotone(size: Size) -> bool:
    quotients = [a for m, _ in size.terms for a in m if isinstance(a, Quotient)]
    return all(q.numerator.at_least(0) and q.denominator.at_least(0) for q in quotients)
