"""The cache: whole entries or none, from any number of processes, within its limit."""

import os
import random
import subprocess
import sys

import pytest

from dlc import cache


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("DLC_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


def entries(folder):
    return sorted(path.name for path in folder.glob("*/*"))


def test_put_and_get():
    assert cache.get("kind", "a1") is None
    cache.put("kind", "a1", b"data")
    assert cache.get("kind", "a1") == b"data"
    assert cache.get("other", "a1") is None
    cache.put("kind", "a1", b"")
    assert cache.get("kind", "a1") == b""


@pytest.mark.parametrize("key", ["../../up", "a/b", "", "." * 300, "\0", "x" * 5000, "é"])
def test_any_key(folder, key):
    cache.put("kind", key, b"data")
    assert cache.get("kind", key) == b"data"
    assert len(entries(folder)) == 1


@pytest.mark.parametrize("damage", [b"", b"x", b"x" * 32, b"x" * 100])
def test_a_damaged_entry_is_absent_and_removed(folder, damage):
    cache.put("kind", "a1", b"data" * 10)
    (folder / "kind" / "a1").write_bytes(damage)
    assert cache.get("kind", "a1") is None
    assert entries(folder) == []
    cache.put("kind", "a1", b"again")
    assert cache.get("kind", "a1") == b"again"


def test_one_flipped_bit(folder):
    cache.put("kind", "a1", bytes(1000))
    path = folder / "kind" / "a1"
    stored = bytearray(path.read_bytes())
    stored[random.Random(1).randrange(len(stored))] ^= 1
    path.write_bytes(stored)
    assert cache.get("kind", "a1") is None


def test_info_and_clear(folder):
    cache.put("one", "a", b"1234")
    cache.put("two", "b", b"")
    info = cache.info()
    assert (info.directory, info.entries, info.bytes) == (folder, 2, 68)
    assert info.limit_bytes == 2**30
    cache.clear()
    assert cache.info().entries == 0
    assert cache.get("one", "a") is None


def test_the_oldest_entries_leave_first(folder, monkeypatch):
    monkeypatch.setenv("DLC_CACHE_SIZE", "1")
    for age, key in enumerate(["d", "c", "b", "a"]):
        cache.put("kind", key, bytes(300_000))
        os.utime(folder / "kind" / key, (1000 - age, 1000 - age))
    assert cache.get("kind", "a") is not None
    cache.sweep()
    assert entries(folder) == ["a", "c", "d"]


@pytest.mark.parametrize(("setting", "limit"), [("2", 2**21), ("-5", 0), ("much", 2**30)])
def test_limit(monkeypatch, setting, limit):
    monkeypatch.setenv("DLC_CACHE_SIZE", setting)
    assert cache.info().limit_bytes == limit


def test_many_puts_stay_within_the_limit(folder, monkeypatch):
    monkeypatch.setenv("DLC_CACHE_SIZE", "1")
    monkeypatch.setattr(cache, "_DICE", random.Random(1))
    for number in range(300):
        cache.put("kind", f"k{number}", bytes(50_000))
    cache.sweep()
    assert cache.info().bytes <= 2**20
    assert cache.get("kind", "k299") is not None


def test_no_place_to_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "file" / "cache"))
    cache.put("kind", "a", b"data")
    assert cache.get("kind", "a") == b"data"
    assert tmp_path not in cache.directory().parents


def test_a_folder_that_vanishes(folder):
    cache.put("kind", "a", b"data")
    for path in folder.glob("*/*"):
        path.unlink()
    (folder / "kind").rmdir()
    folder.rmdir()
    assert cache.get("kind", "a") is None
    cache.put("kind", "a", b"data")
    assert cache.get("kind", "a") == b"data"


WRITER = """
import sys
from dlc import cache
for turn in range(40):
    for key in ("a", "b"):
        cache.put("kind", key, (key * 50_000).encode())
        found = cache.get("kind", key)
        assert found is None or found == (key * 50_000).encode(), len(found)
        if turn == 20:
            cache.clear()
"""


def test_processes_at_once(folder):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER], cwd=os.getcwd(), stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors.decode()
    assert cache.get("kind", "a") == b"a" * 50_000
    assert not [name for name in entries(folder) if name.startswith(".new")]


def test_global_random_numbers_are_left_alone():
    random.seed(3)
    expected = random.random()
    random.seed(3)
    cache.put("kind", "a", b"data")
    assert random.random() == expected
