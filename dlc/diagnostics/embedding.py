"""Mistakes in calls of a compiled program: its arrays, names and sizes."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import Diagnostic, case
from dlc.diagnostics.placed import similar


@case
class ModelUnclear(Diagnostic):
    """A program with several models is used as if it had one.

    A file with several models is called by their names, `net.G(z)`; commands take `--model G`.
    """

    code = "E0789"
    exit_code = 2
    program: str
    models: tuple[str, ...]

    @property
    def message(self) -> str:
        """How many there are."""
        count = len(self.models) or "no"
        return f"{self.program} has {count} models: name the one that is meant"

    @property
    def help(self) -> str:
        """How to name one."""
        if not self.models:
            return "write `model NAME(...)` in the file"
        return f"from Python net.{self.models[0]}(...), in commands --model {self.models[0]}"


@case
class ArgumentUnknown(Diagnostic):
    """A call of a compiled model gives something that the model does not take.

    Inputs are known by the names of the model's signature in the `.dl` file. Besides these a call
    takes `out=`, `seed=` where the model draws random numbers, its hypers, and run-time sizes
    that no input has.
    """

    code = "E0791"
    exit_code = 3
    model: str
    name: str
    known: tuple[str, ...]

    @property
    def message(self) -> str:
        """Which name."""
        return f"{self.model} does not take {self.name}"

    @property
    def help(self) -> str:
        """What it takes."""
        return f"it takes {', '.join(self.known) or 'no input'}"


@case
class ArrayUnreadable(Diagnostic):
    """A value given to a program cannot be read as an array.

    Inputs are NumPy arrays, nested lists of numbers of one length, numbers, or any object of
    another library that offers `__array__` or DLPack in the memory of the CPU.
    """

    code = "E0795"
    exit_code = 3
    name: str
    given: str
    reason: str

    @property
    def message(self) -> str:
        """What was given."""
        return f"{self.name}: cannot read {self.given} as an array: {self.reason}"


@case
class OutUnfit(Diagnostic):
    """An array given as `out=` cannot take the result.

    It must be a writable NumPy array of exactly the result's element type and shape.
    """

    code = "E0796"
    exit_code = 3
    name: str
    reason: str

    @property
    def message(self) -> str:
        """What is wrong with it."""
        return f"out for {self.name}: {self.reason}"


@case
class ValueUnknown(Diagnostic):
    """A model, parameter or value is asked for by a name that the program does not have.

    Parameters and intermediate values are known by their dotted path, `LeNet.conv_1.weight` and
    `LeNet.conv_1`; `list(net.params)` shows the parameters.
    """

    code = "E0798"
    exit_code = 2
    kind: str
    name: str
    known: tuple[str, ...]

    @property
    def message(self) -> str:
        """Which name."""
        return f"there is no {self.kind} {self.name}"

    @property
    def help(self) -> str:
        """The names there are."""
        near = similar(self.name, self.known)
        if near:
            return f"did you mean {near}?"
        shown = ", ".join(self.known[:8])
        return f"there is {shown}{', ...' if len(self.known) > 8 else ''}" if shown else "none"


@case
class GradientMissing(Diagnostic):
    """A gradient is asked for with respect to a value that has none.

    Only float values have gradients; the asked output must be computed from the value.
    """

    code = "E0799"
    exit_code = 2
    name: str
    reason: str

    @property
    def message(self) -> str:
        """Why there is none."""
        return f"{self.name} has no gradient: {self.reason}"
