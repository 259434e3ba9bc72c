"""The arrays of a single operation, the same in every process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def draw(arrays: Iterable[Any]) -> dict[str, Any]:
    """By seed 0: each is given by name, shape, dtype, and below what integers are drawn."""
    random = np.random.default_rng(0)
    return {
        name: random.standard_normal(shape, np.float32)
        if dtype == "float32"
        else random.integers(0, top, shape).astype(dtype)
        for name, shape, dtype, top in arrays
    }
