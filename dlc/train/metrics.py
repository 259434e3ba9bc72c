"""Metrics of an epoch as if it were one batch: accumulated over batches, finished once."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from dlc.diagnostics.record import record
from dlc.graph import Graph, order
from dlc.reference.interpreter import interpret
from dlc.train.state import Metrics
from dlc.transform.metrics import SplitMetrics, split_metrics

Array = np.ndarray[Any, Any]
LOSS = "loss"
PREFIX = "accumulate:"
SMOOTH = frozenset(("input", "const", "size", "cast", "add", "sub", "mul", "neg", "div"))
"""Ops that give a finite number for finite operands, `div` unless it divides by 0."""
LOW = (
    "loss", "err", "mse", "mae", "perplexity", "nll", "distance", "divergence", "reconstruction",
    "cost",
)  # fmt: skip
"""Parts of the names of metrics of which less is better."""


@record
class StepMetrics:
    """The split graph of one step, and how its accumulators become metrics."""

    step: str
    graph: Graph
    """With outputs `accumulate:METRIC:i` in place of `metric:METRIC`."""
    finish: Graph
    combine: Mapping[str, str]
    watched: tuple[str, ...]
    """The accumulators of which the loss is made."""
    plain: bool
    """Whether the loss is finite if they are finite and not 0."""

    def add(self, total: dict[str, Array], outputs: Mapping[str, Array]) -> None:
        """Adds a batch's accumulators to `total`, whose keys are `STEP/NAME`."""
        for name, how in self.combine.items():
            key = f"{self.step}/{name}"
            value = np.asarray(outputs[name], np.float64)
            if key not in total or how == "last":
                total[key] = np.array(value)
            elif how == "sum":
                total[key] = np.asarray(total[key] + value)
            else:
                extreme = np.maximum if how == "max" else np.minimum
                total[key] = np.asarray(extreme(total[key], value))

    def finished(self, total: Mapping[str, Array]) -> Metrics:
        """The metrics by name; none if the step has not run."""
        feeds = {name: total.get(f"{self.step}/{name}") for name in self.combine}
        known = {name: value for name, value in feeds.items() if value is not None}
        if len(known) < len(self.combine):
            return {}
        with np.errstate(all="ignore"):
            values = interpret(self.finish, known)
        return {name: float(value) for name, value in values.items()}

    def bad_loss(self, outputs: Mapping[str, Array]) -> float | None:
        """The loss of one batch if it is not finite, else None."""
        fine = all(_sound(outputs[name]) for name in self.watched)
        if self.plain and fine:
            return None
        total: dict[str, Array] = {}
        self.add(total, outputs)
        losses = [v for n, v in self.finished(total).items() if _is_loss(n)]
        return next((v for v in losses if not np.isfinite(v)), None)


def split(step: str, graph: Graph, rows: str) -> StepMetrics:
    """A step's graph with accumulators in place of its metrics; `rows` is the batch axis."""
    parts: SplitMetrics = split_metrics(graph, frozenset((rows,)))
    losses = {name: node for name, node in parts.finish.outputs.items() if _is_loss(name)}
    watched = tuple(name for name in parts.combine if _is_loss(name.split(":")[1]))
    plain = all(node.op in SMOOTH for node in order(losses.values()))
    return StepMetrics(step, parts.graph, parts.finish, parts.combine, watched, plain)


def highest_is_best(name: str, goal: object = None) -> bool:
    """Whether more of this metric is better: as the goal says, else by its name."""
    word = name.lower().rpartition(".")[2]
    return goal == "max" if goal is not None else not any(part in word for part in LOW)


def _sound(value: Array) -> bool:
    """Whether no element is 0 or not finite."""
    if value.ndim:
        return bool(np.isfinite(value).all() and value.all())
    number = float(value)
    return number != 0 and isfinite(number)


def _is_loss(name: str) -> bool:
    return name == LOSS or name.startswith(f"{LOSS}_")
