"""The classes that a model decides for, of its results for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlc.runtime.executable import Array


@dataclass(frozen=True, slots=True)
class Class:
    """What a model decides for in one row."""

    index: int
    name: str | None
    """As the training data call it; None where they have numbers."""
    probability: float | None

    def __str__(self) -> str:
        """`malignant 98.2 %`."""
        shown = str(self.index) if self.name is None else self.name
        return shown if self.probability is None else f"{shown} {100 * self.probability:.1f} %"

    def plain(self) -> dict[str, Any]:
        """What is known of it, as JSON has it."""
        facts = {"index": self.index, "name": self.name, "probability": self.probability}
        return {name: value for name, value in facts.items() if value is not None}


def classes_of(results: Array, names: Sequence[str], logits: bool) -> list[Class]:
    """The class of the largest number of each row of [rows, classes].

    Its probability is that of a softmax where the results are `logits`.
    """
    wide = results.astype(np.float64)
    if not wide.size:
        return []
    weights = np.exp(wide - wide.max(1, keepdims=True))
    shares = weights.max(1) / weights.sum(1)
    return [
        Class(
            index,
            names[index] if index < len(names) else None,
            float(share) if logits else None,
        )
        for index, share in zip(wide.argmax(1).tolist(), shares, strict=True)
    ]
