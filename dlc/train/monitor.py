"""The metric that is watched: which epoch is the best, and when to stop early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from dlc.diagnostics import fail
from dlc.diagnostics.running import MonitorUnknown
from dlc.semantics.program import Recipe
from dlc.train.metrics import highest_is_best
from dlc.train.state import Best, EpochRecord, TrainState

Array = np.ndarray[Any, Any]


class Monitor:
    """Watches one metric, validation's where there is one; the loss if the recipe names none."""

    def __init__(self, recipe: Recipe, better: Literal["min", "max"] | None) -> None:
        """Raises DlcError (E0810) if the recipe monitors what none of its steps measures."""
        settings = recipe.settings
        self.name = _name(recipe)
        self.chooses = settings.get("monitor") is not None or settings.get("patience") is not None
        """Whether the result of training is the best epoch, not the last."""
        patience = settings.get("patience")
        self.patience = patience if isinstance(patience, int) else None
        goal = better or settings.get("goal")
        self._sign = -1 if highest_is_best(self.name, goal) else 1
        self.best: dict[str, Array] | None = None
        """The params and states of the best epoch, if they are the result."""

    def judge(self, state: TrainState, record: EpochRecord, params: Mapping[str, Array]) -> None:
        """Keeps the best epoch; NaN is never better, an equal value neither."""
        value = record.metrics.get(self.name, float("nan"))
        best = state.best
        if value != value or (best is not None and self._sign * value >= self._sign * best.value):
            state.stale += 1
            return
        state.best, state.stale = Best(record.epoch, value), 0
        if self.chooses:
            self.best = {path: array.copy() for path, array in params.items()}

    def over(self, state: TrainState) -> bool:
        """Whether no epoch was better for too long."""
        return self.patience is not None and state.stale >= self.patience

    def chosen(self, params: dict[str, Array]) -> dict[str, Array]:
        """The params and states that are the result so far."""
        return self.best if self.best is not None and self.chooses else params


def _name(recipe: Recipe) -> str:
    named, steps = recipe.settings.get("monitor"), recipe.steps
    available = tuple(
        f"{step.name}.{name}" if len(steps) > 1 else name for step in steps for name in step.metrics
    )
    if not isinstance(named, str):
        return next((name for name in available if name.endswith("loss")), "loss")
    found = [name for name in available if named in (name, name.rpartition(".")[2])]
    if not found:
        raise fail(MonitorUnknown(named, available, recipe.span))
    return found[0]
