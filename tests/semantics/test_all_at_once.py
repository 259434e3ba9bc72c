"""All mistakes of a file in one report, and no other."""

import pytest

from dlc.diagnostics import DlcError, Source
from dlc.semantics import check_file

WRONG = """axis N, Y = 8, X = 8, C = 1, K = 10
hyper lr: float = 1e-3 in log(1, 0)
model Small(image: u8[N, C, Y, X]) -> f32[N, K]:
    x = image / 255 |> Conv(C -> 8, kernal=3) |> relu |> max_pool(2)
    return x |> Linear((C, Y, X) -> K)
model Large(image: f32[N, C, Y, X]) -> f32[N, K]:
    x = image |> Conv(C -> 8, kernel=3) |> relu
    y = image |> Conv(C -> 8, kernel=5) |> relu
    z = x + y
    return z |> Linear((C, Y, X) -> K)
train fit:
    data = npz("digits.npz", image="x")
    epoch = 3
    batch N = 32
    epochs = 0
    step(image: u8[N, C, Y, X]):
        logits = Small(image)
        target = lables + 1
        minimize mean(cross_entropy(logits, target, over=K)) wrt Small using adam(lr)
"""


def test_six_independent_mistakes():
    with pytest.raises(DlcError) as caught:
        check_file(Source("wrong.dl", WRONG))
    found = [(d.code, d.span.line, d.span.text) for d in caught.value.diagnostics]
    assert found == [
        ("E0510", 2, "log(1, 0)"),
        ("E0403", 4, "kernal"),
        ("E0203", 9, "+"),
        ("E0501", 13, "epoch"),
        ("E0502", 15, "0"),
        ("E0101", 18, "lables"),
    ]
