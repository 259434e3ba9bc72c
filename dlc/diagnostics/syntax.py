"""Mistakes of syntax: what the grammar does not take, and how the language says it."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import Label, case
from dlc.diagnostics.span import Span
from dlc.diagnostics.text import SyntaxMistake, either


@case
class UnexpectedToken(SyntaxMistake):
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


@case
class UnexpectedIndent(SyntaxMistake):
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


@case
class MissingBlock(SyntaxMistake):
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


@case
class MissingColon(SyntaxMistake):
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

    @property
    def help(self) -> str | None:
        """The fix."""
        return "end the line with `:`"


@case
class BlockOnLine(SyntaxMistake):
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

    @property
    def help(self) -> str | None:
        """The fix."""
        return "move it to the next line, indented by four spaces"


@case
class ForeignOperator(SyntaxMistake):
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


@case
class ForeignStatement(SyntaxMistake):
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


@case
class ForeignExpression(SyntaxMistake):
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


@case
class ForeignName(SyntaxMistake):
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


@case
class ChainedComparison(SyntaxMistake):
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


@case
class AssignmentInExpression(SyntaxMistake):
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


@case
class ChainedAssignment(SyntaxMistake):
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


@case
class ExpressionStatement(SyntaxMistake):
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


@case
class AssignmentTarget(SyntaxMistake):
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


@case
class LineEndsEarly(SyntaxMistake):
    """A line that ends in the middle of an expression or declaration.

    A statement ends with its line. To go on, put the expression in brackets, or start the next
    line with `|>`.
    """

    code = "E0023"
    example = "def f(x):\n    y = x +\n        1\n    return y\n"
    missing: str
    in_expression: bool = False
    fix: str | None = None

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
            return self.fix
        return "to go on in the next line, use brackets, or start that line with `|>`"


@case
class Misplaced(SyntaxMistake):
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


@case
class ReservedName(SyntaxMistake):
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


@case
class MisplacedDocstring(SyntaxMistake):
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


@case
class TypedAssignment(SyntaxMistake):
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
        return "write `name = value`, without a type"
