"""What a command shows of a training that runs: JSON objects, or lines for people."""

from __future__ import annotations

from dlc.cli.console import Console
from dlc.diagnostics import Diagnostic
from dlc.train.loop import Trainer
from dlc.train.options import Callback
from dlc.train.state import EpochRecord, Metrics


class Watcher(Callback):
    """Tells each epoch and each warning on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_epoch(self, trainer: Trainer, record: EpochRecord) -> None:
        """Tells its metrics."""
        if self._console.json:
            self._console.result("epoch", "", **record.plain())
        else:
            held = f"; validation {_shown(record.validation)}" if record.validation else ""
            epoch = f"epoch {record.epoch}/{trainer.epochs}"
            self._console.note(f"{epoch}: {_shown(record.train)}{held}")

    def on_warning(self, trainer: Trainer, warning: Diagnostic) -> None:
        """Tells the warning."""
        self._console.diagnose([warning])


def watcher(console: Console) -> Callback:
    """What shows a training on this console."""
    return Watcher(console)


def _shown(metrics: Metrics) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
