"""The memory of a program, known exactly before it runs: its plan has the place of every byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dlc.runtime import pool
from dlc.runtime.workspace import room_for_slabs
from dlc.schedule.memory import buffer_bytes, layout
from dlc.schedule.plan import Place, Plan


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a program holds while it runs, by what they are for."""

    arena: int
    """Intermediates, laid out over each other by lifetime; of one call at a time."""
    weights: int
    """Params, states and the optimiser's slots."""
    inputs: int
    outputs: int
    constants: int

    @property
    def peak(self) -> int:
        """All of it."""
        return self.arena + self.weights + self.inputs + self.outputs + self.constants


def memory_of(plan: Plan, sizes: Mapping[str, int]) -> Memory:
    """What the plan takes for these run-time sizes. Raises KeyError for a missing one."""
    total: dict[Place, int] = {}
    for buffer in plan.buffers:
        total[buffer.place] = total.get(buffer.place, 0) + buffer_bytes(buffer, sizes)
    return Memory(
        arena=layout(plan.buffers, sizes, room_for_slabs(pool.threads())).bytes,
        weights=total.get("bound", 0),
        inputs=total.get("input", 0),
        outputs=total.get("output", 0),
        constants=total.get("constant", 0),
    )
