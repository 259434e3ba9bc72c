"""`dlc profile` and `dlc bench`: what they run, what they count, and what they write."""

import json

import numpy as np
import pytest

from dlc.cli import main
from dlc.cli.profile import short
from dlc.cli.rehearsals import rate, shown_time

TEXT = '''"""A dense layer."""
axis N, F = 20, K = 3

model Small(x: f32[N, F]) -> f32[N, K]:
    return x |> Linear(F -> K)

model Doubled(x: f32[N, F]) -> f32[N, F]:
    return x + x

train fit:
    data = npz("small.npz", x="x", label="label")
    batch N = 16
    step(x: f32[N, F], label: i32[N]):
        minimize mean(cross_entropy(Small(x), label, over=K)) wrt Small using sgd(0.1)
'''


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "small.dl"
    path.write_text(TEXT)
    return str(path)


def run(capsys, *arguments):
    code = main.run([str(a) for a in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def test_profile_of_training(capsys, program):
    code, out, err = run(capsys, "profile", program, "--steps", 3, "--json")
    assert (code, err) == (0, "")
    (found,) = objects(out)
    assert (found["kind"], found["program"], found["sizes"]) == ("profile", "train fit", {"N": 16})
    assert not found["real_data"]
    assert found["seconds"]["median"] >= found["seconds"]["min"] > 0
    assert sum(kernel["share"] for kernel in found["kernels"]) == pytest.approx(1)
    flops = sum(kernel["flops"] for kernel in found["kernels"])
    assert flops >= 2 * (2 * 16 * 20 * 3)
    for kernel in found["kernels"]:
        assert kernel["seconds"] >= kernel["min_seconds"]
        assert 0 <= kernel["waiting"] <= 1
        per_second = kernel["share_of_peak"] * found["peak"]["flops"]
        assert kernel["flops_per_second"] == pytest.approx(per_second)
        assert sum(line["share"] for line in kernel["lines"]) == pytest.approx(
            1 if kernel["lines"] else 0
        )
    lined = sum(line["flops"] for line in found["lines"])
    assert lined == pytest.approx(sum(k["flops"] for k in found["kernels"] if k["lines"]))
    assert {5, 14} <= {line["line"] for line in found["lines"]}
    assert sum(line["share"] for line in found["lines"]) <= 1 + 1e-9


def test_profile_of_inference(capsys, program):
    arguments = ["--infer", "--batch", 5, "--steps", 2, "--threads", 1]
    found = objects(run(capsys, "profile", program, *arguments, "--json")[1])
    assert [one["program"] for one in found] == ["model Small", "model Doubled"]
    assert all(one["sizes"] == {"N": 5} and one["threads"] == 1 for one in found)
    (kernel,) = found[1]["kernels"]
    assert (kernel["flops"], kernel["bytes"]) == (5 * 20, 5 * 20 * 8)
    assert kernel["lines"] == [{"file": program, "line": 8, "share": 1}]
    (only,) = objects(run(capsys, "profile", program, *arguments, "--model", "Small", "--json")[1])
    assert only["program"] == "model Small"
    assert run(capsys, "profile", program, "--infer", "--model", "Large")[0] == 2


def test_profile_for_people(capsys, program):
    code, out, _ = run(capsys, "profile", program, "--steps", 2, "-v")
    assert code == 0
    assert out.startswith("train fit (N = 16, ")
    assert "Small.linear_0 dot" in out
    for number, line in enumerate(TEXT.splitlines(), 1):
        assert f"{number:>2}  | {line}".rstrip() in out


def test_the_real_data_is_taken_where_it_is(capsys, program, tmp_path):
    x, label = np.zeros((10, 20), "f4"), np.zeros(10, "i4")
    np.savez(tmp_path / "small.npz", x=x, label=label)
    (found,) = objects(run(capsys, "profile", program, "--steps", 1, "--json")[1])
    assert found["real_data"]
    assert found["sizes"] == {"N": 16}
    np.savez(tmp_path / "small.npz", x=x, label=label + 3)
    code, _, err = run(capsys, "profile", program, "--steps", 1)
    assert code == 3
    assert "E0721" in err


def test_bench(capsys, program):
    code, out, err = run(capsys, "bench", program, "--seconds", 0, "--json")
    assert (code, err) == (0, "")
    first, *timings = objects(out)
    assert first["kind"] == "first"
    assert first["seconds"] > first["compile_seconds"] >= 0
    assert [(t["what"], t["rows"]) for t in timings] == [
        ("train fit, step", 16),
        ("model Small", 1),
        ("model Small", 16),
        ("model Doubled", 1),
        ("model Doubled", 16),
    ]
    assert timings[2]["flops"] == 16 * (2 * 20 * 3 + 3)
    for timing in timings:
        assert timing["median"] >= timing["min"] > 0
        assert timing["rows_per_second"] == pytest.approx(timing["rows"] / timing["median"])
        assert timing["share_of_peak"] == pytest.approx(timing["flops_per_second"] / timing["peak"])
    code, out, _ = run(capsys, "bench", program, "--seconds", 0, "--batch", 7)
    assert code == 0
    assert "train fit, step     7" in out


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("Net.conv_0 dot[N, Y~1], Net.conv_0 where[N]", "Net.conv_0 dot, where"),
        ("reduce_max[N], exp[N, K], Net add[]", "reduce_max, exp, Net add"),
        ("copy of Net.weight", "copy of Net.weight"),
        (f"{'very_' * 20}long dot[N]", f"{'very_' * 11}ve..."),
    ],
)
def test_labels(label, shown):
    assert short(label, 60) == shown


def test_numbers():
    assert [shown_time(s) for s in (1.234, 0.0123, 4.56e-5, 1e-7)] == [
        "1.23 s", "12.3 ms", "45.6 µs", "0.10 µs",
    ]  # fmt: skip
    assert (rate(2 * 10**9, 1.0), rate(0, 1.0)) == ("2.00", "")
