"""Checkpoints: whole or not there, damaged ones noticed, a crash at any write loses nothing."""

from __future__ import annotations

import errno
import itertools
import os
import shutil

import numpy as np
import pytest
from small_programs import arrays, contents, interpreted, program

from dlc.diagnostics import DlcError
from dlc.train import checkpoint, files
from dlc.train.checkpoint import Damaged, decode, encode
from dlc.train.loop import Trainer
from dlc.train.options import Callback, Options
from dlc.train.state import Best, EpochRecord, TrainState


def state() -> TrainState:
    return TrainState(
        arrays={
            "a.w": np.arange(6, dtype=np.float32).reshape(2, 3),
            "a.empty": np.zeros((0, 3)),
            "b": np.array(3.5),
            "flag": np.array([True, False]),
        },
        counters={"x": 3},
        seed=2**62,
        epoch=2,
        history=[EpochRecord(1, {"loss": 0.1}), EpochRecord(2, {"loss": np.nan}, {"loss": 1 / 3})],
        accumulators={'s/accumulate:"{sha256":0': np.array(1 / 3)},
        best=Best(1, 0.1),
        metrics_bytes=77,
    )


def test_round_trip():
    data = encode(state())
    again = decode(data)
    assert encode(again) == data
    assert again.history[1].validation == {"loss": 1 / 3}
    assert again.arrays["a.w"].flags.writeable
    assert again.arrays["b"].shape == ()


def test_every_damage_is_noticed():
    data = encode(state())
    for i in range(0, len(data), 3):
        broken = bytearray(data)
        broken[i] ^= 1 + i % 255
        for bad in (bytes(broken), data[:i], data[:i] + data[i + 1 :]):
            with pytest.raises(Damaged):
                decode(bad)


def test_falls_back_to_the_one_before(tmp_path):
    warnings: list = []
    assert checkpoint.newest(tmp_path, warnings.append) is None
    one = state()
    for epoch in (3, 4):
        one.epoch = epoch
        checkpoint.save(tmp_path, one)
    last = checkpoint.listed(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:-1])
    assert checkpoint.newest(tmp_path, warnings.append).epoch == 3
    assert [w.code for w in warnings] == ["W0080"]
    for path in checkpoint.listed(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(DlcError, match="E0809"):
        checkpoint.newest(tmp_path, warnings.append)


def test_keeps_two_and_the_best(tmp_path):
    one = state()
    for epoch in range(1, 7):
        one.epoch = epoch
        checkpoint.save(tmp_path, one)
    names = [path.name[:12] for path in checkpoint.listed(tmp_path)]
    assert names == ["epoch-000001", "epoch-000005", "epoch-000006"]


def test_write_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "f"
    files.write_atomic(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, name, full)
            with pytest.raises(DlcError, match="No space left"):
                files.write_atomic(path, b"new")
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.iterdir()] == ["f"]


# ---------------------------------------------------------------- crashes


class Crash(BaseException):
    """What a killed process does: nothing more."""


def train(folder, **options) -> None:
    Trainer(
        program(two=False, epochs=2), compile_graph=interpreted, data=arrays(13), test=arrays(5),
        options=Options(save_every=2, **options, folder=folder),
    ).run()  # fmt: skip


def finish(folder) -> None:
    """What a user does after a crash: resume, or start again where there is nothing to resume."""
    if (folder / "manifest.json").exists():
        train(None, resume=folder)
    else:
        train(folder)


class Injected:
    """Lets the k-th of all fsync, replace and write calls fail."""

    def __init__(self, patch, fail_at, error) -> None:
        self.calls, self.fail_at, self.error = 0, fail_at, error
        for name in ("fsync", "replace", "open"):
            patch.setattr(files.os, name, self.wrap(getattr(os, name)))

    def wrap(self, call):
        def wrapped(*args, **kwargs):
            self.calls += 1
            if self.calls == self.fail_at:
                raise self.error
            return call(*args, **kwargs)

        return wrapped


def test_crash_at_every_write(tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    with monkeypatch.context() as patch:
        count = Injected(patch, -1, None)
        train(whole)
    assert count.calls > 20
    errors = itertools.cycle((Crash(), OSError(errno.ENOSPC, "No space left on device")))
    for k, error in zip(range(1, count.calls + 1), errors, strict=False):
        folder = tmp_path / f"crash-{k}"
        with monkeypatch.context() as patch:
            Injected(patch, k, error)
            with pytest.raises((Crash, DlcError)) as caught:
                train(folder)
        if isinstance(caught.value, DlcError):
            assert caught.value.diagnostics[0].code == "E0804"
        finish(folder)
        assert contents(folder) == contents(whole), k
        shutil.rmtree(folder)


def test_half_written_metrics_are_dropped(tmp_path):
    class Stop(Callback):
        def on_epoch(self, trainer, record):
            raise Crash

    train(tmp_path / "whole")
    with pytest.raises(Crash):
        train(tmp_path / "part", callbacks=(Stop(),))
    with (tmp_path / "part" / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"epoch": 2, "tr')
    finish(tmp_path / "part")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DlcError) as caught:
        train(tmp_path / "file" / "run")
    assert caught.value.diagnostics[0].code == "E0804"
    with pytest.raises(DlcError) as caught:
        train(tmp_path / "file")
    assert caught.value.diagnostics[0].code == "E0802"
