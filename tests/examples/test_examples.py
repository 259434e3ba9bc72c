"""Every example checks without a warning, and each of its steps does compiled what it means."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import dlc
from dlc.reference.interpreter import interpret
from dlc.runtime.build import build_executable
from dlc.semantics import check_file
from dlc.train.data.table import read_csv
from dlc.transform.pipeline import lower

ROOT = Path(__file__).parent.parent.parent
DIGITS = ROOT / "dlc" / "templates" / "digits"
EXAMPLES = {p.stem: p for p in [DIGITS / "digits.dl", *sorted((ROOT / "examples").glob("*.dl"))]}
LONG = ("autoencoder", "resnet")
"""Long to compile, and made of what other examples and the tests of the library compile too."""
ROWS = 3
ROUNDING = 1e-4
"""Of the largest element: sums over images in another order."""
TIES = 0.1
"""How far a relu or pool that is decided the other way may move a gradient of these few rows."""
PARAMS = 0.999
"""The share of a param's elements that must agree: Adam's first step is the sign of the gradient,
which rounding decides where the gradient is nearly 0."""


@lru_cache
def checked(name):
    return check_file(EXAMPLES[name])


STEPS = [
    pytest.param(
        name,
        recipe,
        number,
        id=f"{name}-{number}",
        marks=[pytest.mark.slow] if name in LONG else [],
    )
    for name in EXAMPLES
    for recipe, said in checked(name).recipes.items()
    for number in range(len(said.steps))
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_checks_without_a_warning(name):
    program = checked(name)
    assert [str(w) for w in program.warnings] == []
    assert program.models
    assert program.recipes


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_listed(name):
    assert f"{name}.dl" in (ROOT / "examples" / "README.md").read_text()


def initial(program, recipe):
    graph = lower(program.init(recipe))
    clocks = {n.attrs["name"]: np.int64(0) for n in graph.inputs}
    return interpret(graph, clocks)


def feeds(program, step, rng):
    """Random data of the right types, clocks and hypers."""
    found = {}
    for node in step.graph.inputs:
        name, type = node.attrs["name"], node.type
        if node.attrs["role"] == "hyper":
            found[name] = np.float32(program.hypers[name].value)
        elif node.attrs["role"] == "clock":
            found[name] = np.int64(3 if name == "seed" else 1)
        elif node.attrs["role"] == "data":
            shape = [n.constant or ROWS for n in type.sizes]
            found[name] = drawn(type.dtype, shape, rng)
    return found


def drawn(dtype, shape, rng):
    if dtype == "u8":
        return rng.integers(0, 256, shape, np.uint8)
    if dtype == "i32":
        return rng.integers(0, 2, shape, np.int32)
    return rng.normal(size=shape).astype(np.float32)


def agreement(found, exact):
    """The share of elements that agree up to rounding."""
    away = np.abs(found.astype(np.float64) - exact)
    return np.mean(away <= ROUNDING * max(np.abs(exact).max(), 1e-6))


@pytest.mark.parametrize(("name", "recipe", "number"), STEPS)
def test_compiled_step_is_the_interpreted_one(name, recipe, number):
    program = checked(name)
    step = program.recipes[recipe].steps[number]
    given = feeds(program, step, np.random.default_rng(0))
    names = {n.attrs["name"] for n in step.graph.inputs}
    bound = {k: v for k, v in initial(program, recipe).items() if k in names}
    sizes = {"N": ROWS} if not step.inputs else {}
    want = interpret(lower(step.graph), {**given, **bound}, sizes)
    program_native = build_executable(step.graph, threads=2)
    arrays = {k: v.copy() for k, v in bound.items()}
    program_native.bind(arrays)
    found = program_native.run(given, sizes)
    for output, exact in want.items():
        path = output.removeprefix("update:")
        value = found[output] if output.startswith("metric:") else arrays[path]
        info = program.params.get(path)
        if info is None and ":" in path:  # moments follow the gradient, which a tie may move
            assert np.linalg.norm(value - exact) <= TIES * np.linalg.norm(exact), output
        else:
            share = PARAMS if info is not None and info.role == "param" else 1
            assert agreement(value, exact) >= share, output
        assert output.startswith("metric:") or ":" in path or not np.array_equal(value, bound[path])


def test_digits_learns():
    run = dlc.train(DIGITS / "digits.dl", epochs=3, folder=None, threads=2)
    assert run.test is not None
    assert run.test["accuracy"] > 0.95


def test_table_of_breast_cancer():
    columns = read_csv(ROOT / "examples" / "data" / "breast_cancer.csv", ())
    assert len(columns) == 31
    kinds, counts = np.unique(columns["diagnosis"].values, return_counts=True)
    assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {
        "benign": 357, "malignant": 212,
    }  # fmt: skip
