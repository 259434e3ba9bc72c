"""The peak memory of a program, known before it runs."""

from __future__ import annotations

from collections.abc import Mapping

from dlc.graph import Graph
from dlc.ops import REGISTRY
from dlc.runtime.cost import bytes_of


def peak_bytes(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Inputs, parameters, results, and the intermediates that live at once, in bytes.

    Values live from their computation to their last reader, in the order of the graph; views take
    no memory of their own.
    """
    nodes = graph.nodes
    last = {node: place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        for arg in node.args:
            last[arg] = max(last[arg], place)
    for node in reversed(nodes):
        if node.op != "input" and REGISTRY[node.op].kind == "view":
            for arg in node.args:
                last[arg] = max(last[arg], last[node])
    kept = {*graph.inputs, *graph.outputs.values()}
    fixed = sum(bytes_of(node.type, sizes) for node in kept)
    ends: dict[int, int] = {}
    live = peak = 0
    for place, node in enumerate(nodes):
        if node not in kept and REGISTRY[node.op].kind != "view":
            size = bytes_of(node.type, sizes)
            live += size
            ends[last[node]] = ends.get(last[node], 0) + size
        peak = max(peak, live)
        live -= ends.pop(place, 0)
    return fixed + peak
