"""Everything that training depends on, in one explicit value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlc.diagnostics.record import record

Array = np.ndarray[Any, Any]
Metrics = dict[str, float]
ARRAY, ACCUMULATOR = "array:", "accumulator:"


@record
class EpochRecord:
    """The metrics of an epoch, exact over all its rows; `validation` is None without a split."""

    epoch: int
    train: Metrics
    validation: Metrics | None = None

    @property
    def metrics(self) -> Metrics:
        """The metrics that count: those of the validation rows where there are any."""
        return self.train if self.validation is None else self.validation

    def plain(self) -> dict[str, Any]:
        """The record as JSON has it, without `validation` if there is none."""
        record: dict[str, Any] = {"epoch": self.epoch, "train": self.train}
        return record if self.validation is None else record | {"validation": self.validation}


@record
class Best:
    """The best epoch so far."""

    epoch: int
    value: float


@dataclass(slots=True)
class TrainState:
    """What a checkpoint holds: with it training goes on as if it had never stopped.

    The arrays are those that the executables update in place.
    """

    arrays: dict[str, Array]
    """Params, states and slots by name."""
    counters: dict[str, int]
    """For each step how often it ran."""
    seed: int
    epoch: int = 0
    """Whole epochs done."""
    position: int = 0
    """Batches done of the epoch that runs."""
    batches: int = 0
    """Batches done since the beginning; `every` counts them."""
    accumulators: dict[str, Array] = field(default_factory=dict[str, Array])
    """Parts of the metrics of the epoch that runs, f64, by step and accumulator."""
    history: list[EpochRecord] = field(default_factory=list[EpochRecord])
    metrics_bytes: int = 0
    """How much of the metrics file belongs to this state."""
    best: Best | None = None
    stale: int = 0
    """Epochs since the best one."""
    finished: bool = False
    test: Metrics | None = None


def tensors_of(state: TrainState) -> dict[str, Array]:
    """The arrays to be saved, by name."""
    return {ARRAY + name: array for name, array in state.arrays.items()} | {
        ACCUMULATOR + name: array for name, array in state.accumulators.items()
    }


def facts_of(state: TrainState) -> str:
    """All but the arrays, as JSON; floats keep every bit."""
    best = None if state.best is None else [state.best.epoch, state.best.value]
    facts = {
        "counters": state.counters,
        "seed": state.seed,
        "epoch": state.epoch,
        "position": state.position,
        "batches": state.batches,
        "history": [record.plain() for record in state.history],
        "metrics_bytes": state.metrics_bytes,
        "best": best,
        "stale": state.stale,
        "finished": state.finished,
        "test": state.test,
    }
    return json.dumps(facts, separators=(",", ":"))


def state_from(tensors: Mapping[str, Array], text: str) -> TrainState:
    """The state that was saved. Raises ValueError, KeyError or TypeError for other contents."""
    facts = json.loads(text)
    best = facts["best"]
    return TrainState(
        arrays=_named(tensors, ARRAY),
        counters=dict(facts["counters"]),
        seed=facts["seed"],
        epoch=facts["epoch"],
        position=facts["position"],
        batches=facts["batches"],
        accumulators=_named(tensors, ACCUMULATOR),
        history=[
            EpochRecord(r["epoch"], r["train"], r.get("validation")) for r in facts["history"]
        ],
        metrics_bytes=facts["metrics_bytes"],
        best=None if best is None else Best(best[0], best[1]),
        stale=facts["stale"],
        finished=facts["finished"],
        test=facts["test"],
    )


def _named(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays under a prefix, writable."""
    return {k.removeprefix(prefix): np.array(v) for k, v in tensors.items() if k.startswith(prefix)}
