"""What a program is measured on fits its signature, and training it goes on step by step."""

from functools import partial

import numpy as np
import pytest

from dlc.runtime.build import build_executable
from dlc.semantics import check_file
from dlc.train.rehearsal import inference, training

interpreted = partial(build_executable, interpret=True)
TEXT = """
axis N, T, V = 7, E = 4
hyper scale: float = 2.0

model Bag(word: i32[N, T], weight: f32[N, T], seen: bool[N]) -> f32[N, E]:
    v = word |> Embedding(V -> E)
    return scale * sum(v * weight, over=T) * seen

model Noise() -> f32[N, E]:
    return normal[N, E]

train fit:
    {data}
    batch N = 6
    step(word: i32[N, T], weight: f32[N, T], seen: bool[N]):
        minimize mean(Bag(word, weight, seen) ** 2) wrt Bag using sgd(0.1)
"""


@pytest.fixture
def write(tmp_path):
    def write(data=""):
        path = tmp_path / "bag.dl"
        path.write_text(TEXT.replace("    {data}\n", f"    {data}\n" if data else ""))
        return check_file(path)

    return write


def test_drawn_numbers(write):
    program = write()
    (step,) = training(program, program.recipes["fit"], interpreted, rows=30, sizes={"T": 3})
    assert (step.title, step.rows, step.real) == ("train fit", 30, False)
    assert step.sizes == {"N": 30, "T": 3}
    feeds, _ = step.arguments(0)
    assert {n: (a.shape, a.dtype.name) for n, a in feeds.items() if a.ndim} == {
        "word": ((30, 3), "int32"),
        "weight": ((30, 3), "float32"),
        "seen": ((30,), "bool"),
    }
    assert set(np.unique(feeds["word"])) == set(range(7))
    assert set(np.unique(feeds["seen"])) == {False, True}
    assert feeds["scale"] == 2
    losses = [next(iter(step.run(k).values())) for k in range(3)]
    assert losses[0] > losses[1] > losses[2]


def test_sizes_that_nothing_decides(write):
    program = write()
    (step,) = training(program, program.recipes["fit"], interpreted)
    assert step.sizes == {"N": 6, "T": 64}


@pytest.mark.parametrize("rows", [4, 10])
def test_data_that_is_there(write, tmp_path, rows):
    program = write('data = npz("bag.npz", word="word", weight="weight", seen="seen")')
    (step,) = training(program, program.recipes["fit"], interpreted)
    assert not step.real
    word = np.arange(rows * 2).reshape(rows, 2) % 7
    arrays = {"word": word, "weight": np.full((rows, 2), 0.5), "seen": np.ones(rows, bool)}
    np.savez(tmp_path / "bag.npz", **arrays)
    (step,) = training(program, program.recipes["fit"], interpreted)
    assert step.real
    assert step.sizes == {"N": 6, "T": 2}
    for number in range(20):
        feeds, _ = step.arguments(number)
        assert feeds["word"].shape == (6, 2)
        assert {tuple(row) for row in feeds["word"]} <= {tuple(row) for row in word}
        assert (feeds["step"] if "step" in feeds else number + 1) == number + 1
    model = inference(program, program.models["Bag"], interpreted, rows=rows + 1)
    assert model.real
    np.testing.assert_array_equal(model.arguments(0)[0]["word"], word[[*range(rows), 0]])


def test_models(write):
    program = write()
    bag, noise = (inference(program, m, interpreted, rows=5) for m in program.models.values())
    assert (bag.title, bag.rows) == ("model Bag", 5)
    assert bag.run(0)["out"].shape == (5, 4)
    assert noise.run(0)["out"].shape == (5, 4)
    assert noise.sizes == {"N": 5}
    usual = inference(program, program.models["Bag"], interpreted)
    assert usual.sizes == {"N": 6, "T": 64}
