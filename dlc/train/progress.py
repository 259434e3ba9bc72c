"""What a person sees of a training: a summary, then one line that moves, or plain lines."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dlc.diagnostics import Diagnostic, render
from dlc.train.loop import Trainer
from dlc.train.options import Callback, Run
from dlc.train.state import EpochRecord, Metrics
from dlc.train.summary import summary

Mode = Literal["terminal", "notebook", "lines"]
REDRAW_SECONDS = 0.2
LINE_SECONDS = 30.0
"""Plain lines: at most one so often within an epoch."""
SPAN_SECONDS = 10.0
BAR_WIDTH = 24


class Clock:
    """How fast training goes now: its pace of `SPAN_SECONDS` ago counts a third of the present."""

    def __init__(self) -> None:
        self.began = self.shown = time.monotonic()
        self._batches = self._rows = self._seconds = 0.0
        self._last: float | None = None

    def start(self) -> None:
        """Training goes on from here: what passed since the last batch does not count."""
        self._last = time.monotonic()

    def batches(self, count: int, rows: int) -> None:
        """So many batches are done, of so many rows each."""
        now = time.monotonic()
        passed = now - (now if self._last is None else self._last)
        kept = math.exp(-passed / SPAN_SECONDS)
        self._last = now
        self._seconds = self._seconds * kept + passed
        self._batches = self._batches * kept + count
        self._rows = self._rows * kept + count * rows

    def due(self, seconds: float) -> bool:
        """Whether so much time passed since this last said yes."""
        now = time.monotonic()
        if now - self.shown < seconds:
            return False
        self.shown = now
        return True

    @property
    def rows_a_second(self) -> float:
        """Of training, validation not counted."""
        return self._rows / self._seconds if self._seconds else 0.0

    def left(self, batches: int) -> float:
        """The seconds that so many batches will take."""
        return batches * self._seconds / self._batches if self._batches else 0.0

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began


class Progress(Callback):
    """Shows a training on stderr: on a terminal and in a notebook one line that moves."""

    def __init__(self, stream: TextIO | None = None, mode: Mode | None = None) -> None:
        self.stream = stream or sys.stderr
        self.mode: Mode = mode or mode_of(self.stream)
        self.clock = Clock()
        self._live: Live | None = None
        self._drawn = 0

    def on_start(self, trainer: Trainer) -> None:
        """Shows the summary."""
        self._say(summary(trainer))
        self._draw("compiling")

    def on_compile(self, trainer: Trainer, kernels: int) -> None:
        """Says that it takes a while."""
        line = f"compiling {kernels} kernel{'s' if kernels > 1 else ''} ..."
        self._say(line) if self.mode == "lines" else self._draw(line)

    def on_ready(self, trainer: Trainer) -> None:
        """Begins to measure."""
        self.clock.start()

    def on_batches(self, trainer: Trainer, count: int) -> None:
        """Redraws now and then."""
        self.clock.batches(count, min(trainer.data.batch, len(trainer.data.train_rows)))
        wait = LINE_SECONDS if self.mode == "lines" else REDRAW_SECONDS
        if self.clock.due(wait):
            line = self.line(trainer)
            if self.mode == "lines":
                self._say(line)
            else:
                self._draw(line)

    def on_validation(self, trainer: Trainer, done: int, total: int) -> None:
        """Shows how far it is."""
        if self.mode != "lines" and self.clock.due(REDRAW_SECONDS):
            self._draw(
                f"epoch {trainer.state.epoch + 1}/{trainer.epochs}  validating {done}/{total}"
            )

    def on_epoch(self, trainer: Trainer, record: EpochRecord) -> None:
        """One line for each epoch stays."""
        held = f"  validation: {shown(record.validation)}" if record.validation else ""
        speed = f"{self.clock.rows_a_second:,.0f} samples/s"
        self._say(f"epoch {record.epoch}/{trainer.epochs}  {shown(record.train)}{held}  {speed}")
        self.clock.start()

    def on_end(self, trainer: Trainer, run: Run) -> None:
        """Says how it ended, and what was tested and saved."""
        parts = [f"{run.end} after {len(run.history)} epochs, {duration(self.clock.passed)}"]
        best = trainer.state.best
        if best is not None and trainer.monitor.chooses:
            parts.append(f"best: epoch {best.epoch}, {shown({trainer.monitor.name: best.value})}")
        if run.test:
            parts.append(f"test: {shown(run.test)}")
        if run.folder:
            parts.append(f"saved in {run.folder}")
        self._say("; ".join(parts))

    def on_failure(self, trainer: Trainer) -> None:
        """Leaves the terminal as it was."""
        self._clear()

    def on_warning(self, trainer: Trainer, warning: Diagnostic) -> None:
        """Shows it above the line."""
        self._say(render(warning))

    def line(self, trainer: Trainer) -> str:
        """Where training stands, in one line."""
        done, total = trainer.state.position + 1, trainer.batches
        filled = BAR_WIDTH * min(done, total) // max(total, 1)
        bar = "━" * filled + "╌" * (BAR_WIDTH - filled)
        epochs = trainer.epochs - trainer.state.epoch
        left = duration(self.clock.left(epochs * total - done))
        place = f"epoch {trainer.state.epoch + 1}/{trainer.epochs}"
        speed = f"{self.clock.rows_a_second:,.0f} samples/s"
        where = f"{done}/{total}" if self.mode == "lines" else f"{bar} {done}/{total}"
        return f"{place}  {where}  {shown(trainer.running())}  {speed}  {left} left"

    def _say(self, text: str) -> None:
        self._clear()
        print(text, file=self.stream, flush=True)

    def _draw(self, line: str) -> None:
        """Shows a line in place of the one before; plain streams show none."""
        if self.mode == "notebook":
            self.stream.write("\r" + line.ljust(self._drawn))
            self.stream.flush()
            self._drawn = len(line)
        elif self.mode == "terminal":
            if self._live is None:
                console = Console(file=self.stream, highlight=False)
                self._live = Live(console=console, transient=True, auto_refresh=False)
                self._live.start()
            text = Text(line, no_wrap=True, overflow="ellipsis")
            self._live.update(text, refresh=True)

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif self._drawn:
            self.stream.write("\r" + " " * self._drawn + "\r")
            self._drawn = 0


def mode_of(stream: TextIO) -> Mode:
    """How to show progress on a stream."""
    if in_notebook():
        return "notebook"
    return "terminal" if stream.isatty() else "lines"


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    kernel = sys.modules.get("ipykernel.zmqshell")
    return kernel is not None


def shown(metrics: Mapping[str, float] | Metrics) -> str:
    """Metrics in a line: `loss 0.1234  accuracy 0.9876`."""
    return "  ".join(f"{name} {_number(value)}" for name, value in metrics.items())


def duration(seconds: float) -> str:
    """A time for people: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = int(seconds + 0.5)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _number(value: Any) -> str:
    return f"{value:.4f}" if 1e-2 <= abs(value) < 1e4 else f"{value:.4g}"
