"""From a graph to what runs it: the one place that chooses between interpreter and native code."""

from __future__ import annotations

from dlc.graph import Graph
from dlc.runtime.executable import Executable
from dlc.runtime.interpreted import Interpreted
from dlc.transform.pipeline import lower


def build_executable(
    graph: Graph, *, interpret: bool = False, threads: int | None = None
) -> Executable:
    """The program of a graph. `interpret` runs it in NumPy; `threads` None is the default number.

    The bits of its results depend on neither the number of threads nor the time of the build.
    """
    return Interpreted(lower(graph))
