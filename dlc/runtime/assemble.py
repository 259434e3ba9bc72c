"""From a checked program to what an artifact holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlc.graph import Node, RangeCheck, order
from dlc.reference.interpreter import interpret
from dlc.runtime.artifact import Contents
from dlc.runtime.executable import Array
from dlc.semantics.program import Program
from dlc.transform.pipeline import lower


def initial_weights(program: Program, seed: int = 0) -> dict[str, Array]:
    """Fresh values of every param and state by path, drawn by `seed` as training draws them."""
    graph = lower(program.init())
    asked = {node.attrs["name"]: node for node in graph.inputs}
    feeds = {"seed": np.array(seed, np.int64), "step": np.array(0, np.int64)}
    hypers = {name: hyper for name, hyper in program.hypers.items() if name in asked}
    feeds |= {name: np.array(hyper.value, np.float32) for name, hyper in hypers.items()}
    return interpret(graph, {name: feeds[name] for name in asked})


def contents_of(
    program: Program, weights: Mapping[str, Array], facts: Mapping[str, Any] | None = None
) -> Contents:
    """The artifact of a program with these params and states; `facts` is what else to tell."""
    return Contents(
        name=os.path.basename(program.source.path),
        graphs={name: model.graph for name, model in program.models.items()},
        weights={path: weights[path] for path in program.params},
        sources=_relative(program),
        hypers={name: hyper.value for name, hyper in program.hypers.items()},
        facts={"columns": _columns(program), "labels": _labels(program), **(facts or {})},
    )


def _relative(program: Program) -> dict[str, str]:
    """The texts by path from the main file's folder on, the main file first."""
    folder = os.path.dirname(os.path.abspath(program.source.path))
    texts = {program.source.path: program.source.text}
    texts |= {source.path: source.text for source in program.sources}
    return {os.path.relpath(os.path.abspath(p), folder): text for p, text in texts.items()}


def _columns(program: Program) -> dict[str, Any]:
    """How the recipes' data sources name each column, so that other files can be read alike."""
    specs = [recipe.data for recipe in program.recipes.values() if recipe.data is not None]
    return {name: source for spec in specs for name, source in spec.columns}


def _labels(program: Program) -> dict[str, Any]:
    """For each axis that a column of the data picks from, a class by its number: which column.

    `softmax` tells whether a loss takes the exponentials of a model's results along the axis.
    """
    found: dict[str, Any] = {}
    for step in (step for recipe in program.recipes.values() for step in recipe.steps):
        made = set(order([node for call in step.calls for node in call.outputs]))
        for check in step.evaluation.checks:
            if isinstance(check, RangeCheck) and check.axis.name not in found:
                picked = [n.args[0] for n in step.evaluation.nodes if _picks(n, check.input)]
                softmax = any(n.op == "exp" for n in order(picked) if n not in made)
                found[check.axis.name] = {"column": check.input, "softmax": softmax}
    return found


def _picks(node: Node, label: str) -> bool:
    return node.op == "gather" and any(
        i.op == "input" and i.attrs["name"] == label for i in node.args[1:]
    )
