"""Weights from the files that people have."""

import numpy as np
import pytest
import safetensors.numpy
from small_modules import WEIGHTS, module

import dlc
from dlc.runtime.weights import artifact_path, match, read_weights


@pytest.fixture
def files(tmp_path):
    np.savez(tmp_path / "w.npz", **WEIGHTS)
    safetensors.numpy.save_file(WEIGHTS, tmp_path / "w.safetensors")
    module().save(tmp_path / "w.dlm")
    (tmp_path / "run").mkdir()
    module().save(tmp_path / "run" / "model.dlm")
    return tmp_path


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.dlm", "run"])
def test_every_form(files, name):
    found = read_weights(files / name)
    assert found.keys() == WEIGHTS.keys()
    for path, value in WEIGHTS.items():
        np.testing.assert_array_equal(found[path], value)


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.dlm"])
def test_damaged_files_are_told(files, name):
    whole = (files / name).read_bytes()
    for damaged in (b"", whole[:40], whole[: len(whole) // 2], b"\xff" * 64):
        (files / name).write_bytes(damaged)
        with pytest.raises(dlc.DlcError) as caught:
            read_weights(files / name)
        assert caught.value.exit_code == 5


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.array([print], object))
    with pytest.raises(dlc.DlcError):
        read_weights(tmp_path / "w.npz")


def test_what_matched():
    wanted = {"a": np.zeros(2), "b": np.zeros(3), "c": np.zeros(1)}
    found = match({"a": np.ones(2), "b": np.ones(4), "d": np.ones(1)}, wanted)
    assert list(found.taken) == ["a"]
    assert (found.missing, found.unfit, found.unused) == (("c",), ("b",), ("d",))
    assert found.report == (
        "1 of 3 params and states taken; 1 missing, left as initialised: c; "
        "1 of another shape, left as initialised: b; 1 not in this program: d"
    )


def told(call):
    with pytest.raises(dlc.DlcError) as caught:
        call()
    return str(caught.value)


def test_where_there_are_no_weights(files, tmp_path):
    """The message names what there is."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "net.dl").write_text("axis N")
    assert str(files / "run") in told(lambda: artifact_path(tmp_path / "empty"))
    assert str(files / "run") in told(lambda: artifact_path(tmp_path))
    text = told(lambda: read_weights(tmp_path / "gone"))
    assert "E0904" in text
    assert "no such file" in text
    assert "a run's folder, an artifact (.dlm), .safetensors or .npz; there is " in text
    assert str(files / "run") in text
    assert "E0904" in told(lambda: read_weights(tmp_path / "net.dl"))
