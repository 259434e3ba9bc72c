"""Programs that would explode: loops, sizes, nesting, memory. Said before anything is allocated."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import case
from dlc.diagnostics.placed import Placed


@case(kw_only=True)
class TooManyTurns(Placed):
    """A loop is too long to unroll.

    `for` is decided while compiling and each turn is written out, so loops and lists are bounded;
    the message has the limit. Work on a tensor with an axis instead of a loop.
    """

    code = "E0611"
    count: str
    limit: int

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"this makes {self.count}; the limit is {self.limit:,}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "give a tensor an axis, and work on it as a whole instead of in a loop"


@case(kw_only=True)
class TooLarge(Placed):
    """A number, an axis or a tensor is larger than the compiler can handle.

    An axis has at most 2**31 - 1 elements (indices are i32), a tensor at most 2**40, and a
    number known while compiling fits 64 bits.
    """

    code = "E0612"
    what: str
    limit: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what}; the limit is {self.limit}"


@case(kw_only=True)
class TooDeep(Placed):
    """Calls are nested too deeply.

    Functions and layers may call each other up to 40 deep. Flatten the program.
    """

    code = "E0613"

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return "calls are nested too deeply here"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "put the work of several functions into one"


@case(kw_only=True)
class Recursion(Placed):
    """A def, layer or model calls itself, directly or through others.

    The language has no recursion: every program ends. Repeat with `for i in range(n):`.
    """

    code = "E0604"
    chain: tuple[str, ...]

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.chain[0]} calls itself: {' -> '.join(self.chain)}"


@case(kw_only=True)
class ImportCycle(Placed):
    """Files import each other in a circle.

    Move what both need into a third file.
    """

    code = "E0605"
    chain: tuple[str, ...]

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"these files import each other: {' -> '.join(self.chain)}"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "move what both files need into a third"


@case(kw_only=True)
class TooManyNodes(Placed):
    """The program unrolls into too many operations.

    Loops with fewer turns, or one tensor with an axis more instead of many tensors, make it
    smaller.
    """

    code = "E0606"
    limit: int

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"more than {self.limit:,} operations"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return (
            self.hint or "use fewer turns, or one tensor with an axis more instead of many tensors"
        )


@case(kw_only=True)
class OutOfMemory(Placed):
    """The parameters, or one tensor that must be held, need more memory than this machine has.

    Its size follows from the axes: make the largest one smaller. Run-time axes count as the
    recipe's `batch` says, and as 1 where nothing is said. Tensors that are computed where they
    are read, such as masks and sums that broadcast, do not count. Nothing was allocated.
    """

    code = "E0607"
    what: str
    bytes: int
    available: int

    @property
    def message(self) -> str:
        """The mistake in one line."""
        need, have = _gib(self.bytes), _gib(self.available)
        return f"{self.what} needs {need}; this machine has {have} of memory"

    @property
    def help(self) -> str | None:
        """The fix that was found, or the usual one."""
        return self.hint or "make one of its axes smaller"


@case(kw_only=True)
class NotSupportedYet(Placed):
    """The language has it, this version of the compiler does not.

    `scan` and what is built on it (`carry`, `emit`, `prod`, `cumsum`) come with a later version.
    """

    code = "E0610"
    what: str

    @property
    def message(self) -> str:
        """The mistake in one line."""
        return f"{self.what} is not supported yet"


def _gib(count: int) -> str:
    if count >= 1 << 60:
        return f"{count / (1 << 60):,.0f} EiB"
    return f"{count / (1 << 30):,.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):,.1f} MiB"
