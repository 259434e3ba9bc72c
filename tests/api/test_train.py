"""Training and compiling from Python."""

import os
import re
import types

import numpy as np
import pytest

import dlc

TEXT = """
axis N, F = 3
hyper lr: float = 0.1

model Line(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> ())

train fit:
    batch N = 16
    epochs = 3
    step(x: f32[N, F], y: f32[N]):
        minimize mean((Line(x) - y) ** 2) wrt Line using sgd(lr)
"""


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    return {"x": x, "y": x @ np.array([1, -2, 3], np.float32) + 1}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "line.dl").write_text(TEXT)
    return tmp_path / "line.dl"


def test_train(path, data, capsys):
    run = dlc.train(path, data=data, epochs=5, interpret=True)
    assert [record.epoch for record in run.history] == [1, 2, 3, 4, 5]
    losses = [record.train["loss"] for record in run.history]
    assert losses[-1] < losses[0] / 5
    assert run.folder is None
    assert "epoch 5/5" in capsys.readouterr().err
    net = dlc.compile(path, weights=run.params, interpret=True)
    np.testing.assert_array_equal(
        net.params["Line.linear_0.weight"], run.params["Line.linear_0.weight"]
    )
    assert np.mean((net(data["x"]) - data["y"]) ** 2) < losses[0] / 5


def test_says_that_it_compiles(path, data, capsys, monkeypatch, tmp_path):
    """Once, and before it does."""
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    said = []
    for _ in range(2):
        dlc.train(path, data=data, epochs=1)
        said.append(capsys.readouterr().err)
    (kernels,) = re.findall(r"^compiling (\d+) kernels? \.\.\.$", said[0], re.MULTILINE)
    assert int(kernels) == len([p for p in (tmp_path / "cache/kernels").rglob("*") if p.is_file()])
    assert said[0].index("compiling") < said[0].index("epoch 1/1")
    assert "compiling" not in said[1]


def test_the_loop_in_the_users_hands(path, data, capsys):
    trainer = dlc.Trainer(path, data=data, interpret=True, sets={"lr": 0.05})
    seen = []
    for record in trainer:
        seen.append(record.train["loss"])
        if len(seen) == 2:
            trainer.stop()
    assert len(seen) == 2 == len(trainer.history)
    assert capsys.readouterr() == ("", "")


def test_callbacks(path, data):
    class Watch(dlc.Callback):
        batches = 0

        def on_batch(self, trainer):
            self.batches += 1

    watch = Watch()
    run = dlc.train(path, data=data, callbacks=[watch], interpret=True, progress=False)
    assert isinstance(run, dlc.Run)
    assert watch.batches == 3 * 4


def test_saved_and_loaded(path, data, tmp_path):
    run = dlc.train(path, data=data, folder=tmp_path / "run", interpret=True, progress=False)
    assert run.folder == tmp_path / "run"
    net = dlc.load(tmp_path / "run", interpret=True)
    assert net.contents.facts["recipe"] == "fit"
    for name, value in run.params.items():
        np.testing.assert_array_equal(net.params[name], value)
    again = dlc.compile(path, weights=tmp_path / "run", interpret=True)
    np.testing.assert_array_equal(again(data["x"]), net(data["x"]))


def test_killed_while_the_artifact_is_written(path, data, tmp_path, monkeypatch):
    """The last checkpoint is there, the artifact is the one before: resuming makes it good."""

    class Killed(BaseException):
        """What a killed process does: nothing more."""

    def replace(source, target, move=os.replace):
        if target == tmp_path / "run" / "model.dlm" and target.exists():
            raise Killed
        move(source, target)

    options = {"data": data, "epochs": 2, "interpret": True, "progress": False}
    whole = dlc.train(path, folder=tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(Killed):
            dlc.train(path, folder=tmp_path / "run", **options)
    for _ in range(2):
        assert dlc.train(path, resume=tmp_path / "run", **options).history == whole.history
        artifact = (whole.folder / "model.dlm").read_bytes()
        assert (tmp_path / "run" / "model.dlm").read_bytes() == artifact
        assert not [*(tmp_path / "run").glob("*.tmp")]
        (tmp_path / "run" / "model.dlm").unlink()


def test_mistakes_are_errors_of_one_class(path, data):
    for call in (
        lambda: dlc.train(path, data={"x": data["x"]}, interpret=True),
        lambda: dlc.train(path, data={**data, "x": data["x"][:, :2]}, interpret=True),
        lambda: dlc.train(path, "other", data=data),
        lambda: dlc.check(path.with_name("none.dl")),
        lambda: dlc.compile(path, sets={"nothing": 1}),
        lambda: dlc.load(path),
    ):
        with pytest.raises(dlc.DlcError) as caught:
            call()
        assert str(caught.value)


def test_train_stays_a_function():
    import dlc.train.loop  # noqa: PLC0415

    assert isinstance(dlc.train, types.FunctionType)
    assert set(dir(dlc)) == set(dlc.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = dlc.nothing


def test_native_and_interpreted_training_agree(path, data):
    runs = [dlc.train(path, data=data, interpret=i, progress=False) for i in (True, False)]
    for name, value in runs[0].params.items():
        np.testing.assert_allclose(value, runs[1].params[name], rtol=1e-4, atol=1e-5)
