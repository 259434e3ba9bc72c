"""Mistakes in calls of a compiled program: its arrays, names and sizes."""

from __future__ import annotations

from dataclasses import dataclass

from dlc.diagnostics.diagnostic import Diagnostic


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class InputMissing(Diagnostic):
    """A call of a compiled model lacks an input.

    Every input of the model's signature is given once, by position in the written order or by
    name. `print(net)` shows the signature: `net(image=x)`.
    """

    code = "E0790"
    exit_code = 3
    model: str
    name: str
    type: str

    @property
    def message(self) -> str:
        """Which input."""
        return f"{self.model} needs the input `{self.name}: {self.type}`"

    @property
    def help(self) -> str:
        """How to give it."""
        return f"call it as {self.model}({self.name}=array)"


@dataclass(frozen=True, slots=True)
class InputUnknown(Diagnostic):
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
        return f"{self.model} does not take the input {self.name}"

    @property
    def help(self) -> str:
        """What it takes."""
        return f"it takes {', '.join(self.known) or 'no input'}"


@dataclass(frozen=True, slots=True)
class ArrayType(Diagnostic):
    """The elements of an array cannot become those of the input.

    Arrays convert as NumPy's same-kind rule says: `float64` to `f32`, `int64` to `i32`, integers
    to floats. Floats never become integers by themselves, nor text a number: convert first,
    `x.astype("uint8")`, where that is meant.
    """

    code = "E0792"
    exit_code = 3
    name: str
    expected: str
    given: str

    @property
    def message(self) -> str:
        """Both types."""
        return f"{self.name} has elements {self.given}; expected {self.expected}"

    @property
    def help(self) -> str:
        """The conversion."""
        return "convert it where that is meant: x.astype(...)"


@dataclass(frozen=True, slots=True)
class ArrayAxes(Diagnostic):
    """An array has another number of axes than the input's type.

    The axes of an array are those of the signature, in the written order: `image: u8[N, C, Y, X]`
    takes an array of four axes. `x[None]` adds an axis in front, for a batch of one.
    """

    code = "E0793"
    exit_code = 3
    name: str
    expected: str
    given: tuple[int, ...]

    @property
    def message(self) -> str:
        """The type and the shape."""
        count = len(self.given)
        shape = f"{count} ax{'i' if count == 1 else 'e'}s, shape {self.given}"
        return f"{self.name} has {shape}; expected {self.expected}"

    @property
    def help(self) -> str:
        """How axes are given."""
        return "every axis of the type has its place in the array, in the written order"


@dataclass(frozen=True, slots=True)
class ArraySize(Diagnostic):
    """An axis of an array has another size than the program expects.

    Sizes come from the `.dl` file (`axis Y = 28`) or, for a run-time axis, from the first array
    of the call that has it: then the arrays of one call disagree.
    """

    code = "E0794"
    exit_code = 3
    name: str
    axis: str
    expected: int
    given: int
    reason: str

    @property
    def message(self) -> str:
        """The axis and both sizes."""
        return f"axis {self.axis} of {self.name} has size {self.given}; expected {self.expected}"

    @property
    def help(self) -> str:
        """Where the expected size comes from."""
        return self.reason


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class SizeMissing(Diagnostic):
    """A run-time size that no input has must be given by its name.

    A model that makes a batch of its own, `normal[N, Z]`, cannot see how long it shall be: call
    it as `net.G(N=16)`.
    """

    code = "E0797"
    exit_code = 3
    model: str
    name: str

    @property
    def message(self) -> str:
        """Which size."""
        return f"{self.model} needs the size {self.name}, which none of its inputs has"

    @property
    def help(self) -> str:
        """How to give it."""
        return f"give it by name: {self.name}=16"


@dataclass(frozen=True, slots=True)
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
        shown = ", ".join(self.known[:8])
        return f"there is {shown}{', ...' if len(self.known) > 8 else ''}" if shown else "none"


@dataclass(frozen=True, slots=True)
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
