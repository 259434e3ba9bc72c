"""A program run by the reference interpreter: any graph, without code generation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlc.graph import UPDATE, Graph
from dlc.reference.interpreter import interpret
from dlc.runtime.executable import Array, Port, Watch, ports


class Interpreted:
    """An executable that walks the graph in NumPy."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.inputs: tuple[Port, ...]
        self.outputs: tuple[Port, ...]
        self.inputs, self.outputs = ports(graph)
        self._bound: dict[str, Array] = {}

    def __repr__(self) -> str:
        return f"Interpreted({len(self._graph.nodes)} nodes)"

    def bind(self, arrays: Mapping[str, Array], watch: Watch | None = None) -> None:
        """Keeps the arrays of params, states and slots; runs read and update them in place."""
        self._bound = {p.name: arrays[p.name] for p in self.inputs if p.name in arrays}

    def run(
        self,
        feeds: Mapping[str, Array],
        sizes: Mapping[str, int] | None = None,
        out: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """One run; updates are written after all values are known."""
        fed = {**self._bound, **feeds}
        values = interpret(self._graph, fed, sizes)
        results: dict[str, Array] = {}
        for name, value in values.items():
            if name.startswith(UPDATE):
                self._bound[name.removeprefix(UPDATE)][...] = value
            elif out is not None and name in out:
                out[name][...] = value
                results[name] = out[name]
            else:
                shared = any(np.may_share_memory(value, array) for array in fed.values())
                results[name] = value.copy() if shared else value
        return results
