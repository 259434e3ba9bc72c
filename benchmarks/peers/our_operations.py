"""Single operations in dlc: the model of a text, called as an executable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from operands import draw

import dlc
from dlc.diagnostics import Source
from dlc.graph import Graph, Node, input_node
from dlc.graph.graph import rebuilt
from dlc.runtime.build import build_executable
from dlc.runtime.executable import Executable
from dlc.runtime.quick import quick_of
from dlc.semantics import check_file

VERSION = dlc.__version__


def make(task: dict[str, Any], threads: int) -> Callable[[], Any]:
    """The call of one operation."""
    model = check_file(Source(f"{task['name']}.dl", task["text"])).models["Single"]
    updates = dict(task["updates"])
    executable = build_executable(in_place(model.graph, updates), threads=threads)
    feeds = draw(task["arrays"])
    feeds |= {p.name: np.zeros((), "i8") for p in executable.inputs if p.role == "clock"}
    bound = {name: feeds.pop(name) for name in updates.values()}
    executable.bind(bound)
    if not updates:
        return called(executable, feeds)

    def call() -> Any:
        executable.run(feeds)
        return bound[updates["out"]]

    return call


def called(executable: Executable, feeds: dict[str, Any]) -> Callable[[], Any]:
    """A run as a call of a compiled model makes it, on arrays like those of a call before."""
    arrays = list(feeds.values())
    quick = quick_of(executable, list(feeds), {})
    executable.run(feeds)
    if quick is None:
        return lambda: executable.run(feeds)["out"]
    quick.learn(arrays)
    place = quick.results.index("out")

    def call() -> Any:
        results = quick.call(*arrays)
        return executable.run(feeds)["out"] if results is None else results[place]

    return call


def in_place(graph: Graph, updates: dict[str, str]) -> Graph:
    """The graph with some results as the next values of inputs, which are bound, not given."""
    kept = {*updates.values()}
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        name = node.attrs["name"] if node.op == "input" else None
        if name in kept:
            new[node] = input_node(name, node.type, "slot")
        else:
            new[node] = rebuilt(node, tuple(new[a] for a in node.args))
    outputs = {name: new[node] for name, node in graph.outputs.items()}
    outputs = {f"update:{updates[n]}" if n in updates else n: o for n, o in outputs.items()}
    return Graph(tuple(new[node] for node in graph.inputs), outputs, graph.checks)
