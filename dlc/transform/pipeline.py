"""The order of the passes: from the graph that the checker built to the one that is scheduled."""

from __future__ import annotations

from collections.abc import Callable

from dlc.graph import Graph
from dlc.transform.autodiff import expand_gradients
from dlc.transform.cse import merge_common
from dlc.transform.dce import drop_dead
from dlc.transform.fold import fold
from dlc.transform.monotone import pool_first
from dlc.transform.simplify import simplify

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (
    pool_first,  # before gradients, which then pass through the windows' winners alone
    expand_gradients,
    merge_common,  # equal operands first, so that x * x and where(c, a, a) are seen
    fold,
    simplify,
    fold,  # what came out from under a broadcast
    simplify,
    merge_common,
    drop_dead,
)


def lower(graph: Graph) -> Graph:
    """The graph without gradients, in its simplest form; raises DlcError (E0512)."""
    for run in PASSES:
        graph = run(graph)
    return graph
