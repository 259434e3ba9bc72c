"""Many batches in one native call: all is as with single batches, bit for bit."""

import os
import signal
from functools import partial

import numpy as np
import pytest
from small_programs import arrays, contents, interpreted, program

from dlc.diagnostics import DlcError
from dlc.runtime.build import build_executable
from dlc.train import chunks
from dlc.train.chunks import Chunks
from dlc.train.loop import Trainer
from dlc.train.options import Callback, Options

ROWS = 150


class Each(Callback):
    """Asks for every batch, so that they run singly."""

    def on_batch(self, trainer):
        pass


class Count(Callback):
    def __init__(self):
        self.counts = []

    def on_batches(self, trainer, count):
        self.counts.append(count)


@pytest.fixture
def calls(monkeypatch):
    """The sizes of the calls that were made, 0 for those taken back; none waits for time."""
    made = []
    run = Chunks.run

    def counted(self, rows, epoch):
        done = run(self, rows, epoch)
        made.append(len(rows) if done else 0)
        return done

    monkeypatch.setattr(Chunks, "run", counted)
    monkeypatch.setattr(chunks, "CALL_SECONDS", 1000.0)
    monkeypatch.setattr(chunks, "MOST", 11)
    return made


def trainer(
    folder=None, *, threads=2, single=False, callbacks=(), data=None, build=build_executable,
    options=None, every=1, **kwargs,
):  # fmt: skip
    if build is build_executable:
        build = partial(build, threads=threads)
    settings = {"folder": folder, "keep": folder is not None, **(options or {})}
    settings["callbacks"] = (*callbacks, *([Each()] if single else []))
    return Trainer(
        program(every=every, **kwargs), compile_graph=build, data=data or arrays(ROWS),
        options=Options(**settings),
    )  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "settings", [{}, {"two": False}, {"drop_last": True}, {"validation": None, "epochs": 2}],
    ids=["two steps", "one step", "drop last", "no validation"],
)  # fmt: skip
def test_whole_runs_are_equal(calls, tmp_path, threads, settings):
    trainer(tmp_path / "single", threads=threads, single=True, **settings).run()
    assert calls == []
    trainer(tmp_path / "many", threads=threads, **settings).run()
    assert sum(calls) > ROWS // 4
    assert contents(tmp_path / "many") == contents(tmp_path / "single")


def test_columns_of_other_types_and_orders(calls, tmp_path):
    data = {"x": np.asfortranarray(arrays(ROWS)["x"].astype("f8")), "y": arrays(ROWS)["y"]}
    trainer(tmp_path / "single", single=True, data=data).run()
    trainer(tmp_path / "many", data=data).run()
    assert calls
    assert contents(tmp_path / "many") == contents(tmp_path / "single")


@pytest.mark.parametrize("batches", [3, 7, 26, 40])
def test_interrupted_and_resumed(calls, tmp_path, monkeypatch, batches):
    """Where it stops, and how many batches a call has afterwards, changes nothing."""

    class StopAfter(Callback):
        def on_batches(self, trainer, count):
            if trainer.state.batches >= batches and not self.stopped:
                self.stopped = True
                os.kill(os.getpid(), signal.SIGTERM)

        stopped = False

    trainer(tmp_path / "whole").run()
    run = trainer(tmp_path / "part", callbacks=[StopAfter()]).run()
    assert run.end == "interrupted"
    monkeypatch.setattr(chunks, "MOST", 9)
    resumed = trainer(options={"resume": tmp_path / "part"})
    assert batches <= resumed.state.batches < batches + 11
    resumed.run()
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_callbacks_and_checkpoints_are_told_of_all_batches(calls, tmp_path, monkeypatch):
    saved = []
    save = Trainer.save

    def watched(self):
        saved.append(self.state.position)
        return save(self)

    monkeypatch.setattr(Trainer, "save", watched)
    count = Count()
    t = trainer(tmp_path / "r", threads=1, callbacks=[count], options={"save_every": 10})
    t.run()
    assert sum(count.counts) == t.state.batches == 3 * t.batches
    assert max(count.counts) == max(calls) == 10
    assert [place for place in saved if place] == 3 * [10, 20]


def test_a_loss_that_is_not_finite_shows_with_its_batch(calls, tmp_path):
    data = arrays(ROWS)
    found = []
    bad = trainer(data=data).data.train_rows[40]
    data["y"][bad] = 3e38
    for folder, single in ((tmp_path / "single", True), (tmp_path / "many", False)):
        t = trainer(folder, data=data, single=single)
        with pytest.raises(DlcError) as caught:
            t.run()
        with np.load(folder / "failed-batch.npz") as file:
            batch = {name: file[name] for name in file.files}
        text = str(caught.value).replace(str(folder), "")
        found.append((text, batch, t.state.arrays, t.state.counters, t.state.batches))
    assert "E0801" in found[0][0]
    assert bad in found[0][1]["rows"]
    assert calls[-1] == 0
    (first, *rest), (other, *others) = found
    assert first == other
    np.testing.assert_equal(others, rest)


def test_what_stays_single(calls, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "CONVERTED_BYTES", 0)
        wide = {name: array.astype("f8") for name, array in arrays(ROWS).items()}
        trainer(epochs=1, data=wide).run()
    trainer(epochs=1, every=2).run()
    trainer(epochs=1, build=interpreted).run()
    assert not any(calls)
    monkeypatch.setattr(chunks, "CALL_SECONDS", 0.0)
    trainer(epochs=1).run()
    assert not any(calls)
