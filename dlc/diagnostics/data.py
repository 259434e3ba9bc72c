"""Mistakes in data: columns, rows and values that do not fit what a recipe says of them."""

from __future__ import annotations

from typing import ClassVar

from dlc.diagnostics.diagnostic import Diagnostic, Label, case
from dlc.diagnostics.placed import similar
from dlc.diagnostics.span import Span


class DataMistake(Diagnostic):
    """Anything wrong with data; the process ends with exit code 3."""

    exit_code: ClassVar[int] = 3


@case
class ColumnMissing(DataMistake):
    """The file of data has no array or column of the name that the recipe asks for.

    `npz("f.npz", image="x")` reads the array `x` of the file as the column `image`;
    `csv("f.csv", label="kind")` reads the csv column `kind` as `label`. Names are compared letter
    by letter. The message lists what the file has.
    """

    code = "E0705"
    path: str
    name: str
    available: tuple[str, ...]
    at: Span | None = None

    @property
    def message(self) -> str:
        """The name and the file."""
        return f"{self.path} has no {self.name!r}; it has {listed(self.available)}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """Where the recipe asks for it."""
        return (Label(self.at, "asked for here"),) if self.at else ()

    @property
    def help(self) -> str | None:
        """The nearest name."""
        return f"did you mean {near}?" if (near := similar(self.name, self.available)) else None


@case
class ColumnUnbound(DataMistake):
    """A step has a parameter that no column of the data gives.

    The parameters of a `step` are the contract with the data: each one is bound to the column of
    the same name. Name the column in the source, `npz("f.npz", image="x")`, or rename the
    parameter, or pass the array under that name from Python.
    """

    code = "E0706"
    parameter: str
    source: str
    available: tuple[str, ...]
    at: Span | None = None

    @property
    def message(self) -> str:
        """The parameter and the columns."""
        return (
            f"{self.source} has no column {self.parameter!r} for the step's parameter; "
            f"its columns: {listed(self.available)}"
        )

    @property
    def labels(self) -> tuple[Label, ...]:
        """The parameter."""
        return (Label(self.at, "bound to the column of this name"),) if self.at else ()

    @property
    def help(self) -> str | None:
        """Both ways."""
        return f"""name it in the source, `{self.parameter}="..."`, or rename the parameter"""


@case
class ShapeMismatch(DataMistake):
    """A column's shape is not that of the step's parameter.

    A column has one entry for each axis of the parameter's type, in the written order; an axis of
    size 1 may be missing. Sizes are those of the type. Change the type, or the data: reshaping
    stands in the step (`merge`, `split`), so that serving does the same.
    """

    code = "E0707"
    parameter: str
    expected: str
    place: str
    shape: tuple[int, ...]
    reason: str
    at: Span | None = None

    @property
    def message(self) -> str:
        """Both shapes."""
        return f"{self.parameter} is {self.expected}, but {self.place} has shape {self.shape}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The parameter."""
        return (Label(self.at, self.reason),) if self.at else ()

    @property
    def help(self) -> str | None:
        """Which axis, if no label says so."""
        return None if self.at else self.reason


@case
class DtypeMismatch(DataMistake):
    """A column holds another kind of values than the step's parameter.

    A column converts where no value changes (`u8` to `i32` or `f32`, `i64` to `i32` where all
    numbers fit) and from `f64` to `f32`. Text becomes class numbers for an integer parameter.
    Other kinds (complex numbers, dates, records, text for a float) do not convert.
    """

    code = "E0708"
    parameter: str
    expected: str
    place: str
    found: str
    at: Span | None = None

    @property
    def message(self) -> str:
        """Both kinds."""
        return f"{self.parameter} is {self.expected}, but {self.place} holds {self.found}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The parameter."""
        return (Label(self.at, f"expects {self.expected}"),) if self.at else ()

    @property
    def help(self) -> str | None:
        """Both ways."""
        return "change the type of the parameter, or convert the data before saving it"


@case
class ValueChanges(DataMistake):
    """A value of a column would change by conversion to the type of the step's parameter.

    Only conversions that keep every value are made silently (and `f64` to `f32`, which rounds).
    300 does not fit `u8`, 0.5 is no `i32`, 16777217 is no `f32`. Widen the parameter's type, or
    round and clip the data before saving it.
    """

    code = "E0709"
    parameter: str
    expected: str
    value: str
    place: str
    at: Span | None = None

    @property
    def message(self) -> str:
        """The value and its place."""
        return f"{self.value} in {self.place} cannot be kept as {self.expected} ({self.parameter})"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The parameter."""
        return (Label(self.at, f"every value must fit {self.expected}"),) if self.at else ()

    @property
    def help(self) -> str | None:
        """Both ways."""
        return "choose a wider type for the parameter, or round or clip the data before saving it"


@case
class NotFinite(DataMistake):
    """A float column holds NaN or an infinity.

    One such value makes the loss NaN and the weights useless, so it is refused before training.
    Remove the row, or fill the value (with the column's mean, say) and add a column that marks it.
    """

    code = "E0720"
    parameter: str
    value: str
    place: str

    @property
    def message(self) -> str:
        """The value and its place."""
        return f"{self.parameter}: {self.value} in {self.place}"

    @property
    def help(self) -> str:
        """What to do with it."""
        return "remove the row or fill the value before training"


@case
class IndexOutOfRange(DataMistake):
    """An integer column indexes an axis, and one of its values lies outside.

    `logits[K=label]` and `cross_entropy(logits, label, over=K)` take class numbers from 0 to K-1.
    Often classes are counted from 1 in the file (write `label - 1` in the step), or the axis is too
    small (`axis K = 11`).
    """

    code = "E0721"
    parameter: str
    value: int
    axis: str
    size: int
    place: str
    at: Span | None = None

    @property
    def message(self) -> str:
        """The value, its place, the axis."""
        return (
            f"{self.parameter} indexes axis {self.axis}, of size {self.size}, "
            f"but {self.place} is {self.value}"
        )

    @property
    def labels(self) -> tuple[Label, ...]:
        """Where it indexes."""
        return (Label(self.at, f"takes 0 to {self.size - 1}"),) if self.at else ()

    @property
    def help(self) -> str | None:
        """A larger axis, or another count."""
        return (
            f"where classes are counted from 1, write `{self.parameter} - 1`; "
            f"else declare `axis {self.axis} = {self.value + 1}`"
            if self.value == self.size
            else f"declare `axis {self.axis} = {self.value + 1}`, or correct the value"
            if self.value > 0
            else f"correct the value: {self.axis} is counted from 0"
        )


@case
class RowsDiffer(DataMistake):
    """Two columns of one source have different numbers of rows.

    Row i of every column belongs to one example, so all have as many. Perhaps images of the
    training set are combined with labels of the test set.
    """

    code = "E0722"
    axis: str
    first: str
    first_rows: int
    second: str
    second_rows: int

    @property
    def message(self) -> str:
        """Both counts."""
        return (
            f"columns disagree on {self.axis}: {self.first} has {self.first_rows:,}, "
            f"{self.second} has {self.second_rows:,}"
        )

    @property
    def help(self) -> str | None:
        """What is wanted."""
        return "row i of every column belongs to one example: take files of one set"


@case
class NoRows(DataMistake):
    """There is nothing to train on.

    The source has no row, or fewer rows than a batch while `drop_last = true` drops the smaller
    one.
    """

    code = "E0723"
    source: str
    reason: str

    @property
    def message(self) -> str:
        """Why nothing is left."""
        return f"{self.source}: {self.reason}"

    @property
    def help(self) -> str | None:
        """What to do."""
        return "give it rows; a source smaller than a batch is used with `drop_last = false`"


@case
class RowsFixed(DataMistake):
    """The data have more or fewer rows than the axis of the rows declares.

    `axis N = 64` says that there are 64 rows, also of validation and test. Leave the size away
    (`axis N`): the program then runs batches of any size, the last, smaller one too, and
    `batch N = 64` says how many rows a batch has.
    """

    code = "E0737"
    purpose: str
    axis: str
    size: int
    rows: int
    at: Span | None = None

    @property
    def message(self) -> str:
        """Both numbers."""
        return f"the {self.purpose} data have {self.rows:,} rows, but {self.axis} is {self.size}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """An input that has the axis."""
        return (Label(self.at, f"has always {self.size} rows"),) if self.at else ()

    @property
    def help(self) -> str:
        """The way out."""
        return (
            f"declare `axis {self.axis}` without a size, and say `batch {self.axis} = {self.size}`"
        )


@case
class LabelUnknown(DataMistake):
    """A text label does not occur among the classes of the training data.

    Text labels become class numbers by their sorted order in the training data; the test data is
    read with the same classes. A label that only the test data has cannot have been learned.
    Perhaps it is misspelled, or has blanks around it.
    """

    code = "E0727"
    parameter: str
    value: str
    place: str
    classes: tuple[str, ...]

    @property
    def message(self) -> str:
        """The label, its place, the classes."""
        return (
            f"{self.parameter}: {self.value!r} in {self.place} is no class of the training data: "
            f"{listed(self.classes)}"
        )

    @property
    def help(self) -> str | None:
        """Both ways."""
        return "correct the label, or train on rows that have it as well"


@case
class StreamTooShort(DataMistake):
    """A stream is shorter than one piece that a batch cuts from it.

    `batch N = 32, T = 128` cuts pieces of 128 along `T`; the stream must hold at least one.
    """

    code = "E0731"
    parameter: str
    axis: str
    length: int
    piece: int
    place: str

    @property
    def message(self) -> str:
        """Both lengths."""
        return (
            f"{self.place} has {self.length:,} along {self.axis}, less than one piece "
            f"of {self.piece:,} ({self.parameter})"
        )

    @property
    def help(self) -> str | None:
        """What fits."""
        return f"set `batch {self.axis}` to {self.length:,} or less"


@case
class ValidationEmpty(DataMistake):
    """The validation split leaves no row to train on, or none to validate on.

    `validation = 0.1` takes a tenth of the rows. With few rows that is none; with 1.0 nothing is
    left to train on.
    """

    code = "E0732"
    fraction: float
    rows: int

    @property
    def message(self) -> str:
        """The numbers."""
        taken = round(self.fraction * self.rows)
        return (
            f"validation = {self.fraction:g} takes {taken:,} of {self.rows:,} rows, "
            f"which leaves {self.rows - taken:,} to train on"
        )

    @property
    def help(self) -> str | None:
        """Both ways."""
        return "take another part of the rows, or a source of its own: `validation = npz(...)`"


@case
class DataNotGiven(DataMistake):
    """A recipe has steps with parameters, but no data.

    Write a source into the recipe, `data = npz("f.npz", image="x")`, or pass arrays from Python:
    `dlc.train("model.dl", data={"image": x})`.
    """

    code = "E0735"
    recipe: str
    parameters: tuple[str, ...]
    at: Span | None = None

    @property
    def message(self) -> str:
        """What is needed."""
        return f"recipe {self.recipe} needs data for {listed(self.parameters)}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The recipe."""
        return (Label(self.at, "has no data"),) if self.at else ()

    @property
    def help(self) -> str:
        """Both ways."""
        return "write `data = npz(...)` into the recipe, or pass arrays from Python"


@case
class NotAnArray(DataMistake):
    """A value passed from Python as a column is no rectangular array.

    Columns are NumPy arrays or anything that `numpy.asarray` takes: equal lengths in every row.
    """

    code = "E0736"
    column: str
    reason: str

    @property
    def message(self) -> str:
        """The column and why."""
        return f"the column {self.column!r} is no array: {self.reason}"


def listed(names: tuple[str, ...], most: int = 12) -> str:
    """Names in one line, cut after `most`; `nothing` for none."""
    shown = ", ".join(names[:most])
    rest = len(names) - most
    return f"{shown} and {rest:,} more" if rest > 0 else shown or "nothing"
