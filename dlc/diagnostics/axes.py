"""Mistakes with axes and sizes."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import case
from dlc.diagnostics.placed import Placed


@case(kw_only=True)
class AxisMissing(Placed):
    """An operation names an axis that the tensor does not have.

    Reductions, `dot`, `rename`, `split` and square brackets name axes of their tensor. The
    message lists the axes that it has: check the spelling, and whether an operation before took
    the axis away.
    """

    code = "E0201"
    what: str
    axis: str
    axes: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} has no axis {self.axis}; it has {self.axes}"


@case(kw_only=True)
class AxisTwice(Placed):
    """An axis would occur twice in one tensor.

    The axes of a tensor are distinct. To relate an axis to itself, rename it first: `rename(x,
    T -> S)`. The same happens when a layer makes an axis that the tensor already has among the
    axes that `..` took: `Linear(D -> T)` on a tensor with `T`.
    """

    code = "E0202"
    axis: str
    what: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"axis {self.axis} would occur twice in {self.what}"


@case(kw_only=True)
class TwoSizes(Placed):
    """Two tensors meet on one axis, with two sizes.

    A size belongs to a tensor, and tensors that meet on an axis must agree on it. The places
    show where each size came from. Make the sizes equal (padding, stride, the width of a
    layer), or give one of them another axis: `rename(x, C -> D)`.
    """

    code = "E0203"
    axis: str
    left: str
    right: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"axis {self.axis} has two sizes here: {self.left} and {self.right}"


@case(kw_only=True)
class SizeUnknown(Placed):
    """The size of an axis is used where nothing gives it one.

    Used as a number, or in a draw or a `param`, a name stands for the size of the first input
    that has the axis, or the size it was declared with. Declare it (`axis H = 128`) or ask a
    tensor: `size(x, H)`.
    """

    code = "E0204"
    axis: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"the size of axis {self.axis} is not known here"


@case(kw_only=True)
class NotASize(Placed):
    """A size must be a whole number of at least 1.

    `/` in a size must divide: `E = D / heads` needs a `D` that is a multiple of `heads`. Use
    `//` to round down.
    """

    code = "E0205"
    value: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.value} cannot be a size: a whole number of at least 1 is needed"


@case(kw_only=True)
class ParamSizeOpen(Placed):
    """The size of a parameter must be known while compiling.

    Parameters are allocated once, so none of their axes may have a run-time size. Give the axis
    a size (`axis T = 128`), or reduce the axis away before the layer that has the parameter.
    """

    code = "E0206"
    param: str
    axis: str
    size: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return (
            f"axis {self.axis} of {self.param} has the run-time size {self.size};"
            " the size of a parameter must be known while compiling"
        )

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return (
            self.hint
            or f"declare its size, `axis {self.axis} = 128`, or reduce {self.axis} away before"
        )


@case(kw_only=True)
class InputLacksAxis(Placed):
    """An argument lacks an axis that the parameter's type names.

    A type names the axes that a function or layer works over. Give it a tensor that has them,
    or say which axis is meant in the brackets (`over=S`).
    """

    code = "E0207"
    callee: str
    parameter: str
    axis: str
    axes: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} needs axis {self.axis} in {self.parameter}; it has {self.axes}"


@case(kw_only=True)
class AxesTooMany(Placed):
    """An argument has axes that the parameter's type does not allow.

    Without `..` a type lists all axes. Reduce or index the others away, or add `..` to the type
    where every other axis may pass.
    """

    code = "E0208"
    callee: str
    parameter: str
    axes: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} takes no {self.axes} in {self.parameter}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return (
            self.hint or f"reduce or index it before, or write `..` in the type of {self.parameter}"
        )


@case(kw_only=True)
class HidesInRest(Placed):
    """An axis that the brackets of a call name or make stands in an input that must not have it.

    `Linear(D -> T)` makes the axis T, so its input cannot have another T; in
    `cross_entropy(logits, label, over=K)` the classes K are an axis of the logits alone. In the
    type of such an input `..` stands for all axes but those in the brackets. Rename, reduce or
    index the axis before the call. In a layer of your own, an input that has the axis names it in
    its type: `y: float[.., D]`.
    """

    code = "E0209"
    callee: str
    parameter: str
    axis: str
    made: bool
    """Whether the call makes the axis: `-> AXIS`."""

    @property
    def message(self) -> str:
        """The mistake in one line."""
        if self.made:
            return f"{self.callee} makes an axis {self.axis}, but {self.parameter} has one already"
        return (
            f"{self.parameter} of {self.callee} must not have axis {self.axis},"
            " which the brackets name"
        )

    @property
    def help(self) -> str | None:
        """What to do with the axis."""
        if self.made:
            return f"rename the old one, `rename(..., {self.axis} -> ...)`, or make another axis"
        return f"reduce, index or rename it before: `rename(..., {self.axis} -> ...)`"


@case(kw_only=True)
class ResultAxes(Placed):
    """A result does not have the axes that its type says.

    The type after `->` is a promise to every caller. Reduce, rename or add what differs, or
    correct the type.
    """

    code = "E0210"
    callee: str
    wanted: str
    axes: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} promises axes {self.wanted}, but the result has {self.axes}"


@case(kw_only=True)
class OwnAxisLeaves(Placed):
    """An axis that a body declared would leave it.

    A body's own axes mean nothing outside. Merge, reduce or rename it to an axis from the
    brackets before returning.
    """

    code = "E0211"
    axis: str
    callee: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"axis {self.axis} is declared inside {self.callee} and cannot leave it"


@case(kw_only=True)
class DefaultAxis(Placed):
    """A default axis is looked up by name in the first input, and is not there.

    `over: axis = T` takes the axis called `T` of the first input when the call does not say.
    Inside another layer, axes have that layer's names: say which is meant.
    """

    code = "E0212"
    callee: str
    parameter: str
    axis: str
    axes: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} looks for an axis {self.axis} by default; its input has {self.axes}"


@case(kw_only=True)
class GroupLength(Placed):
    """Two groups that belong together have different numbers of axes.

    `rename(x, (A, B) -> (C, D))` pairs axes in order; `stride`, `pad` and `kernel` are one
    value, or one for each axis.
    """

    code = "E0213"
    what: str
    left: str
    right: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what}: {self.left} for {self.right}"


@case(kw_only=True)
class SplitMismatch(Placed):
    """The parts of a split do not multiply to the size of the axis.

    `split(x, C -> (H=4, E))` needs a `C` that is a multiple of 4. One size may be left out.
    """

    code = "E0214"
    axis: str
    size: str
    parts: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"axis {self.axis} of size {self.size} cannot be split into {self.parts}"


@case(kw_only=True)
class OutsideAxis(Placed):
    """An index or a slice reaches outside its axis.

    Indices run from 0 to size - 1, and from -1 down when written as numbers. Slices stay inside
    their axis.
    """

    code = "E0215"
    index: str
    axis: str
    size: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.index} is outside axis {self.axis} of size {self.size}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or (
            f"its elements are 0 to {int(self.size) - 1}" if self.size.isdecimal() else None
        )


@case(kw_only=True)
class WindowTooLarge(Placed):
    """A window is larger than the axis it slides over.

    The window reaches over `dilation * (size - 1) + 1` elements; with the padding on both sides
    the axis must have at least that many. Pool less often, pad (`pad="same"`), or use a smaller
    kernel.
    """

    code = "E0216"
    axis: str
    size: str
    reach: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return (
            f"a window over {self.reach} elements does not fit axis {self.axis} of size {self.size}"
        )

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return (
            self.hint or 'pad the axis (`pad="same"`), make the window smaller, or pool less before'
        )


@case(kw_only=True)
class DoesNotFit(Placed):
    """A value has axes that its declared type does not have.

    A value may be broadcast to the type of a `param`, `state` or default, but never loses an
    axis.
    """

    code = "E0217"
    what: str
    wanted: str
    axes: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return (
            f"a value with axes {self.axes} does not fit {self.what}, declared with {self.wanted}"
        )


@case(kw_only=True)
class OneAxisNeeded(Placed):
    """One axis is needed where a group stands.

    `over: axis` takes exactly one; `over: axes` takes a group.
    """

    code = "E0218"
    what: str
    count: int

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} takes one axis, not {self.count}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "merge them into one first: `merge(x, (Y, X) -> P)`"


@case(kw_only=True)
class NoRest(Placed):
    """`..` stands where no `..` was taken.

    `..` in a body is the axes that the inputs' `..` took. A model and a step name all their
    axes.
    """

    code = "E0219"
    where: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"`..` has no meaning in {self.where}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "name the axes: `over=(Y, X)`"


@case(kw_only=True)
class ModelSize(Placed):
    """A tensor enters or leaves a model with another size than the signature declares.

    In the signature of a model an axis has its declared size. Change the declaration, write the
    size in the type (`C=1`), or change what makes the tensor.
    """

    code = "E0220"
    what: str
    axis: str
    declared: str
    size: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"axis {self.axis} of {self.what} is declared as {self.declared}, but is {self.size}"
