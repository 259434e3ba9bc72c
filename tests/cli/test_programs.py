"""The commands that work on programs, on one that trains in a moment."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

import dlc
from dlc.cli import main

TEXT = '''"""Three kinds of points in space."""
axis N, F = 4, K = 3
hyper lr: float = 5e-2 in log(1e-4, 1e-1)
hyper width: int = 8

model Tiny(x: f32[N, F]) -> f32[N, K]:
    return x |> Linear(F -> H=width) |> tanh |> Linear(H -> K)

train fit:
    data = npz("tiny.npz", x="x", label="y")
    test = npz("tiny.npz", x="test_x", label="test_y")
    validation = 0.25
    batch N = 16
    epochs = 2
    step(x: f32[N, F], label: i32[N]):
        logits = Tiny(x)
        minimize mean(cross_entropy(logits, label, over=K)) wrt Tiny using adam(lr)
        metric accuracy = mean(argmax(logits, over=K) == label)
'''

TABLE = 'csv("rows.csv", x=["a", "b", "c", "d"], label="kind")'


def run(capsys, *arguments):
    code = main.run([str(a) for a in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def write_program(folder):
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 96)
    x = (np.eye(4)[y] * 3 + draw.normal(size=(96, 4))).astype(np.float32)
    arrays = {"x": x[:64], "y": y[:64], "test_x": x[64:], "test_y": y[64:]}
    np.savez(folder / "tiny.npz", **arrays)
    (folder / "tiny.dl").write_text(TEXT)
    return arrays


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the program, its data, a run of it and its artifact."""
    folder = tmp_path_factory.mktemp("home")
    write_program(folder)
    assert main.run(["train", str(folder / "tiny.dl"), "-o", str(folder / "run"), "-q"]) == 0
    arguments = [str(folder / "tiny.dl"), "--weights", str(folder / "run")]
    assert main.run(["compile", *arguments, "-o", str(folder / "tiny.dlm"), "-q"]) == 0
    return folder


def test_check(capsys, home):
    program = home / "tiny.dl"
    assert run(capsys, "check", program) == (0, "1 file: 0 errors, 0 warnings\n", "")
    wrong = home / "wrong.dl"
    wrong.write_text(TEXT.replace("over=K)", "over=Q)").replace("tanh", "tanhh"))
    code, out, err = run(capsys, "check", program, wrong)
    assert code == 1
    assert out.startswith("2 files: ")
    assert err.count("error[E0") >= 2
    assert "wrong.dl:7:" in err
    code, out, err = run(capsys, "check", wrong, "--json")
    assert (code, err) == (1, "")
    *diagnostics, summary = objects(out)
    assert {d["kind"] for d in diagnostics} == {"diagnostic"}
    assert summary["errors"] == len([d for d in diagnostics if d["severity"] == "error"])
    assert diagnostics[0]["labels"][0]["line"] == 7
    assert run(capsys, "check", home / "none.dl")[0] != 0


@pytest.mark.parametrize("quiet", [False, True])
def test_check_warns_where_it_should(capsys, tmp_path, quiet):
    program = tmp_path / "unused.dl"
    program.write_text("axis N, Q\nmodel M(x: f32[N]) -> f32[N]:\n    return x\n")
    options = ["-q"] if quiet else []
    code, out, err = run(capsys, "check", program, *options)
    assert (code, out) == (0, "1 file: 0 errors, 1 warning\n")
    assert err.startswith("warning[W0004]") != quiet
    assert bool(err) != quiet
    code, out, err = run(capsys, "check", program, "--json", *options)
    assert (code, err) == (0, "")
    assert [o["kind"] for o in objects(out)] == ["diagnostic"] * (not quiet) + ["summary"]


def test_training_says_and_saves(capsys, home, tmp_path):
    code, out, err = run(capsys, "train", home / "tiny.dl", "-o", tmp_path / "r", "--json")
    assert code == 0
    found = objects(out)
    assert [o["kind"] for o in found].count("epoch") == 2
    assert found[-1]["kind"] == "run"
    assert found[-1]["end"] == "done"
    assert found[-1]["test"]["accuracy"] > 0.5
    assert (tmp_path / "r" / "model.dlm").is_file()
    code, out, err = run(capsys, "train", home / "tiny.dl", "-o", tmp_path / "r")
    assert code == 5 or code == 2
    assert "error[E08" in err


def test_interpreted_training_agrees(capsys, home, tmp_path):
    folder = tmp_path / "slow"
    assert run(capsys, "train", home / "tiny.dl", "--interpret", "-o", folder)[0] == 0
    one, other = dlc.load(home / "run").params, dlc.load(folder).params
    for path in one:
        np.testing.assert_allclose(one[path], other[path], rtol=1e-3, atol=1e-4)


def test_settings(capsys, home, tmp_path):
    settings = [
        "--epochs",
        1,
        "--seed",
        3,
        "--set",
        "lr=0.02",
        "--set",
        "width=5",
        "--threads",
        1,
        "--interpret",
    ]
    assert run(capsys, "train", home / "tiny.dl", *settings, "-o", tmp_path / "r")[0] == 0
    net = dlc.load(tmp_path / "r")
    assert net.params["Tiny.linear_0.weight"].shape == (4, 5)
    for wrong in (["--set", "lr"], ["--epochs", "many"], ["--resume", "a", "-o", "b"]):
        assert run(capsys, "train", home / "tiny.dl", *wrong)[0] == 2
    code, _, err = run(capsys, "train", home / "tiny.dl", "--set", "lrr=1")
    assert code in (1, 2)
    assert "lrr" in err


def test_missing_data(capsys, tmp_path):
    (tmp_path / "tiny.dl").write_text(TEXT)
    code, _, err = run(capsys, "train", tmp_path / "tiny.dl", "-o", tmp_path / "r")
    assert code == 3
    assert "tiny.npz" in err


def test_eval_predict_and_calls_give_the_same_bits(capsys, home):
    (found,) = objects(run(capsys, "eval", home / "run", "--json")[1])
    assert (
        found["metrics"]
        == objects(run(capsys, "eval", home / "tiny.dlm", "--json")[1])[0]["metrics"]
    )
    with np.load(home / "tiny.npz") as data:
        x, y = data["test_x"], data["test_y"]
    net = dlc.load(home / "tiny.dlm")
    logits = net(x)
    assert found["metrics"]["accuracy"] == np.mean(logits.argmax(1) == y)
    for place in ("run", "tiny.dlm"):
        output = home / f"{place}.npy"
        arguments = [home / "tiny.npz", "--input", "x=test_x", "-o", output]
        assert run(capsys, "predict", home / place, *arguments)[0] == 0
        np.testing.assert_array_equal(np.load(output), logits)
    compiled = dlc.compile(home / "tiny.dl", weights=home / "run")
    np.testing.assert_array_equal(compiled(x), logits)


def test_files_of_predict(capsys, home, tmp_path):
    net = dlc.load(home / "tiny.dlm")
    x = np.load(home / "tiny.npz")["test_x"][:5]
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    header = "a,b,c,d"
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", header=header, comments="", fmt="%.9g")
    for name in ("x.npy", "x.npz", "x.csv"):
        for output in ("o.npy", "o.npz", "o.csv"):
            arguments = [home / "tiny.dlm", tmp_path / name, "-o", tmp_path / output]
            assert run(capsys, "predict", *arguments)[0] == 0
        np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), net(x))
        np.testing.assert_array_equal(np.load(tmp_path / "o.npz")["out"], net(x))
        table = np.loadtxt(tmp_path / "o.csv", delimiter=",", skiprows=1, dtype=np.float32)
        np.testing.assert_array_equal(table, net(x))
    out = run(capsys, "predict", home / "tiny.dlm", tmp_path / "x.npy")[1]
    np.testing.assert_allclose(
        [[float(w) for w in row.split()[3:]] for row in out.splitlines()], net(x), rtol=1e-5
    )
    rows = objects(run(capsys, "predict", home / "tiny.dlm", tmp_path / "x.npy", "--json")[1])
    assert [row["row"] for row in rows] == list(range(5))


def test_classes(capsys, tmp_path):
    """By name where the training data name them, else by number."""
    text = TEXT.replace('npz("tiny.npz", x="x", label="y")', TABLE).replace(
        "    test", "    # test"
    )
    program = tmp_path / "rows.dl"
    program.write_text(text.replace("epochs = 2", "epochs = 30").replace("    val", "    # val"))
    rows = "".join(f"{kind},{k},0,0,{k}\n" for k, kind in [(0, "ash"), (3, "elm"), (-3, "fir")] * 9)
    (tmp_path / "rows.csv").write_text(f"kind,d,c,b,a\n{rows}")
    folder = tmp_path / "run"
    assert run(capsys, "train", program, "--interpret", "-o", folder)[0] == 0
    compiled = tmp_path / "with_weights.dlm"
    assert run(capsys, "compile", program, "--weights", folder, "-o", compiled)[0] == 0
    logits = dlc.load(compiled)(np.float32([[0, 0, 0, 0], [3, 0, 0, 3]]))
    share = np.exp(logits[1, 1]) / np.exp(logits[1]).sum()
    for place in (folder, compiled):
        code, out, _ = run(capsys, "predict", place, tmp_path / "rows.csv", "--interpret")
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()] == ["ash", "elm", "fir"] * 9
        assert f"elm {100 * share:.1f} %" in out
        shown = run(capsys, "predict", place, tmp_path / "rows.csv", "--interpret", "--json")[1]
        (found,) = objects(shown)[1]["classes"].values()
        assert (found["index"], found["name"]) == (1, "elm")
        assert found["probability"] == pytest.approx(share, rel=1e-4)
    assert run(capsys, "compile", program, "-o", tmp_path / "fresh.dlm")[0] == 0
    out = run(capsys, "predict", tmp_path / "fresh.dlm", tmp_path / "rows.csv", "--json")[1]
    assert {*objects(out)[0]["classes"]["out"]} == {"index", "probability"}


def test_numbers_that_are_no_classes(capsys, tmp_path):
    """Numbers along the axis of the labels are logits only for a loss that takes them so."""
    loss = "mean(cross_entropy(logits, label, over=K))"
    text = TEXT.replace(loss, "mean((logits[K=label] - 1) ** 2)")
    (tmp_path / "tiny.dl").write_text(text)
    np.save(tmp_path / "x.npy", np.zeros((2, 4)))
    arguments = [tmp_path / "tiny.dlm", tmp_path / "x.npy", "--json"]
    assert run(capsys, "compile", tmp_path / "tiny.dl", "-o", arguments[0])[0] == 0
    assert objects(run(capsys, "predict", *arguments)[1])[0]["classes"]["out"].keys() == {"index"}
    text = TEXT.replace(loss, "mean((logits - label) ** 2)").replace("metric", "# metric")
    (tmp_path / "tiny.dl").write_text(text)
    assert run(capsys, "compile", tmp_path / "tiny.dl", "-o", arguments[0])[0] == 0
    assert "classes" not in objects(run(capsys, "predict", *arguments)[1])[0]


def test_a_table_is_read_as_in_training(capsys, tmp_path):
    text = TEXT.replace('npz("tiny.npz", x="x", label="y")', TABLE).replace(
        "    test", "    # test"
    )
    text = text.replace("hyper width", 'hyper act: str = "relu" in ["relu", "tanh"]\nhyper width')
    (tmp_path / "rows.dl").write_text(text)
    (tmp_path / "rows.csv").write_text("kind,d,c,b,a\nx,4,3,2,1\ny,0,0,1,0\n")
    assert run(capsys, "compile", tmp_path / "rows.dl", "-o", tmp_path / "rows.dlm")[0] == 0
    code, out, err = run(capsys, "predict", tmp_path / "rows.dlm", tmp_path / "rows.csv", "--json")
    assert (code, err) == (0, "")
    net = dlc.load(tmp_path / "rows.dlm")
    expected = net(np.float32([[1, 2, 3, 4], [0, 1, 0, 0]]))
    np.testing.assert_array_equal([o["results"]["out"] for o in objects(out)], expected)


def test_predict_mistakes(capsys, home, tmp_path):
    np.save(tmp_path / "wrong.npy", np.zeros((2, 5)))
    code, _, err = run(capsys, "predict", home / "tiny.dlm", tmp_path / "wrong.npy")
    assert (code, "axis F" in err) == (3, True)
    assert run(capsys, "predict", home / "tiny.dlm", home / "tiny.npz", "--input", "x=q")[0] == 2
    assert run(capsys, "predict", home / "tiny.dlm", tmp_path / "none.npy")[0] == 5
    assert run(capsys, "predict", home / "tiny.dlm", home / "tiny.dl")[0] == 2
    assert run(capsys, "predict", home / "tiny.npz", tmp_path / "wrong.npy")[0] == 5
    assert run(capsys, "predict", tmp_path, tmp_path / "wrong.npy")[0] == 5
    output = tmp_path / "none" / "o.npy"
    np.save(tmp_path / "x.npy", np.zeros((2, 4)))
    assert run(capsys, "predict", home / "tiny.dlm", tmp_path / "x.npy", "-o", output)[0] == 5
    arguments = [home / "tiny.dlm", tmp_path / "x.npy", "--model", "Other"]
    assert run(capsys, "predict", *arguments)[0] == 2


def test_pictures(capsys, tmp_path):
    image = pytest.importorskip("PIL.Image")
    text = "axis N, C = 1, Y = 3, X = 5\nmodel Mean(image: u8[N, C, Y, X]) -> f32[N]:\n"
    (tmp_path / "m.dl").write_text(text + "    return mean(image, over=(C, Y, X))\n")
    assert run(capsys, "compile", tmp_path / "m.dl", "-o", tmp_path / "m.dlm")[0] == 0
    pictures = [np.full((3, 5), k, np.uint8) for k in (7, 9)]
    for k, picture in enumerate(pictures):
        image.fromarray(picture).save(tmp_path / f"{k}.png")
    code, out, _ = run(
        capsys, "predict", tmp_path / "m.dlm", tmp_path / "0.png", tmp_path / "1.png"
    )
    assert (code, out) == (0, "7\n9\n")
    image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "2.png")
    assert run(capsys, "predict", tmp_path / "m.dlm", tmp_path / "2.png")[0] == 3
    two = [tmp_path / "0.png", tmp_path / "2.png"]
    code, _, err = run(capsys, "predict", tmp_path / "m.dlm", *two)
    assert (code, f"{two[1]} is 4 x 4, but {two[0]} is 5 x 3" in err) == (3, True)
    (tmp_path / "3.png").write_bytes(b"no picture")
    assert run(capsys, "predict", tmp_path / "m.dlm", tmp_path / "3.png")[0] == 3


@pytest.mark.parametrize("stage", ["tree", "graph", "transformed", "kernels", "llvm", "asm"])
def test_emit(capsys, home, stage):
    code, out, err = run(capsys, "compile", home / "tiny.dl", "--emit", stage)
    assert (code, err) == (0, "")
    words = {"tree": "Model", "graph": "dot(", "transformed": "dot(", "kernels": "tiny.dl:7"}
    assert words.get(stage, "kernel") in out


def test_emit_steps(capsys, home):
    code, out, _ = run(capsys, "compile", home / "tiny.dl", "--emit", "graph", "--step", "fit")
    assert (code, "update:Tiny.linear_0.weight" in out) == (0, True)
    for wrong in (["--step", "none"], ["--step", "fit.none"], ["--model", "None"]):
        assert run(capsys, "compile", home / "tiny.dl", "--emit", "graph", *wrong)[0] == 2


def test_cost(capsys, home):
    code, out, _ = run(capsys, "cost", home / "tiny.dl")
    assert code == 0
    assert "model Tiny (N = 1)" in out
    assert "train fit" in out
    model, step = objects(run(capsys, "cost", home / "tiny.dl", "--size", "N=10", "--json")[1])
    assert model["parameters"] == 4 * 8 + 8 + 8 * 3 + 3
    assert model["sizes"] == {"N": 10}
    assert step["peak_bytes"] > model["peak_bytes"]
    assert run(capsys, "cost", home / "tiny.dl", "--size", "N=x")[0] == 2


def test_inspect(capsys, home):
    code, out, _ = run(capsys, "inspect", home / "tiny.dlm")
    assert code == 0
    assert "Tiny(x: f32[N, F=4]) -> f32[N, K=3]" in out
    assert run(capsys, "inspect", home / "tiny.dlm", "--source")[1] == TEXT
    (found,) = objects(run(capsys, "inspect", home / "run", "--json")[1])
    assert found["manifest"]["facts"]["recipe"] == "fit"
    signature = found["manifest"]["signature"]["Tiny"]
    assert signature["outputs"] == [{"name": "out", "type": "f32[N, K=3]"}]
    types = {port["name"]: port["type"] for port in signature["inputs"]}
    assert types["x"] == "f32[N, F=4]"
    assert types["Tiny.linear_0.weight"] == found["params"]["Tiny.linear_0.weight"]
    assert types["Tiny.linear_0.weight"] == "f32[In=4, Out=8]"
    (home / "bad.dlm").write_bytes((home / "tiny.dlm").read_bytes()[:-5])
    code, _, err = run(capsys, "inspect", home / "bad.dlm")
    assert (code, "E0901" in err) == (5, True)


def test_compile_without_weights(capsys, home, tmp_path):
    output = tmp_path / "fresh.dlm"
    code, out, err = run(capsys, "compile", home / "tiny.dl", "-o", output, "--seed", 1)
    assert (code, out) == (0, f"{output}\n")
    assert "initial value" in err
    one, other = dlc.load(output), dlc.compile(home / "tiny.dl", seed=1)
    path = "Tiny.linear_0.weight"
    np.testing.assert_array_equal(one.params[path], other.params[path])


def test_stopped_by_a_signal_and_resumed(home, tmp_path):
    arguments = [home / "tiny.dl", "--interpret", "--epochs", "100000", "-o", tmp_path / "r"]
    command = [sys.executable, "-m", "dlc", "train", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "epoch 2" in line.lower() or "2/100000" in line:
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait() == 143
    assert "--resume" in rest
    metrics = (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()
    again = ["--resume", str(tmp_path / "r"), "--epochs", str(len(metrics) + 1), "--interpret"]
    command = [sys.executable, "-m", "dlc", "train", str(home / "tiny.dl"), *again]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_drawn_samples_as_a_sheet(capsys, tmp_path):
    image = pytest.importorskip("PIL.Image")
    text = "axis N, Y = 3, X = 5\nmodel Samples() -> f32[N, Y, X]:\n    return uniform[N, Y, X]\n"
    (tmp_path / "s.dl").write_text(text)
    assert run(capsys, "compile", tmp_path / "s.dl", "-o", tmp_path / "s.dlm")[0] == 0
    assert run(capsys, "predict", tmp_path / "s.dlm")[0] == 3
    arguments = [tmp_path / "s.dlm", "--size", "N=5", "--seed", 1, "-o", tmp_path / "s.png"]
    assert run(capsys, "predict", *arguments)[0] == 0
    with image.open(tmp_path / "s.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (2 * 3, 3 * 5)
    drawn = dlc.load(tmp_path / "s.dlm")(N=5, seed=1)
    np.testing.assert_array_equal(pixels[:3, 5:10], (drawn[1] * 255 + 0.5).astype(np.uint8))
    assert (pixels[3:, 10:] == 0).all()


def test_compile_writes_over_nothing_but_artifacts(capsys, home):
    text = (home / "tiny.dl").read_text()
    code, _, err = run(capsys, "compile", home / "tiny.dl", "-o", home / "tiny.dl")
    assert (code, "ends in .dlm" in err) == (2, True)
    assert (home / "tiny.dl").read_text() == text


def test_predict_keeps_its_input(capsys, home, tmp_path):
    rows = tmp_path / "x.npy"
    np.save(rows, np.zeros((2, 4), np.float32))
    code, _, err = run(capsys, "predict", home / "tiny.dlm", rows, "-o", rows)
    assert (code, "over the input" in err, np.load(rows).shape) == (2, True, (2, 4))
