"""How a training is asked for, watched, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dlc.diagnostics import Diagnostic
from dlc.diagnostics.record import record
from dlc.train.state import EpochRecord, Metrics

if TYPE_CHECKING:
    from dlc.train.loop import Trainer

Array = np.ndarray[Any, Any]
End = Literal["done", "stopped early", "stopped", "interrupted"]


class Callback:
    """What watches a training; every method may be left out. Called in the training's thread."""

    def on_start(self, trainer: Trainer) -> None:
        """Data are read and checked; nothing is compiled yet."""

    def on_compile(self, trainer: Trainer, kernels: int) -> None:
        """Native code of so many kernels is missing, and made now."""

    def on_ready(self, trainer: Trainer) -> None:
        """Everything that training needs is compiled."""

    def on_batch(self, trainer: Trainer) -> None:
        """A batch is done, all its steps. Where this is defined, batches run one by one."""

    def on_batches(self, trainer: Trainer, count: int) -> None:
        """So many batches are done since the last time, or since the epoch began."""

    def on_validation(self, trainer: Trainer, done: int, total: int) -> None:
        """A batch of validation or test is done."""

    def on_epoch(self, trainer: Trainer, record: EpochRecord) -> None:
        """An epoch is done, validated and saved."""

    def on_end(self, trainer: Trainer, run: Run) -> None:
        """Training is over, or was interrupted and saved."""

    def on_failure(self, trainer: Trainer) -> None:
        """Training ends by an exception."""

    def on_warning(self, trainer: Trainer, warning: Diagnostic) -> None:
        """Something that the user should know."""


SaveArtifact = Callable[[Path, Mapping[str, Array], Mapping[str, Any]], None]
"""Writes the artifact: its path, params and states by path, and facts of the training."""


@record
class Options:
    """Settings of one training that do not stand in the `.dl` file."""

    epochs: int | None = None
    """None: what the recipe says."""
    seed: int | None = None
    folder: Path | None = None
    """The run's folder; None: the next `runs/NAME-NUMBER`."""
    keep: bool = True
    """False: no folder, nothing is saved."""
    resume: Path | None = None
    """The folder of a run that is to be continued."""
    weights: Path | Mapping[str, Array] | None = None
    """Where params and states come from instead of their initial values."""
    callbacks: tuple[Callback, ...] = ()
    save_artifact: SaveArtifact | None = None
    save_every: int | None = None
    """A checkpoint each so many batches, besides those after each epoch."""
    better: Literal["min", "max"] | None = None
    """Which values of the monitored metric are better; None: as the recipe says, or by its name."""
    version: str = ""
    """Of dlc, for the manifest."""


@record
class Run:
    """What training gives back; partial if it was interrupted."""

    end: End
    history: tuple[EpochRecord, ...]
    params: Mapping[str, Array] = field(repr=False)
    """Params and states by path: of the best epoch if the recipe monitors a metric."""
    metrics: Metrics
    """The last epoch's metrics: validation's where there is one, else training's."""
    test: Metrics | None
    folder: Path | None
    signal: int | None = None
    """What interrupted it: the number of the signal."""

    @property
    def exit_code(self) -> int:
        """The process's exit code: 0, or 128 and the signal."""
        return 0 if self.signal is None else 128 + self.signal


class Interrupted(KeyboardInterrupt):
    """Training was interrupted between two batches; its state is saved."""

    def __init__(self, signal: int, folder: Path | None) -> None:
        self.signal, self.folder = signal, folder
        place = f"; continue it with resume={str(folder)!r}" if folder else ""
        super().__init__(f"training was interrupted{place}")
