"""The training loop over hand-built programs, interpreted."""

from __future__ import annotations

import errno
import json
import os
import signal

import numpy as np
import pytest
from small_programs import arrays, contents, interpreted, program

from dlc.diagnostics import DlcError
from dlc.train.loop import Trainer
from dlc.train.metrics import highest_is_best
from dlc.train.options import Callback, Interrupted, Options


def trainer(folder=None, *, data=None, options=None, test=None, **kwargs) -> Trainer:
    settings = {"folder": folder, "keep": folder is not None, **(options or {})}
    return Trainer(
        program(**kwargs), compile_graph=interpreted, data=data or arrays(), test=test,
        options=Options(**settings),
    )  # fmt: skip


def refused(code, call, *args, **kwargs) -> str:
    with pytest.raises(DlcError) as caught:
        call(*args, **kwargs)
    assert code in [d.code for d in caught.value.diagnostics], str(caught.value)
    return str(caught.value)


class StopAfter(Callback):
    """Sends this process a signal after so many batches."""

    def __init__(self, batches, number=signal.SIGINT):
        self.left, self.number = batches, number

    def on_batch(self, trainer):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


class Remember(Callback):
    def __init__(self):
        self.warnings, self.events = [], []

    def on_start(self, trainer):
        self.events.append("start")

    def on_epoch(self, trainer, record):
        self.events.append(record.epoch)

    def on_end(self, trainer, run):
        self.events.append(run.end)

    def on_warning(self, trainer, warning):
        self.warnings.append(warning)


def test_trains_and_reports(tmp_path):
    events = Remember()
    run = trainer(
        tmp_path / "r", epochs=8, test=arrays(10, 5), options={"callbacks": (events,)}
    ).run()
    assert events.events == ["start", *range(1, 9), "done"]
    losses = [r.train["a.loss"] for r in run.history]
    assert losses[-1] < losses[0] / 2
    assert set(run.history[0].train) == {"a.loss", "a.rmse", "b.loss"}
    assert run.metrics == run.history[-1].validation
    lines = [json.loads(s) for s in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [*range(1, 9), None]
    assert lines[-1]["test"] == run.test
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert manifest["hypers"] == {"lr": 0.05}
    assert manifest["rows"] == {"train": 22, "validation": 8, "test": 10}
    assert manifest["data"]["data"].keys() == {"x", "y"}
    assert len(list((tmp_path / "r" / "checkpoints").iterdir())) in (2, 3)


def test_metrics_are_exact():
    """Over batches of 4 they are what one batch of all rows gives."""
    t = trainer(epochs=1, two=False)
    t.run()
    w, m = t.params["A.w"].astype(float), t.params["A.mean"].astype(float)
    rows = t.data.validation_rows
    data = arrays()
    loss = np.mean(((data["x"][rows] - m) @ w - data["y"][rows]) ** 2)
    got = t.evaluate()
    assert got["loss"] == pytest.approx(loss, rel=1e-6)
    assert got["rmse"] == pytest.approx(np.sqrt(loss), rel=1e-6)
    assert got == t.history[-1].validation


def test_every():
    t = trainer(epochs=3, every=2)
    t.run()
    assert t.state.counters == {"a": 18, "b": 9}
    assert t.state.batches == 18


def test_seed_decides():
    first, second = trainer().run(), trainer().run()
    other = trainer(options={"seed": 9}).run()
    assert first.history == second.history
    assert all(np.array_equal(first.params[k], second.params[k]) for k in first.params)
    assert first.history != other.history


@pytest.mark.parametrize("batches", [1, 5, 6, 7, 11, 17])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed_bit_for_bit(tmp_path, batches, number):
    whole = trainer(tmp_path / "whole", test=arrays(9, 3)).run()
    stop = StopAfter(batches, number)
    part = trainer(tmp_path / "part", test=arrays(9, 3), options={"callbacks": (stop,)}).run()
    assert part.end == "interrupted"
    assert part.exit_code == 128 + number
    again = trainer(test=arrays(9, 3), options={"resume": tmp_path / "part", "keep": True}).run()
    assert again.end == "done"
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")
    assert again.history == whole.history
    assert again.test == whole.test


def test_interrupted_twice_in_one_epoch(tmp_path):
    trainer(tmp_path / "whole").run()
    trainer(tmp_path / "part", options={"callbacks": (StopAfter(2),)}).run()
    for _ in range(3):
        options = {"resume": tmp_path / "part", "callbacks": (StopAfter(3),)}
        trainer(options=options).run()
    trainer(options={"resume": tmp_path / "part"}).run()
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_iterating_raises_when_interrupted(tmp_path):
    t = trainer(tmp_path / "r", options={"callbacks": (StopAfter(8),)})
    with pytest.raises(Interrupted) as caught:
        for _ in t:
            pass
    assert caught.value.folder == tmp_path / "r"
    assert t.state.position == 2
    assert [r.epoch for r in t] == [2, 3]  # it may simply go on


def test_interrupted_between_epochs_in_the_loop():
    seen = []
    for record in trainer(epochs=5):
        seen.append(record.epoch)
        if record.epoch == 2:
            break
    assert seen == [1, 2]


def test_stop():
    t = trainer(epochs=50)
    for record in t:
        if record.epoch == 2:
            t.stop()
    assert len(t.history) == 2


def test_resume_with_more_epochs(tmp_path):
    trainer(tmp_path / "whole", epochs=5).run()
    trainer(tmp_path / "part", epochs=5, options={"epochs": 2}).run()
    again = trainer(epochs=5, options={"resume": tmp_path / "part", "epochs": 5})
    again.close()
    run = trainer(epochs=5, options={"resume": tmp_path / "part"}).run()
    assert len(run.history) == 5
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_resume_of_a_finished_run(tmp_path):
    trainer(tmp_path / "r", test=arrays(5)).run()
    before = contents(tmp_path / "r")
    run = trainer(test=arrays(5), options={"resume": tmp_path / "r"}).run()
    assert run.test is not None
    assert contents(tmp_path / "r") == before


def test_resume_refuses(tmp_path):
    trainer(tmp_path / "r", options={"callbacks": (StopAfter(3),)}).run()
    options = {"resume": tmp_path / "r"}
    assert "small.dl" in refused("E0806", trainer, options=options, text="other")
    assert "x (data)" in refused("E0807", trainer, options=options, data=arrays(30, 8))
    assert "lr" in refused("E0808", trainer, options=options, lr=0.5)
    refused("E0808", trainer, options={**options, "seed": 5})
    assert str(tmp_path / "r") in refused("E0805", trainer, options={"resume": tmp_path})
    assert str(tmp_path / "r") in refused("E0805", trainer, options={"resume": tmp_path / "s"})
    refused("E0802", trainer, tmp_path / "r")
    held = trainer(options=options)
    refused("E0803", trainer, options=options)
    held.close()


def test_new_version_warns(tmp_path):
    trainer(tmp_path / "r", options={"callbacks": (StopAfter(3),), "version": "1"}).run()
    seen = Remember()
    options = {"resume": tmp_path / "r", "version": "2", "callbacks": (seen,)}
    trainer(options=options).run()
    assert [w.code for w in seen.warnings] == ["W0081"]


def test_numbered_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "small-7").mkdir(parents=True)
    folders = [trainer(options={"keep": True}).run().folder.name for _ in range(2)]
    assert folders == ["small-8", "small-9"]


def test_loss_not_finite(tmp_path):
    data = arrays()
    data["y"][:] = 3e38
    text = refused("E0801", trainer(tmp_path / "r", data=data).run)
    assert "small.dl:2:1" in text
    with np.load(tmp_path / "r" / "failed-batch.npz") as saved:
        assert set(saved.files) == {"x", "y", "rows"}
        assert np.array_equal(saved["x"], data["x"][saved["rows"]])


def test_broken_off_within_a_batch(tmp_path):
    """After a second Ctrl-C nothing half-done is saved, and the folder resumes."""
    trainer(tmp_path / "whole").run()

    class Impatient(Callback):
        def on_batch(self, trainer):
            if trainer.state.batches == 8:
                runner = trainer._programs.training[1]

                def run(*_):
                    os.kill(os.getpid(), signal.SIGINT)
                    os.kill(os.getpid(), signal.SIGINT)

                runner.run = run

    t = trainer(tmp_path / "part", options={"callbacks": (Impatient(),)})
    with pytest.raises(KeyboardInterrupt) as caught:
        t.run()
    assert not isinstance(caught.value, Interrupted)
    refused("E0814", t.save)
    refused("E0814", list, t)
    trainer(options={"resume": tmp_path / "part"}).run()
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_goes_on_after_a_full_disk(tmp_path, monkeypatch):
    """What could not be written is written with the next save."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full(Callback):
        def on_batch(self, trainer):
            if trainer.state.batches == 6:
                monkeypatch.setattr(os, "fsync", full)

    trainer(tmp_path / "whole").run()
    t = trainer(tmp_path / "part", options={"callbacks": (Full(),)})
    refused("E0804", t.run)
    monkeypatch.undo()
    assert len(list(t)) == 2
    t.close()
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_best_epoch_is_the_result(tmp_path):
    """With a step size that diverges the first epoch stays the best one."""
    kwargs = {"lr": 0.9, "epochs": 6, "monitor": "a.rmse", "patience": 3, "two": True}
    t = trainer(tmp_path / "r", **kwargs)
    run = t.run()
    assert run.end == "stopped early"
    best = min(run.history, key=lambda r: r.metrics["a.rmse"])
    assert t.state.best.epoch == best.epoch
    assert len(run.history) == best.epoch + 3
    assert not np.array_equal(run.params["A.w"], t.params["A.w"])
    name = f"epoch-{best.epoch:06}-batch-000000000.safetensors"
    assert (tmp_path / "r" / "checkpoints" / name).exists()
    again = trainer(**kwargs, options={"resume": tmp_path / "r"}).run()
    assert np.array_equal(again.params["A.w"], run.params["A.w"])


@pytest.mark.parametrize(
    ("settings", "better", "best"),
    [
        ({"monitor": "a.rmse"}, None, min),
        ({"monitor": "a.rmse", "goal": "max"}, None, max),
        ({"monitor": "a.rmse", "goal": "max"}, "min", min),
        ({"monitor": "a.loss", "goal": "max"}, None, max),
        ({"patience": 9}, None, min),
    ],
)
def test_what_is_better(settings, better, best):
    t = trainer(**settings, epochs=5, lr=0.2, options={"better": better})
    history = t.run().history
    name = settings.get("monitor", "a.loss")
    assert t.monitor.name == name
    assert t.state.best.epoch == best(history, key=lambda r: r.metrics[name]).epoch


@pytest.mark.parametrize(
    ("name", "high"),
    [("accuracy", True), ("fit.loss_a", False), ("reconstruction", False), ("psnr", True)],
)
def test_what_names_say(name, high):
    assert highest_is_best(name) == high
    assert highest_is_best(name, "max")
    assert not highest_is_best(name, "min")


def test_monitor_unknown():
    assert "a.loss" in refused("E0810", trainer, monitor="recall")


def test_weights(tmp_path):
    first = trainer().run()
    t = trainer(options={"weights": {"A.w": first.params["A.w"], "other": np.zeros(3)}})
    assert np.array_equal(t.params["A.w"], first.params["A.w"])
    assert t.weights.unused == ("other",)
    refused("E0811", trainer, options={"weights": {"z": np.zeros(3)}})


def test_artifact_is_written_each_epoch(tmp_path):
    seen = []
    options = {"save_artifact": lambda path, params, facts: seen.append((path, facts["epochs"]))}
    trainer(tmp_path / "r", options=options).run()
    assert [n for _, n in seen][:3] == [1, 2, 3]
    assert {p for p, _ in seen} == {tmp_path / "r" / "model.dlm"}


def test_a_start_that_was_killed_leaves_nothing(tmp_path):
    (tmp_path / ".manifest.json.1.tmp").write_text("{")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".epoch-000000-batch-000000000.safetensors.1.tmp").write_text("")
    trainer(tmp_path, epochs=1).run()
    assert not [*tmp_path.rglob("*.tmp")]


def test_data_mistakes_come_before_a_folder(tmp_path):
    refused("E0706", trainer, tmp_path / "r", data={"x": arrays()["x"]})
    assert not (tmp_path / "r").exists()
    refused("E0732", trainer, tmp_path / "r", validation=0.001)
    refused("E0723", trainer, data=arrays(3), validation=None, drop_last=True)


def test_without_validation_and_dropped_rows():
    t = trainer(validation=None, drop_last=True)
    run = t.run()
    assert t.batches == 7
    assert t.state.batches == 21
    assert run.history[0].validation is None


def test_bits_do_not_depend_on_observing(tmp_path):
    class Curious(Callback):
        def on_batch(self, trainer):
            trainer.running()

    first = trainer(options={"callbacks": (Curious(),), "save_every": 2}).run()
    assert first.history == trainer().run().history
