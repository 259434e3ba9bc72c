"""What a user is told of gradients that do not exist."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import Diagnostic, Label, case
from dlc.diagnostics.span import Span


@case
class NoGradient(Diagnostic):
    """A gradient was asked for through an operation that has none.

    The loss depends on a parameter only by way of an order or a choice, such as the positions
    that `argsort` gives. They jump or stay where they are when a parameter moves a little, so no
    slope says how to change it. Train on the values instead (`x[T=argsort(x, over=T)]` has a
    gradient for `x`), or stop the gradient on purpose:

        order = argsort(stop_gradient(score), over=T)
    """

    code = "E0512"
    op: str
    place: Span | None
    asked: Span | None

    @property
    def message(self) -> str:
        """Names the operation."""
        return f"no gradient through {self.op}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """Where the operation stands, and where the gradient is asked for."""
        found = [Label(self.place, "its result changes in jumps")] if self.place else []
        if self.asked:
            found.append(Label(self.asked, "the gradient is taken here"))
        return tuple(found)

    @property
    def help(self) -> str | None:
        """To stop the gradient on purpose."""
        return f"write stop_gradient(...) around what goes into {self.op}"
