"""What is wrong with the arrays and sizes given to a program: E0710 to E0719."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from dlc.diagnostics.diagnostic import Diagnostic, Label, case
from dlc.diagnostics.placed import similar
from dlc.diagnostics.span import Span


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"


@case
class InputMissing(Diagnostic):
    """A program was called without one of its inputs.

    Every input in the signature of a model is needed, by its name:
    `net(image=x)` for `model LeNet(image: u8[N, Y, X])`.
    """

    code: ClassVar[str] = "E0710"
    exit_code: ClassVar[int] = 3
    input: str
    type: str
    given: tuple[str, ...]

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"input {self.input}: {self.type} is missing; given: {_listed(self.given)}"

    @property
    def help(self) -> str | None:
        """The fix."""
        return f"give it by name: `{self.input}=...`"


@case
class InputUnknown(Diagnostic):
    """A program was given an array under a name that none of its inputs has.

    The names are those of the model's signature; a run-time size that no input has is given
    by the name of its axis, as a whole number.
    """

    code: ClassVar[str] = "E0711"
    exit_code: ClassVar[int] = 3
    given: str
    inputs: tuple[str, ...]

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"there is no input {self.given}; the inputs are {_listed(self.inputs)}"

    @property
    def help(self) -> str | None:
        """The nearest name."""
        return f"did you mean {near}?" if (near := similar(self.given, self.inputs)) else None


@case
class InputRank(Diagnostic):
    """An input has more or fewer dimensions than its type has axes.

    The array given for `image: f32[N, Y, X]` has three dimensions, in that order. A single
    example still has its batch axis, of size 1: `x[None]`.
    """

    code: ClassVar[str] = "E0712"
    exit_code: ClassVar[int] = 3
    input: str
    type: str
    shape: tuple[int, ...]

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"input {self.input} is {self.type}, but an array of shape {self.shape} was given"

    @property
    def help(self) -> str | None:
        """What is wanted."""
        return "one dimension for each axis, in this order; one example alone is `x[None]`"


@case
class InputSize(Diagnostic):
    """An axis of an input has another size than the program needs.

    The size is fixed by the model, or by another input that has the axis: one axis has one
    size throughout a call. The message tells which size was expected and why.
    """

    code: ClassVar[str] = "E0713"
    exit_code: ClassVar[int] = 3
    input: str
    axis: str
    expected: str
    given: int
    origin: str = ""

    @property
    def message(self) -> str:
        """The mistake in one line."""
        why = f" ({self.origin})" if self.origin else ""
        return f"axis {self.axis} of input {self.input} is {self.given}, not {self.expected}{why}"


@case
class InputDType(Diagnostic):
    """An input's numbers do not convert to its dtype without changing them.

    Integers convert to floats and f64 to f32; floats do not convert to integers, and an
    integer must fit the dtype. Convert the array first: `x.astype(numpy.int32)`.
    """

    code: ClassVar[str] = "E0714"
    exit_code: ClassVar[int] = 3
    input: str
    expected: str
    given: str
    reason: str = ""

    @property
    def message(self) -> str:
        """The mistake in one line."""
        why = f": {self.reason}" if self.reason else ""
        return f"input {self.input} is {self.expected}, but {self.given} was given{why}"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "convert the array before: `x.astype(...)`"


@case
class SizesDisagree(Diagnostic):
    """Sizes that could not be compared while compiling do not fit together in this call.

    Two axes that meet must have one size, a slice must stay inside its axis, and a division of
    a size must be exact. Where that depends on a size known only at run time, the compiled
    program tests it when it is called.
    """

    code: ClassVar[str] = "E0715"
    exit_code: ClassVar[int] = 3
    what: str
    left: str
    relation: str
    right: str
    left_value: int
    right_value: int
    spans: tuple[Span, ...] = ()

    @property
    def message(self) -> str:
        """The mistake in one line."""
        words = {"==": "must equal", ">=": "must be at least", "divisible": "must be divisible by"}
        return (
            f"{self.what}: {_valued(self.left, self.left_value)} {words[self.relation]}"
            f" {_valued(self.right, self.right_value)}"
        )

    @property
    def labels(self) -> tuple[Label, ...]:
        """Where the sizes meet."""
        return tuple(Label(span, "needed here") for span in self.spans)


def _valued(text: str, value: int) -> str:
    return text if text == str(value) else f"{text} = {value}"


@case
class IndexOutside(Diagnostic):
    """An integer input that indexes an axis holds a value outside of it.

    The values index an axis, so each must be at least 0 and below the size of the axis: class
    labels of K classes are 0 to K - 1, tokens of a vocabulary V are 0 to V - 1.
    """

    code: ClassVar[str] = "E0716"
    exit_code: ClassVar[int] = 3
    input: str
    axis: str
    size: int
    given: int
    place: tuple[int, ...]
    spans: tuple[Span, ...] = ()

    @property
    def message(self) -> str:
        """The mistake in one line."""
        where = f" at {list(self.place)}" if self.place else ""
        return (
            f"input {self.input} indexes axis {self.axis} of size {self.size},"
            f" but holds {self.given}{where}"
        )

    @property
    def labels(self) -> tuple[Label, ...]:
        """Where the input indexes."""
        return tuple(Label(span, "indexes here") for span in self.spans)


@case
class SizeMissing(Diagnostic):
    """A size is known at run time only, but no input has it and it was not given.

    A run-time size that no input has is an argument of the program, by the name of its axis:
    `net(N=16)` for a generator that draws `normal[N, Z]`.
    """

    code: ClassVar[str] = "E0717"
    exit_code: ClassVar[int] = 3
    symbol: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"the size of axis {self.symbol} is not known: no input has it"

    @property
    def help(self) -> str:
        """The fix."""
        return f"give it by name, as {self.symbol}=8"


@case
class SizeWrong(Diagnostic):
    """A run-time size given by name is not a whole number of at least 0, or no axis has the name.

    Sizes are given by the names of the axes whose size is known at run time only.
    """

    code: ClassVar[str] = "E0718"
    exit_code: ClassVar[int] = 3
    symbol: str
    given: str
    symbols: tuple[str, ...]

    @property
    def message(self) -> str:
        """The mistake in one line."""
        if self.symbol in self.symbols:
            return (
                f"the size of axis {self.symbol} is a whole number of 0 or more, not {self.given}"
            )
        return f"there is no run-time size {self.symbol}; there is {_listed(self.symbols)}"

    @property
    def help(self) -> str | None:
        """The nearest name."""
        return f"did you mean {near}?" if (near := similar(self.symbol, self.symbols)) else None


@case
class RunTooLarge(Diagnostic):
    """A run needs more memory than this machine has: its intermediates and results together.

    The memory grows with the run-time sizes, most often with the batch. A smaller `batch` in the
    recipe, or calls with fewer rows, need less; `dlc cost FILE` tells how much. Nothing was
    allocated.
    """

    code: ClassVar[str] = "E0719"
    exit_code: ClassVar[int] = 5
    bytes: int
    available: int
    sizes: tuple[tuple[str, int], ...]

    @property
    def message(self) -> str:
        """The mistake in one line."""
        need, have = self.bytes / 2**30, self.available / 2**30
        given = ", ".join(f"{name} = {n:,}" for name, n in self.sizes)
        where = f" at {given}" if given else ""
        return f"the run needs {need:,.1f} GiB{where}; this machine has {have:,.1f} GiB of memory"

    @property
    def help(self) -> str:
        """The fix."""
        return "a smaller batch needs less; `dlc cost FILE` tells how much"
