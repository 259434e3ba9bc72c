"""Warnings: programs that have a meaning, but probably another one than was meant."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import case
from dlc.diagnostics.placed import Placed


@case(kw_only=True)
class UntrainedParameter(Placed):
    """No loss reaches a parameter that a step trains.

    Its gradient is zero in every step, so it keeps its initial value. Use what the layer
    computes, or remove the layer.
    """

    code = "W0001"
    severity = "warning"
    param: str
    recipe: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"no loss of {self.recipe} reaches {self.param}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return (
            self.hint
            or "use what it computes in a loss, or remove it; `state` is for what is not trained"
        )


@case(kw_only=True)
class SoftmaxTwice(Placed):
    """A softmax (or sigmoid) stands before a loss that contains one.

    `cross_entropy` takes logits and applies log_softmax itself; `bce_logits` applies sigmoid.
    Applied twice, training is slow and the probabilities are wrong. Give the loss the logits.
    """

    code = "W0002"
    severity = "warning"
    first: str
    loss: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.loss} takes logits, but gets the output of {self.first}"


@case(kw_only=True)
class UnusedName(Placed):
    """A name gets a value that nothing reads.

    Remove it, or use it. A name that starts with `_` is never reported.
    """

    code = "W0003"
    severity = "warning"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} is never used"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or f"remove it, or call it _{self.name}"


@case(kw_only=True)
class UnusedDeclaration(Placed):
    """A layer, def, axis, constant or hyper of the file is never used.

    A model or a step that uses it was perhaps forgotten.
    """

    code = "W0004"
    severity = "warning"
    what: str
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} {self.name} is never used"


@case(kw_only=True)
class UnusedImport(Placed):
    """An imported name is never used.

    Remove the import.
    """

    code = "W0005"
    severity = "warning"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} is imported but never used"


@case(kw_only=True)
class ConstantMetric(Placed):
    """A metric does not depend on the data.

    It has the same value for every batch. Was another name meant?
    """

    code = "W0006"
    severity = "warning"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"metric {self.name} does not depend on any input or parameter"


@case(kw_only=True)
class Residual(Placed):
    """A `+` or `-` of two tensors that differ in one axis of one size.

    Tensors broadcast over names, so the result has both axes: for a residual connection, rename
    one: `rename(x, In -> Out)`.
    """

    code = "W0007"
    severity = "warning"
    left: str
    right: str
    axes: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"the result has both {self.left} and {self.right}: {self.axes}"


@case(kw_only=True)
class AfterReturn(Placed):
    """A statement stands after `return` and would never run.

    Remove it, or move it before the `return`.
    """

    code = "W0008"
    severity = "warning"

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return "this is never reached"
