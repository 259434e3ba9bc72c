"""Mistakes in a text as such: its file, characters, numbers, strings, brackets, indentation."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import Diagnostic, Label, case
from dlc.diagnostics.span import Span


@case
class SyntaxMistake(Diagnostic):
    """A mistake at one place."""

    at: Span

    @property
    def remark(self) -> str:
        """The words under the place."""
        return ""

    @property
    def labels(self) -> tuple[Label, ...]:
        """The one place."""
        return (Label(self.at, self.remark),)


def either(words: tuple[str, ...]) -> str:
    """`a, b or c`."""
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


@case
class BadCharacter(SyntaxMistake):
    """A character that has no meaning in a `.dl` file.

    Names are made of the letters a to z and A to Z, digits and `_`. Other characters belong in
    comments and strings. Look-alikes (a long dash, curly quotes, a no-break space) often come
    from text copied out of a document: type them again.
    """

    code = "E0002"
    example = "axis N\nbeta = 3 × 2\n"
    name: str
    fix: str | None = None

    @property
    def message(self) -> str:
        """The character by its name."""
        return f"the character {self.name} has no meaning here"

    @property
    def help(self) -> str | None:
        """What to type instead."""
        return self.fix or "outside comments and strings, names use only a-z, A-Z, 0-9 and `_`"


@case
class UnclosedBracket(SyntaxMistake):
    """A bracket that is never closed.

    Inside brackets the ends of lines do not count, so everything after an open bracket belongs
    to it. Close it where the expression ends.
    """

    code = "E0003"
    example = "axis N\nx = (1 + 2\n"
    closer: str

    @property
    def message(self) -> str:
        """Which bracket."""
        return f"`{self.at.text}` is never closed"

    @property
    def remark(self) -> str:
        """The missing partner."""
        return f"needs a `{self.closer}`"

    @property
    def help(self) -> str | None:
        """Where to close."""
        return f"add `{self.closer}` where the expression ends"


@case
class MismatchedBracket(SyntaxMistake):
    """A closing bracket that closes nothing, or not the bracket that is open.

    Brackets close in the reverse order of their opening: `f(x[T=0])`, not `f(x[T=0)]`.
    """

    code = "E0004"
    example = "x = (1 + 2]\n"
    opener: Span | None

    @property
    def message(self) -> str:
        """What does not fit."""
        if self.opener is None:
            return f"`{self.at.text}` closes nothing"
        return f"`{self.at.text}` does not close `{self.opener.text}`"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The closer and the open bracket."""
        here = Label(self.at, "no bracket is open here" if self.opener is None else "closed here")
        return (here,) if self.opener is None else (here, Label(self.opener, "opened here"))

    @property
    def help(self) -> str | None:
        """The fix."""
        return "remove it, or add the bracket that it should close" if self.opener is None else None


@case
class UnclosedString(SyntaxMistake):
    """A string without its closing quotes.

    A string ends on the line it starts on, with the same `"`. Text over several lines stands
    in triple quotes, three at the start and three at the end.
    """

    code = "E0005"
    example = 'train fit:\n    data = npz("digits.npz)\n'
    quotes: str

    @property
    def message(self) -> str:
        """The mistake."""
        return "this string is never closed"

    @property
    def remark(self) -> str:
        """What is missing."""
        return f"needs a closing {self.quotes}"


@case
class BadNumber(SyntaxMistake):
    """A number that is not written as numbers are.

    Numbers are `3`, `1_000`, `0.5`, `1e-3`: decimal digits, single underscores between digits,
    one point, an exponent. A number needs a digit before the point.
    """

    code = "E0006"
    example = "hyper lr: float = .1\n"
    fix: str

    @property
    def message(self) -> str:
        """The mistake."""
        return f"`{self.at.text}` is not a number"

    @property
    def help(self) -> str | None:
        """How to write it."""
        return self.fix


@case
class BadEscape(SyntaxMistake):
    r"""An escape that strings do not have.

    In a string `\\` stands for a backslash, `\"` for a quote, `\n` for a new line and `\t` for
    a tab. Write `\\` for a backslash as such; file names use `/`.
    """

    code = "E0007"
    example = 'NAME = "a\\qb"\n'

    @property
    def message(self) -> str:
        """The escape."""
        return f"strings have no escape `{self.at.text}`"

    @property
    def help(self) -> str | None:
        """The escapes there are."""
        return r"the escapes are \\ \" \n \t; write \\ for a backslash"


@case
class TabsAndSpaces(SyntaxMistake):
    """Tabs and spaces mixed in the indentation of a file.

    How far a tab reaches depends on the editor, so lines that look aligned may not be. Indent
    with spaces only; `dlc fmt` writes four for each level.
    """

    code = "E0008"
    example = "def f(x):\n    y = x\n\treturn y\n"

    @property
    def message(self) -> str:
        """The mistake."""
        return "the indentation mixes tabs and spaces"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "indent with four spaces for each level"


@case
class UnindentMismatch(SyntaxMistake):
    """A line that is indented less than the block before, but as far as no block around it.

    A block ends with the first line that is indented less, and that line must stand exactly
    below the first lines of a block around it.
    """

    code = "E0009"
    example = "def f(x):\n        y = x\n    return y\n"
    widths: tuple[int, ...]

    @property
    def message(self) -> str:
        """The mistake."""
        return "this line is indented as far as no block around it"

    @property
    def help(self) -> str | None:
        """The columns that would fit."""
        choices = either(tuple(str(width) for width in self.widths))
        return f"the blocks that are open here are indented by {choices}"


@case
class FileUnreadable(Diagnostic):
    """A file that cannot be read.

    It does not exist, is a directory, or may not be read. Paths are looked up from the current
    directory, imported files beside the file that imports them.
    """

    code = "E0028"
    path: str
    reason: str

    @property
    def message(self) -> str:
        """The file and the reason."""
        return f"cannot read {self.path}: {self.reason}"


@case
class FileNotText(Diagnostic):
    """A file that is not UTF-8 text.

    A `.dl` file is text in UTF-8. The file may be in another encoding (save it as UTF-8), or may
    be no `.dl` file at all.
    """

    code = "E0029"
    path: str
    line: int

    @property
    def message(self) -> str:
        """The file and the line."""
        return f"{self.path} is not UTF-8 text (line {self.line})"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "save the file as UTF-8"


@case
class NestedTooDeeply(SyntaxMistake):
    """Brackets, blocks or operators nested beyond the limit.

    A file may nest 100 brackets, 50 blocks, and 200 operations in one expression. Name parts of
    the expression, or move inner blocks into a `def` or `layer` of their own.
    """

    code = "E0601"
    what: str
    limit: int

    @property
    def message(self) -> str:
        """The limit."""
        return f"{self.what} are nested too deeply: more than {self.limit} levels"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "name a part of it, or move a part into a `def` or `layer` of its own"


@case
class FileTooLarge(Diagnostic):
    """A file larger than 8 MB.

    No program written by hand is that long. Data belongs in data files, which `npz(...)`,
    `csv(...)` and the like read.
    """

    code = "E0602"
    path: str
    size: int
    limit: int

    @property
    def message(self) -> str:
        """The size and the limit."""
        return f"{self.path} has {self.size} bytes; the limit is {self.limit}"


@case
class NumberTooLarge(SyntaxMistake):
    """A number that no dtype holds.

    Integers reach to 2**63 - 1, floats to about 1.8e308. Infinity is written `inf`.
    """

    code = "E0603"
    example = "x = 1e999\n"

    @property
    def message(self) -> str:
        """The mistake."""
        return "this number is too large"

    @property
    def help(self) -> str | None:
        """What to write."""
        return "infinity is written `inf`"
