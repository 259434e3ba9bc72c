import contextlib
import subprocess
import sys

import numpy as np
import pytest

from dlc import cache
from dlc.codegen import compile as compile_module
from dlc.codegen import objects as compiler
from dlc.codegen import workers
from dlc.codegen.compile import ALLOWED_SYMBOLS, CompileError, compile_kernel
from dlc.codegen.elf import undefined_symbols
from dlc.codegen.machine import LEVELS, host
from dlc.codegen.objects import compile_all, kernel_key, plain
from dlc.codegen.workers import early_workers
from dlc.runtime.native import LOADER, LoadError

TEXT = """
def kernel(lo, hi, args):  # model.dl:3
    x = argument(args, 0)
    for unit in range(lo, hi):
        store_below_f32(x, unit, FORMULA, argument(args, 1) - unit)
"""


def text(formula: str) -> str:
    return TEXT.replace("FORMULA", formula)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path))


def test_comments_and_blank_lines_do_not_change_the_key():
    a, b = text("const_f32(1.0)"), text("const_f32(2.0)")
    assert kernel_key(a, host()) == kernel_key(a.replace("# model.dl:3", "# b.dl:9"), host())
    assert kernel_key(a, host()) == kernel_key(a.replace("    for", "\n    for"), host())
    assert kernel_key(a, host()) != kernel_key(b, host())
    levels = [kernel_key(a, machine) for machine in LEVELS.values()]
    assert len(set(levels)) == len(levels)
    assert "#" not in plain(a)
    assert plain("x = '# no comment'  # one") == "x = '# no comment'"


def test_objects_are_cached_and_damage_is_repaired(empty_cache, monkeypatch):
    texts = {"a": text("const_f32(1.0)"), "b": text("const_f32(1.0)"), "c": text("const_f32(2.0)")}
    first = compile_all(texts, host(), workers=1)
    assert first["a"] == first["b"] != first["c"]
    calls = []
    real = compile_kernel

    def counted(*args, **options):
        calls.append(args)
        return real(*args, **options)

    monkeypatch.setattr(compile_module, "compile_kernel", counted)
    assert compile_all(texts, host(), workers=1) == first
    assert not calls
    path = cache.directory() / compiler.KIND / kernel_key(texts["a"], host())
    path.write_bytes(path.read_bytes()[:-7])
    assert compile_all(texts, host(), workers=1) == first
    assert len(calls) == 1
    cache.put(compiler.KIND, kernel_key(texts["a"], host()), b"not an object")
    assert compile_all(texts, host(), workers=1) == first
    assert len(calls) == 2


def test_other_processes_give_the_same_objects(empty_cache, monkeypatch):
    monkeypatch.setattr(compiler, "PARALLEL_FROM", 4)
    texts = {str(k): text(f"const_f32({k}.0)") for k in range(10)}
    here = compile_all(texts, host(), workers=1)
    cache.clear()
    assert compile_all(texts, host(), workers=2) == here
    # Processes that cannot start leave the work to this one.
    cache.clear()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert compile_all(texts, host(), workers=2) == here


def test_processes_that_started_early_do_the_work_and_end(empty_cache, monkeypatch):
    monkeypatch.setattr(compiler, "PARALLEL_FROM", 4)
    texts = {str(k): text(f"const_f32({k}.0)") for k in range(10)}
    here = compile_all(texts, host(), workers=1)
    cache.clear()
    with early_workers(host(), 2):
        started = [process for _, process in workers._EARLY]
        assert compile_all(texts, host(), workers=2) == here
        assert len(workers._EARLY) == 1
    with contextlib.suppress(RuntimeError), early_workers(host(), 1):
        started += [process for _, process in workers._EARLY]
        raise RuntimeError
    assert not workers._EARLY
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", None)
        with early_workers(host(), 1):
            assert not workers._EARLY
    assert None not in [process.poll() for process in started]


def test_mistakes_in_a_text_show_it(empty_cache, monkeypatch):
    monkeypatch.setattr(compiler, "PARALLEL_FROM", 4)
    wrong = {str(k): text(f"const_f32({k}.0)") for k in range(4)}
    wrong["w"] = text("add(const_f32(1.0), const_i32(1))")
    with pytest.raises(CompileError, match="add"):
        compile_all(wrong, host(), workers=2)
    with pytest.raises(CompileError, match="const_f32\\(1"):
        compile_kernel("def kernel(lo, hi, args):\n    return const_f32(1) +\n", host())
    with pytest.raises(CompileError):
        compile_kernel(text("unknown(1)"), host())


FORMULA = (
    "add(exp(load_f32(x, 0)), add(sin(load_f32(x, 0)), cast_f32(tanh(cast_f64(load_f32(x, 0))))))"
)


@pytest.mark.parametrize("name", LEVELS)
def test_every_level_compiles_without_foreign_symbols(name):
    code = compile_kernel(text(FORMULA), LEVELS[name])
    assert undefined_symbols(code) <= ALLOWED_SYMBOLS


def test_lower_levels_run_here(make_native):
    """Code for any older processor of the family gives almost the same numbers."""
    x = np.linspace(-5, 5, 333, dtype="f4")
    lower = [m for m in LEVELS.values() if m.name[:3] == host().name[:3] and m.name <= host().name]
    assert lower
    for machine in lower:
        names = ("exp", "log1p", "tanh", "sin", "erf", "sigmoid")
        got = make_native(machine).map({n: (f"{n}(x)", "f32") for n in names}, ("f32", x))
        np.testing.assert_allclose(got["exp"], np.exp(x.astype("f8")), rtol=2e-7)
        np.testing.assert_allclose(got["sin"], np.sin(x.astype("f8")), rtol=1e-7)
        np.testing.assert_allclose(got["tanh"], np.tanh(x.astype("f8")), rtol=3e-7)


def test_forced_levels():
    script = "from dlc.codegen.machine import host; print(host().name, host().lanes)"
    run = lambda level: subprocess.run(  # noqa: E731
        [sys.executable, "-c", script], capture_output=True, text=True, env={"DLC_CPU_LEVEL": level}
    )
    here, there = ("x86-64-v2", "aarch64") if host().name != "aarch64" else ("aarch64", "x86-64-v2")
    assert run(here).stdout.split() == [here, "4"]
    assert "E0951" in run("pentium").stderr
    assert "E0951" in run(there).stderr


def test_damaged_objects_do_not_load():
    code = compile_kernel(text("const_f32(3.0)"), host())
    assert LOADER.address(code) == LOADER.address(bytes(code))
    with pytest.raises(LoadError):
        LOADER.address(code[:100])
    with pytest.raises(LoadError):
        LOADER.address(code, "other")
