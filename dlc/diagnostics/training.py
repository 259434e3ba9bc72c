"""Mistakes in training recipes, steps, optimizers and hypers."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import Label, case
from dlc.diagnostics.placed import Placed


@case(kw_only=True)
class UnknownSetting(Placed):
    """A train block has a setting that does not exist.

    Settings: data, test, validation, batch, epochs, seed, drop_last, monitor, patience.
    """

    code = "E0501"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"there is no setting {self.name}"


@case(kw_only=True)
class BadSetting(Placed):
    """A setting has a value it cannot have.

    The message says what is allowed.
    """

    code = "E0502"
    name: str
    wanted: str
    got: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} must be {self.wanted}, not {self.got}"


@case(kw_only=True)
class NoStep(Placed):
    """A train block has no step, or a step that trains nothing.

    A recipe needs at least one `step(...)` with a `minimize` statement.
    """

    code = "E0503"
    recipe: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.recipe} has no step"


@case(kw_only=True)
class NotANetwork(Placed):
    """`wrt` names something that is no model or part of one.

    `wrt NET` trains all that the model NET uses, `wrt NET.head` the instance `head` in it.
    """

    code = "E0504"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} is not a model, nor an instance of one"


@case(kw_only=True)
class TrainedTwice(Placed):
    """A parameter is trained by two minimize statements of one step.

    All updates happen at the end of the step, so each parameter has one. Add the losses, or use
    two steps.
    """

    code = "E0505"
    param: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.param} is in two minimize statements"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "add the losses and minimize the sum, or use two steps"


@case(kw_only=True)
class LossIndependent(Placed):
    """The loss does not depend on what should be trained.

    None of the parameters that `wrt` names is used in computing the loss, or only behind
    `stop_gradient`.
    """

    code = "E0506"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"the loss does not depend on any parameter of {self.name}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return (
            self.hint
            or f"compute the loss from {self.name}, without `stop_gradient`, or name another"
        )


@case(kw_only=True)
class BatchAxis(Placed):
    """`batch` names an axis that no input of a step has, or one with a fixed size.

    `batch N = 64` cuts the data along the axis N of the step's inputs. N has no size in the file
    (`axis N`), for the last batch may be smaller, and validation, test and inference have other
    batches; one program runs them all. Axes after the first, along which streams are cut, may have
    the size that they are cut to: `axis T = 128`, `batch N = 32, T = 128`.
    """

    code = "E0507"
    axis: str
    why: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"batch {self.axis}: {self.why}"


@case(kw_only=True)
class BadDataSource(Placed):
    """A data source is not written as one.

    `npz("f.npz", image="x")`, `npy(image="f.npy")`, `idx(image="f.gz")`, `csv("f.csv", x=["a",
    "b"], label="kind")`, `images("folder", image=..., label=...)`.
    """

    code = "E0508"
    why: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"this is not a data source: {self.why}"


@case(kw_only=True)
class MetricTwice(Placed):
    """Two metrics of one step have one name.

    `loss` is the sum of what the step minimizes. Rename the other.
    """

    code = "E0509"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"metric {self.name} is there twice"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "give one of them another name; `loss` is the sum of what is minimized"


@case(kw_only=True)
class BadHyper(Placed):
    """A hyper's default or space does not fit its type.

    `hyper lr: float = 1e-3 in log(1e-5, 1e-1)`: the type is float, int, bool or str; the space
    a list of values, `log(lo, hi)` or `linear(lo, hi)`, and the default lies in it.
    """

    code = "E0510"
    name: str
    why: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"hyper {self.name}: {self.why}"


@case(kw_only=True)
class HyperSetting(Placed):
    """A value given to a hyper from outside does not fit.

    The name must be that of a hyper of the file, the value of its type and in its space.
    """

    code = "E0511"
    name: str
    why: str
    declared: bool = True
    """Whether the file has the hyper; else its mistake has no place."""

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"hyper {self.name}: {self.why}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The declaration."""
        return (Label(self.place, self.remark),) if self.declared else ()


@case(kw_only=True)
class NotAnOptimizer(Placed):
    """`using` needs an optimizer.

    `using adam(lr)`; write your own with `optimizer NAME(...)(p, g):`.
    """

    code = "E0513"
    got: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"using needs an optimizer, not {self.got}"


@case(kw_only=True)
class NoSuchMetric(Placed):
    """`monitor` names a metric that no step has.

    Write the name of a `metric`, or `loss`. Where validation rows exist it is taken from them.
    """

    code = "E0514"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"no step has a metric {self.name}"


@case(kw_only=True)
class NoSuchColumn(Placed):
    """A step's parameter has no column in the data source.

    Names of a step's parameters bind to the columns of `data`. Name the column there, or rename
    the parameter.
    """

    code = "E0515"
    name: str
    columns: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"the data has no column {self.name}; it has {self.columns}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return (
            self.hint or f"""name it in the source, `{self.name}="..."`, or rename the parameter"""
        )


@case(kw_only=True)
class StepParameter(Placed):
    """A parameter of a model or step is not a plain tensor.

    The parameters of a model or step are tensors with a dtype and all their axes: `image: u8[N,
    Y, X]`.
    """

    code = "E0516"
    name: str
    why: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name}: {self.why}"


@case(kw_only=True)
class NothingTrained(Placed):
    """A recipe minimizes nothing.

    A recipe needs a `minimize LOSS wrt NET using OPTIMIZER(...)` in one of its steps.
    """

    code = "E0517"
    recipe: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.recipe} minimizes nothing"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "write `minimize LOSS wrt MODEL using adam(1e-3)` in a step"


@case(kw_only=True)
class OptimizerResult(Placed):
    """An optimizer's result does not fit the parameter.

    An optimizer returns the next value of `p`: a float tensor with the axes of `p`.
    """

    code = "E0518"
    optimizer: str
    wanted: str
    got: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.optimizer} must return {self.wanted}, not {self.got}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "return the next value of the parameter, such as `p - lr * g`"


@case(kw_only=True)
class TwoSteps(Placed):
    """Two steps of one recipe have one name.

    The counter and the metrics of a step go by its name. Name each: `step critic(...)`.
    """

    code = "E0519"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"two steps are called {self.name}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "name each: `step first(...):`"
