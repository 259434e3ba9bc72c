"""Mistakes with calls, layers, models and parameters."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import case
from dlc.diagnostics.placed import Placed

PLACES = {
    "`param`": "parameters belong to a layer or model, outside of `if training`",
    "`state`": "states belong to a layer or model, outside of `if training`",
    "`minimize`": "write it in a `step(...):` of a `train` block",
    "`metric`": "write it in a `step(...):` of a `train` block",
}
"""Where a statement may stand."""


@case(kw_only=True)
class NotCallable(Placed):
    """Something is called that is no function.

    Functions, layers, models, instances and optimizers can be called.
    """

    code = "E0401"
    what: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} cannot be called"


@case(kw_only=True)
class TooManyArguments(Placed):
    """A call has more arguments than there are parameters.

    The message shows how the function is called. A layer takes its configuration in the first
    brackets and its inputs in the second.
    """

    code = "E0402"
    callee: str
    takes: int
    got: int

    @property
    def message(self) -> str:
        """The mistake in one line."""
        many = "s" * (self.takes != 1)
        return f"{self.callee} takes {self.takes} argument{many} here, not {self.got}"


@case(kw_only=True)
class UnknownParameter(Placed):
    """A call names a parameter that does not exist.

    Check the spelling against the parameters that the message lists.
    """

    code = "E0403"
    callee: str
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} has no parameter {self.name}"


@case(kw_only=True)
class MissingArgument(Placed):
    """A call leaves out an argument that has no default.

    Give it by position or by name.
    """

    code = "E0404"
    callee: str
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} needs {self.name}"


@case(kw_only=True)
class ArgumentTwice(Placed):
    """A call gives one parameter twice.

    By position and by name, or twice by name. Leave one out.
    """

    code = "E0405"
    callee: str
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} gets {self.name} twice"


@case(kw_only=True)
class WrongArgument(Placed):
    """An argument is of the wrong kind for its parameter.

    The parameter's type says what it takes: an axis, a group of axes, a number, a string, a
    bool, a tensor.
    """

    code = "E0406"
    callee: str
    name: str
    wanted: str
    got: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} of {self.callee} takes {self.wanted}, not {self.got}"


@case(kw_only=True)
class InstanceHere(Placed):
    """A layer is made where no parameters can be owned.

    Instances are made in layers and models only: not in a `def`, not in a `step`, not in a
    constant, and not under `if training`. Make the layer in the model, and call the model.
    """

    code = "E0407"
    kind: str
    where: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.kind} has parameters and cannot be made {self.where}"


@case(kw_only=True)
class SharedSizes(Placed):
    """A shared layer is used with other sizes than at its first use.

    An instance that is named and used twice has one set of parameters; their sizes are those of
    the first use. Make a second instance, or bring the inputs to one size.
    """

    code = "E0408"
    param: str
    first: str
    now: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.param} is {self.first} since its first use, and would be {self.now} here"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "make a second instance, or bring the inputs to one size"


@case(kw_only=True)
class NoReturn(Placed):
    """A body ends without `return`.

    Every def, layer, model and optimizer returns its result, in every branch that is taken.
    """

    code = "E0409"
    callee: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} ends without return"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "end its body with `return ...`"


@case(kw_only=True)
class ResultCount(Placed):
    """A body returns more or fewer values than its type lists.

    `-> (mu: f32[N, Z], logvar: f32[N, Z])` promises two: `return mu, logvar`.
    """

    code = "E0410"
    callee: str
    wanted: int
    got: int

    @property
    def message(self) -> str:
        """The mistake in one line."""
        many = "s" * (self.wanted != 1)
        return f"{self.callee} promises {self.wanted} result{many}, but returns {self.got}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "return as many as the type after `->` lists"


@case(kw_only=True)
class NotAllowedHere(Placed):
    """A statement stands where it has no meaning.

    `param` and `state` belong to layers (and models), `minimize` and `metric` to steps, `layer
    NAME = ...` to layers and models.
    """

    code = "E0411"
    what: str
    where: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} cannot stand {self.where}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or PLACES.get(self.what)


@case(kw_only=True)
class NotAState(Placed):
    """`<-` gives a next value to something that is no state.

    Only what `state` declares in this body has a next value. Use `=` for a plain value.
    """

    code = "E0412"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} is not a state of this body"


@case(kw_only=True)
class InitialValue(Placed):
    """The initial value of a parameter or state depends on an input.

    It is computed once, before any data is seen, from numbers, sizes and draws.
    """

    code = "E0413"
    name: str
    what: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"the initial value of {self.name} depends on {self.what}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "compute it from numbers, sizes and draws: `normal[...]`"


@case(kw_only=True)
class NeedsConfiguration(Placed):
    """A layer is used without its configuration.

    `x |> Linear(H -> K)`: the first brackets configure the layer, the second (or the pipe) give
    it inputs.
    """

    code = "E0414"
    kind: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.kind} is a layer: it needs its brackets before it can be used"


@case(kw_only=True)
class TwoModels(Placed):
    """Two models of one program have one name.

    A model is one instance in the whole program, and its name is the root of its parameters'
    paths. Rename one of them.
    """

    code = "E0416"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"two models are called {self.name}"


@case(kw_only=True)
class NeedsArrow(Placed):
    """A layer that maps axes needs `A -> B` in its brackets.

    `Linear(H -> K)` takes axis `H` and makes axis `K`; `C -> 32` keeps the name and changes the
    size.
    """

    code = "E0417"
    callee: str
    source: str
    target: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.callee} needs {self.source} -> {self.target} in its brackets"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return (
            self.hint
            or f"name the axis that it takes and the one that it makes: `{self.callee}(D -> H=64)`"
        )


@case(kw_only=True)
class NotAWindow(Placed):
    """The arrow of `window` or `unwindow` has the wrong form.

    `window(x, Y -> (Y, KY=3))` keeps each axis and adds one for the taps; `unwindow(x, (Y, KY)
    -> Y)` takes them back.
    """

    code = "E0418"
    what: str
    form: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} is written {self.form}"


@case(kw_only=True)
class TableShape(Placed):
    """The rows of a table do not have one length, or not one depth for each axis.

    `constant([[1, 2], [3, 4]], (A, B))`: as many levels of brackets as axes, all rows equally
    long, all elements numbers.
    """

    code = "E0419"
    why: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"this is not a table: {self.why}"
