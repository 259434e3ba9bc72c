"""Mistakes with names: unknown, declared twice, of the wrong kind, imports."""

from __future__ import annotations

from typing import ClassVar

from dlc.diagnostics.diagnostic import case
from dlc.diagnostics.placed import Placed


@case(kw_only=True)
class UnknownName(Placed):
    """A name is used that nothing declares.

    Names are looked up in the body, then among the names of the file (axes, hypers, constants,
    defs, layers, models, imports), then in the standard library. Check the spelling, declare
    the name above its use, or import it: `from models.lenet import LeNet`. An axis is declared
    with `axis H = 128`, or where a layer makes it: `Linear(F -> H=128)`.
    """

    code = "E0101"
    example: ClassVar[str] = "model M(x: f32[N]) -> f32[N]:\n    return rleu(x)\n"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} is not known here"


@case(kw_only=True)
class DeclaredTwice(Placed):
    """One name is declared twice in a file, in a signature or in a body.

    There is one kind of name: an axis, a layer and a constant cannot share one. Rename one of
    the two. (A value may be assigned again; only declarations are unique.)
    """

    code = "E0102"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} is declared twice"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "rename one of the two, or remove it"


@case(kw_only=True)
class WrongKindOfName(Placed):
    """A name stands where another kind of thing is needed: a tensor where an axis is, for instance.

    `over=` and the square brackets of a type want axes, `wrt` wants a model, `using` an
    optimizer. Use the name of such a thing.
    """

    code = "E0103"
    name: str
    is_a: str
    wanted: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} is {self.is_a}; {self.wanted} is needed here"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or f"write the name of {self.wanted}"


@case(kw_only=True)
class ImportNotFound(Placed):
    """The file of an import does not exist.

    `from models.lenet import LeNet` reads `models/lenet.dl`, looked up beside the file that
    holds the import.
    """

    code = "E0104"
    module: str
    path: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"there is no file {self.path} for {self.module}"


@case(kw_only=True)
class NotInFile(Placed):
    """The imported file does not declare the name.

    What a file declares at its top can be imported: axes, hypers, constants, defs, layers,
    models and optimizers.
    """

    code = "E0105"
    name: str
    module: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.module} declares no {self.name}"


@case(kw_only=True)
class NotSetHere(Placed):
    """A name of the body is read where it has no value yet.

    It is set in a branch that is not taken, or only further down. `if` is decided while
    compiling: set the name in every branch, or before the `if`.
    """

    code = "E0106"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} has no value here"


@case(kw_only=True)
class NoAttribute(Placed):
    """What stands after the dot does not exist.

    `embed.table` is a parameter of the instance `embed`; `NET.head` is an instance of a model;
    in an optimizer `p.decay` is what the `param` said.
    """

    code = "E0107"
    owner: str
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.owner} has no {self.name}"


@case(kw_only=True)
class ReservedName(Placed):
    """The name belongs to the language and cannot be given a value.

    `true false inf pi training step epoch` and the names of types keep their meaning
    everywhere. Choose another name.
    """

    code = "E0108"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.name} belongs to the language and cannot be declared"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or f"choose another name: `{self.name}_`"


@case(kw_only=True)
class DefinedByItself(Placed):
    """A constant, or the size of an axis, is computed from itself.

    `A = B + 1` with `B = A` has no value. Write one of them as a number.
    """

    code = "E0109"
    name: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"the value of {self.name} depends on itself"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "write one of the values in the circle as a number"


@case(kw_only=True)
class UnpackMismatch(Placed):
    """An assignment has more or fewer names than its value has parts.

    `mu, logvar = Encoder(x)` needs a model that returns two tensors. Name exactly as many.
    """

    code = "E0110"
    names: int
    values: int

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.names} names, but the value has {self.values} part{'s' * (self.values != 1)}"
