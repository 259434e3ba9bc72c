"""Mistakes in files of data: missing, damaged, of another format than their source says."""

from __future__ import annotations

from dlc.diagnostics.data import DataMistake
from dlc.diagnostics.diagnostic import Label, case
from dlc.diagnostics.span import Span


@case
class FileMissing(DataMistake):
    """A file of data is in none of the places where it is looked for.

    File names in a `train` block are looked up beside the `.dl` file first, then in each folder of
    the environment variable DLC_DATA (folders separated by `:` on Linux). A name that ends in
    `.gz` is also found unpacked, and the other way round. Put the file into one of the places that
    the message lists, or add its folder: `DLC_DATA=/data dlc train model.dl`.
    """

    code = "E0701"
    name: str
    looked: tuple[str, ...]
    advice: str
    at: Span | None = None

    @property
    def message(self) -> str:
        """The file."""
        return f"no file {self.name}; looked for {', '.join(self.looked)}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """Where the recipe names it."""
        return (Label(self.at, "this file"),) if self.at else ()

    @property
    def help(self) -> str:
        """How to get it, where to put it."""
        return self.advice


@case
class FileUnreadable(DataMistake):
    """The system refuses to read a file or folder of data.

    The file is there, but opening or reading it fails: no permission, a folder where a file is
    expected, a broken disk. The message holds the system's own words.
    """

    code = "E0702"
    path: str
    reason: str

    @property
    def message(self) -> str:
        """The file and the system's words."""
        return f"cannot read {self.path}: {self.reason}"


@case
class FileDamaged(DataMistake):
    """A file of data is not what its format demands.

    The file is cut short, has other bytes than its format says, or is of another format than the
    source's function (`idx(...)` of a png). Often a download stopped half-way or saved an error
    page under the file's name: get the file again, and compare its size with the original's.
    """

    code = "E0703"
    path: str
    format: str
    reason: str

    @property
    def message(self) -> str:
        """The file and what is wrong in it."""
        return f"{self.path} is not a whole {self.format} file: {self.reason}"

    @property
    def help(self) -> str:
        """Get it again."""
        return "get the file again, or correct the kind of the source"


@case
class FileTooLarge(DataMistake):
    """A file of data would not fit into this machine's memory.

    Packed files are unpacked into memory, csv and images are decoded into it. The limit is what
    the machine (or its container) has free. A plain `.npy` file is mapped instead of read, so it
    may be larger than the memory: save large data as `npy`.
    """

    code = "E0704"
    path: str
    bytes: int
    limit: int

    @property
    def message(self) -> str:
        """Both numbers."""
        return (
            f"{self.path} holds {self.bytes:,} bytes of data, more than the {self.limit:,} bytes "
            "of memory that this machine can give"
        )

    @property
    def help(self) -> str:
        """What is mapped instead."""
        return "save it as .npy, which is mapped instead of read, or take a part of it"


@case
class CsvRow(DataMistake):
    """A line of a csv file has more or fewer fields than its header.

    A comma inside a field needs quotes around the field: `"Smith, John"`. A line that ends in the
    middle means that the file was cut.
    """

    code = "E0724"
    path: str
    line: int
    found: int
    expected: int

    @property
    def message(self) -> str:
        """Line and counts."""
        return (
            f"{self.path}, line {self.line}: {self.found} fields, "
            f"but the header names {self.expected}"
        )

    @property
    def help(self) -> str | None:
        """What it may be."""
        return (
            "put fields that hold a comma into quotes; a last line cut short means a damaged file"
        )


@case
class CsvValue(DataMistake):
    """A field of a numeric csv column is empty or no number.

    The first row decides what a column holds: numbers, or text that becomes class numbers. In a
    column of numbers every field must be one; there are no missing values. Fill or remove the row.
    """

    code = "E0725"
    path: str
    line: int
    column: str
    text: str

    @property
    def message(self) -> str:
        """The field and its place."""
        what = f"{self.text!r} is no number" if self.text else "the field is empty"
        return f"{self.path}, line {self.line}, column {self.column!r}: {what}"

    @property
    def help(self) -> str | None:
        """What to do with it."""
        return "fill the field, or remove the row"


@case
class CsvHeader(DataMistake):
    """A csv file has no usable header.

    The first line names the columns, each name once: `length,width,kind`.
    """

    code = "E0726"
    path: str
    reason: str

    @property
    def message(self) -> str:
        """What is wrong."""
        return f"{self.path}: {self.reason}"

    @property
    def help(self) -> str:
        """What a header is."""
        return "the first line must name every column once"


@case
class ImageMismatch(DataMistake):
    """An image has another size than the one before it.

    The images of a folder, and those that `dlc predict` is given at once, become one array, so they
    need one size. They are read as they are and never stretched silently: resize the files.
    """

    code = "E0728"
    path: str
    found: str
    first: str
    expected: str

    @property
    def message(self) -> str:
        """Both sizes."""
        return f"{self.path} is {self.found}, but {self.first} is {self.expected}"

    @property
    def help(self) -> str | None:
        """The way out."""
        return "resize the image: all of them become one array"


@case
class PillowMissing(DataMistake):
    """Reading images needs the package Pillow, which is not installed.

    `pip install 'dlc[images]'` installs it. Everything else works without.
    """

    code = "E0729"
    path: str

    @property
    def message(self) -> str:
        """What needs it."""
        return f"reading the images of {self.path} needs the package Pillow"

    @property
    def help(self) -> str:
        """The command."""
        return "pip install 'dlc[images]'"


@case
class PickledData(DataMistake):
    """An npy or npz file holds Python objects.

    Reading them would run code from the file, so they are refused. Save plain arrays:
    `np.save(path, np.asarray(values, dtype=np.float32))`.
    """

    code = "E0730"
    path: str

    @property
    def message(self) -> str:
        """The file."""
        return f"{self.path} holds pickled Python objects, not plain numbers"

    @property
    def help(self) -> str:
        """How to save it."""
        return "save a plain array: np.save(path, np.asarray(values, dtype=np.float32))"


@case
class NoClasses(DataMistake):
    """A folder of images has no images, or none in class folders.

    `images("folder", ...)` reads `folder/CLASS/picture.png`: one folder for each class, whose
    sorted names are the classes.
    """

    code = "E0734"
    path: str
    reason: str

    @property
    def message(self) -> str:
        """What is missing."""
        return f"{self.path}: {self.reason}"

    @property
    def help(self) -> str:
        """The layout."""
        return "lay the images out as FOLDER/CLASS/PICTURE.png"
