"""Mistakes in the text of a file: characters, layout, and what the grammar does not take."""

from __future__ import annotations

from dataclasses import dataclass

from dlc.diagnostics.diagnostic import Diagnostic, Label
from dlc.diagnostics.span import Span


@dataclass(frozen=True, slots=True)
class Placed(Diagnostic):
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


@dataclass(frozen=True, slots=True)
class UnexpectedToken(Placed):
    """The text stops making sense at this place.

    No statement or expression of the language continues with what stands here. The message says
    what could have stood here instead, where that is a short list. Often the mistake is a little
    before: a missing comma, operator or bracket.
    """

    code = "E0001"
    example = "def f(x):\n    return x y\n"
    found: str
    expected: tuple[str, ...]
    fix: str | None = None

    @property
    def message(self) -> str:
        """What was found."""
        return f"unexpected {self.found}"

    @property
    def remark(self) -> str:
        """What could stand here."""
        return f"expected {either(self.expected)}" if self.expected else "not expected here"

    @property
    def help(self) -> str | None:
        """The fix, where the place suggests one."""
        return self.fix


@dataclass(frozen=True, slots=True)
class BadCharacter(Placed):
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


@dataclass(frozen=True, slots=True)
class UnclosedBracket(Placed):
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


@dataclass(frozen=True, slots=True)
class MismatchedBracket(Placed):
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


@dataclass(frozen=True, slots=True)
class UnclosedString(Placed):
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


@dataclass(frozen=True, slots=True)
class BadNumber(Placed):
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


@dataclass(frozen=True, slots=True)
class BadEscape(Placed):
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


@dataclass(frozen=True, slots=True)
class TabsAndSpaces(Placed):
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


@dataclass(frozen=True, slots=True)
class UnindentMismatch(Placed):
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


@dataclass(frozen=True, slots=True)
class UnexpectedIndent(Placed):
    """A line that is indented further than the line before, which opens no block.

    Only lines that end with `:` are followed by an indented block. To continue an expression
    on the next line, put it in brackets or start the next line with `|>`.
    """

    code = "E0010"
    example = "def f(x):\n    y = x\n        return y\n"

    @property
    def message(self) -> str:
        """The mistake."""
        return "this line is indented, but the line before opens no block"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "unindent it; to continue a line, use brackets or start the next one with `|>`"


@dataclass(frozen=True, slots=True)
class MissingBlock(Placed):
    """A line that ends with `:` without an indented block below.

    What belongs to a `def`, `layer`, `model`, `train`, `step`, `if`, `for` or `scan` stands below
    it, indented by four spaces.
    """

    code = "E0011"
    example = "def f(x):\nreturn x\n"
    word: str

    @property
    def message(self) -> str:
        """The mistake."""
        return f"`{self.word}` has no block"

    @property
    def remark(self) -> str:
        """What is missing."""
        return "needs an indented block below"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "indent the lines that belong to it by four spaces"


@dataclass(frozen=True, slots=True)
class MissingColon(Placed):
    """The first line of a block without its `:`.

    The lines that open a block (`def`, `layer`, `model`, `train`, `step`, `optimizer`, `if`,
    `elif`, `else`, `for`, `scan`) end with a colon.
    """

    code = "E0012"
    example = "def f(x)\n    return x\n"
    word: str

    @property
    def message(self) -> str:
        """The mistake."""
        return f"`{self.word}` needs a `:` at the end of its line"

    @property
    def remark(self) -> str:
        """The place."""
        return "expected `:`"


@dataclass(frozen=True, slots=True)
class BlockOnLine(Placed):
    """A block on the line that opens it.

    A block stands on its own lines, indented, even when it is one statement long.
    """

    code = "E0013"
    example = "def f(x): return x\n"

    @property
    def message(self) -> str:
        """The mistake."""
        return "a block starts on a line of its own"

    @property
    def remark(self) -> str:
        """The place."""
        return "move this to the next line, indented"


@dataclass(frozen=True, slots=True)
class ForeignOperator(Placed):
    """An operator or sign of another programming language.

    The operators are `+ - * / // % **`, the comparisons `== != < <= > >=`, the words `and`, `or`,
    `not`, and `|>`, which hands a value to a function. A product of matrices is
    `dot(a, b, over=K)`.
    """

    code = "E0014"
    example = "def f(x):\n    y = x\n    y += 1\n    return y\n"
    fix: str

    @property
    def message(self) -> str:
        """The sign."""
        return f"dl has no `{self.at.text.split(chr(10))[0]}`"

    @property
    def help(self) -> str | None:
        """What to write."""
        return self.fix


@dataclass(frozen=True, slots=True)
class ForeignStatement(Placed):
    """A statement of another programming language.

    A body holds assignments, `return`, `if`, `for` over a list known while compiling, `scan` over
    an axis, and the declarations `axis`, `layer`, `param`, `state`; a step also `minimize` and
    `metric`. There are no unbounded loops, exceptions, classes or printing: that is what makes
    every program checkable before it runs.
    """

    code = "E0015"
    example = "def f(x):\n    while x > 0:\n        x = x - 1\n    return x\n"
    fix: str

    @property
    def message(self) -> str:
        """The word."""
        return f"dl has no `{self.at.text}` statement"

    @property
    def help(self) -> str | None:
        """What to write."""
        return self.fix


@dataclass(frozen=True, slots=True)
class ForeignExpression(Placed):
    """A form of expression of another programming language.

    A choice between values is `where(condition, a, b)`; a choice known while compiling is an
    `if` statement. A list is built by a `for` loop with `items = items + [x]`. A small function
    is a `def`.
    """

    code = "E0016"
    example = "def f(x):\n    return 1 if x > 0 else 0\n"
    form: str
    fix: str

    @property
    def message(self) -> str:
        """The form."""
        return f"dl has no {self.form}"

    @property
    def help(self) -> str | None:
        """What to write."""
        return self.fix


@dataclass(frozen=True, slots=True)
class ForeignName(Placed):
    """A constant of another programming language.

    The constants are `true`, `false`, `inf` and `pi`. There is no empty value: give a parameter
    a default, or leave an argument out.
    """

    code = "E0017"
    example = "layer L(In -> Out)(x: float[.., In]) -> float[.., Out]:\n    return x |> Linear(In -> Out, bias=True)\n"  # noqa: E501
    fix: str

    @property
    def message(self) -> str:
        """The name."""
        return f"dl has no `{self.at.text}`"

    @property
    def help(self) -> str | None:
        """What to write."""
        return self.fix


@dataclass(frozen=True, slots=True)
class ChainedComparison(Placed):
    """Two comparisons in a row.

    `a < b < c` is not read as in Python. Write both and join them: `a < b and b < c`.
    """

    code = "E0018"
    example = "def f(x):\n    return where(0 < x < 1, x, 0)\n"
    first: Span

    @property
    def message(self) -> str:
        """The mistake."""
        return "comparisons do not chain"

    @property
    def labels(self) -> tuple[Label, ...]:
        """Both comparisons."""
        return (Label(self.at, "second comparison"), Label(self.first, "first comparison"))

    @property
    def help(self) -> str | None:
        """The fix."""
        return "join two comparisons with `and`: `a < b and b < c`"


@dataclass(frozen=True, slots=True)
class AssignmentInExpression(Placed):
    """A single `=` inside an expression.

    `=` names a value or an argument; equality is `==`. Conditions have no assignments.
    """

    code = "E0019"
    example = "def f(x, n: int):\n    if n = 1:\n        return x\n    return -x\n"

    @property
    def message(self) -> str:
        """The mistake."""
        return "`=` does not compare"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "write `==` to compare"


@dataclass(frozen=True, slots=True)
class ChainedAssignment(Placed):
    """Two assignments in one statement: `x = y = 0`.

    Each statement names one value; write one line for each name.
    """

    code = "E0020"
    example = "def f(x):\n    a = b = x\n    return a + b\n"

    @property
    def message(self) -> str:
        """The mistake."""
        return "a statement assigns once"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "write one line for each name"


@dataclass(frozen=True, slots=True)
class ExpressionStatement(Placed):
    """An expression that stands alone as a statement.

    Nothing happens in an expression but its value, so a value that is not named, returned,
    emitted or minimized is lost. Write `y = ...` or `return ...`.
    """

    code = "E0021"
    example = "def f(x):\n    relu(x)\n    return x\n"
    fix: str = "name the value (`y = ...`) or return it (`return ...`)"

    @property
    def message(self) -> str:
        """The mistake."""
        return "an expression alone does nothing"

    @property
    def help(self) -> str | None:
        """The fix."""
        return self.fix


@dataclass(frozen=True, slots=True)
class AssignmentTarget(Placed):
    """An assignment to something that is not a name.

    Values do not change, so there are no assignments to parts: `x[T=0] = 1` and `net.weight = w`
    have no meaning. Compute a new value (`where(index(T) == 0, 1, x)`) and name it.
    """

    code = "E0022"
    example = "def f(x):\n    x[T=0] = 1\n    return x\n"

    @property
    def message(self) -> str:
        """The mistake."""
        return "only names are assigned to"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "compute a new value and name it: `y = where(index(T) == 0, 1, x)`"


@dataclass(frozen=True, slots=True)
class LineEndsEarly(Placed):
    """A line that ends in the middle of an expression or declaration.

    A statement ends with its line. To go on, put the expression in brackets, or start the next
    line with `|>`.
    """

    code = "E0023"
    example = "def f(x):\n    y = x +\n        1\n    return y\n"
    missing: str
    in_expression: bool = False

    @property
    def message(self) -> str:
        """What is missing."""
        return f"the line ends, but {self.missing} is missing"

    @property
    def remark(self) -> str:
        """The place."""
        return "the line ends here"

    @property
    def help(self) -> str | None:
        """How to go on."""
        if not self.in_expression:
            return None
        return "to go on in the next line, use brackets, or start that line with `|>`"


@dataclass(frozen=True, slots=True)
class Misplaced(Placed):
    """A declaration or statement in a place that does not take it.

    At the top of a file stand `axis`, `hyper`, `def`, `layer`, `model`, `optimizer`, `train`,
    `from ... import` and constants. Statements (`return`, `if`, `for`, `param`, ...) stand in the
    bodies of those. A `train` block holds settings and steps.
    """

    code = "E0024"
    example = "axis N\nreturn 1\n"
    where: str
    fix: str

    @property
    def message(self) -> str:
        """What stands where."""
        return f"`{self.at.text}` cannot stand {self.where}"

    @property
    def help(self) -> str | None:
        """Where it can."""
        return self.fix


@dataclass(frozen=True, slots=True)
class ReservedName(Placed):
    """A word of the language used as the name of a value.

    `param state carry emit axis layer scan minimize metric return` and the words of control (`if`,
    `for`, `and`, ...) open statements, so no value can have these names. Choose another one:
    `state_` or a longer word.
    """

    code = "E0025"
    example = "def f(state):\n    return state\n"

    @property
    def message(self) -> str:
        """The word."""
        return f"`{self.at.text}` is a word of the language and names no value"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "choose another name"


@dataclass(frozen=True, slots=True)
class MisplacedDocstring(Placed):
    """A string that stands alone, but not first.

    A string in triple quotes that is the first thing in a file or a block is its documentation.
    Elsewhere write a comment with `#`.
    """

    code = "E0026"
    example = 'def f(x):\n    y = x\n    """Late words."""\n    return y\n'

    @property
    def message(self) -> str:
        """The mistake."""
        return "documentation stands first in a file or block"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "move it up, or write a comment with `#`"


@dataclass(frozen=True, slots=True)
class TypedAssignment(Placed):
    """A type written on an assignment.

    The types of values in a body are computed, not declared; parameters, `param`, `state` and
    `carry` declare theirs. Leave the type out, or `cast(x, f32)`.
    """

    code = "E0027"
    example = "def f(x):\n    y: f32 = x\n    return y\n"

    @property
    def message(self) -> str:
        """The mistake."""
        return "an assignment declares no type"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "leave the type out: `y = ...`"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class NestedTooDeeply(Placed):
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class NumberTooLarge(Placed):
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
