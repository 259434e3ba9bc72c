"""From a checked program to what an artifact holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

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
        facts={"columns": _columns(program), **(facts or {})},
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
