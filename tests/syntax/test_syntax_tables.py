"""The parse tables come from the cache, and from the grammar where the cache cannot serve."""

import pytest

from dlc import cache
from dlc.diagnostics import Source
from dlc.syntax import parse, tables


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path))
    tables.grammar.cache_clear()
    yield tmp_path
    tables.grammar.cache_clear()


def test_cached_tables_parse_alike(fresh, monkeypatch):
    text = Source("a.dl", "def f(x):\n    return x |> g(A -> B, n=1)\n")
    first = parse(text)
    assert cache.info().entries == 1
    tables.grammar.cache_clear()
    monkeypatch.setattr(tables, "_built", None)
    assert parse(text) == first


def test_damaged_tables_are_built_again(fresh):
    text = Source("a.dl", "axis N\n")
    first = parse(text)
    for path in fresh.glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    tables.grammar.cache_clear()
    assert parse(text) == first
