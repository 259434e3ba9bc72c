"""Mistakes with dtypes and kinds of values."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import case
from dlc.diagnostics.placed import Placed


@case(kw_only=True)
class TwoDtypes(Placed):
    """Two float dtypes, or two integer dtypes, meet.

    Nothing converts between them silently. Write `cast(x, f32)`. (An integer tensor takes the
    float dtype it meets.)
    """

    code = "E0301"
    left: str
    right: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.left} meets {self.right} here"


@case(kw_only=True)
class WrongKind(Placed):
    """A value of one kind stands where another kind is needed.

    Tensors, numbers, axes, functions, instances, lists and strings are different kinds of
    values.
    """

    code = "E0302"
    what: str
    wanted: str
    got: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} needs {self.wanted}, not {self.got}"


@case(kw_only=True)
class NotKnownYet(Placed):
    """A tensor stands where a value known while compiling is needed.

    `if`, `for` and sizes are decided while compiling, from numbers, sizes, hypers and
    configuration. To choose by values at run time write `where(condition, a, b)`.
    """

    code = "E0303"
    what: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} must be known while compiling, but this depends on a tensor"


@case(kw_only=True)
class LiteralRange(Placed):
    """A number does not fit the integer dtype of the tensor it meets.

    Literals take the dtype of the tensor: `u8` holds 0 to 255. Cast the tensor first: `cast(x,
    i32)`.
    """

    code = "E0304"
    value: str
    dtype: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.value} does not fit {self.dtype}"


@case(kw_only=True)
class WrongDtype(Placed):
    """A tensor has another dtype than its declared type.

    Integers convert to a declared float type; everything else needs `cast(x, ...)`.
    """

    code = "E0305"
    what: str
    wanted: str
    got: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} is declared {self.wanted}, but this is {self.got}"


@case(kw_only=True)
class IndexDtype(Placed):
    """A tensor is indexed by something that is no integer.

    Indices are integers or integer tensors: `cast(i, i32)`.
    """

    code = "E0306"
    got: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"an index must be an integer, not {self.got}"


@case(kw_only=True)
class ScalarNeeded(Placed):
    """A scalar is needed where a tensor with axes stands.

    `minimize`, `metric` and `grad` work on one number. Reduce it: `mean(x)`, or `sum(x)`.
    """

    code = "E0307"
    what: str
    axes: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} needs a scalar, but this has axes {self.axes}"


@case(kw_only=True)
class BoolNeeded(Placed):
    """`and`, `or`, `not` and conditions work on bools.

    Compare first: `x > 0`, `n != 0`.
    """

    code = "E0308"
    what: str
    got: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} needs bool, not {self.got}"


@case(kw_only=True)
class NoGradient(Placed):
    """A gradient is asked for that does not exist.

    Gradients exist for float tensors that the scalar was computed from.
    """

    code = "E0309"
    why: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"there is no gradient here: {self.why}"


@case(kw_only=True)
class UnknownDtype(Placed):
    """The name before the brackets of a type is no dtype.

    Dtypes are `f32 f64 f16 bf16 i32 i64 u8 bool`; `float` and `int` stand for any in a `def` or
    `layer`; `axis` and `axes` take axes.
    """

    code = "E0310"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} is not a dtype"


@case(kw_only=True)
class ListIndex(Placed):
    """A list is indexed outside its length.

    `a[0]` is the first element, `a[-1]` the last.
    """

    code = "E0311"
    index: int
    length: int

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"index {self.index} is outside a list of {self.length}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or (f"its elements are 0 to {self.length - 1}" if self.length else None)


@case(kw_only=True)
class NoSuchOperation(Placed):
    """An operator does not work on these kinds of values.

    Arithmetic works on tensors and numbers (an axis stands for its size); lists are joined by
    `+`.
    """

    code = "E0312"
    op: str
    left: str
    right: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return (
            f"`{self.op}` does not work on {self.left} and {self.right}"
            if self.right
            else f"`{self.op}` does not work on {self.left}"
        )


@case(kw_only=True)
class NumberError(Placed):
    """A computation on numbers has no result.

    A division by zero, the root or logarithm of a negative number, or a result too large for a
    float.
    """

    code = "E0313"
    what: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what}"


@case(kw_only=True)
class RuleBroken(Placed):
    """The operands do not fit the operation.

    The message is the operation's own rule. Check the axes, sizes and dtypes of what it is given.
    """

    code = "E0314"
    why: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return self.why
