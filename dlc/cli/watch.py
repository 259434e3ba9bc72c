"""What a command shows of a training that runs: progress for people, or JSON objects."""

from __future__ import annotations

from dlc.cli.console import Console
from dlc.diagnostics import Diagnostic
from dlc.train.loop import Trainer
from dlc.train.options import Callback
from dlc.train.progress import Progress
from dlc.train.state import EpochRecord


class Objects(Callback):
    """Tells each epoch and each warning as an object."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_epoch(self, trainer: Trainer, record: EpochRecord) -> None:
        """Tells its metrics."""
        self._console.result("epoch", "", **record.plain())

    def on_warning(self, trainer: Trainer, warning: Diagnostic) -> None:
        """Tells the warning."""
        self._console.diagnose([warning])


def watchers(console: Console) -> tuple[Callback, ...]:
    """What shows a training on this console; nothing when it is quiet."""
    if console.json:
        return (Objects(console),)
    return () if console.quiet else (Progress(),)
