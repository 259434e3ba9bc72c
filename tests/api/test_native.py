"""Compiled programs as users meet them: stored in artifacts, after fork, from many threads."""

import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from small_modules import WEIGHTS, dense_graph, expected, module, noise_graph, pair_graph

import dlc
from dlc.codegen.machine import LEVELS, host
from dlc.diagnostics.record import replaced
from dlc.runtime import artifact, container
from dlc.runtime.build import generated_of, native_files
from dlc.runtime.compiled import NativeExecutable
from dlc.runtime.cost import cost_by_layer
from dlc.runtime.interpreted import Interpreted
from dlc.runtime.memory import memory_of
from dlc.transform.pipeline import lower

X = np.random.default_rng(1).normal(size=(33, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def data():
    contents = module(M=dense_graph(), P=pair_graph(), G=noise_graph()).contents
    return artifact.encode(replaced(contents, native=native_files(contents.graphs)), writer="0.1.0")


def test_stored_programs_run_without_the_compiler(tmp_path, data):
    path = tmp_path / "m.dlm"
    path.write_bytes(data)
    code = (
        "import dlc, sys, numpy as np; "
        f"net = dlc.load({str(path)!r}); r = net.M(np.ones((2, 3), 'f4')); "
        "assert not {'lark', 'numba', 'click'} & sys.modules.keys(); print(r.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(done.stdout), expected(np.ones((2, 3))))


WITHOUT_NUMBA = {
    "not installed": "importlib.metadata.version = missing",
    "broken": "sys.modules['numba'] = None",
}


@pytest.mark.parametrize("how", WITHOUT_NUMBA)
def test_without_numba(tmp_path, data, how):
    """What is stored runs; what must be compiled says what is missing."""
    (tmp_path / "m.dlm").write_bytes(data)
    code = f"""
import importlib.metadata, sys
def missing(name): raise importlib.metadata.PackageNotFoundError(name)
{WITHOUT_NUMBA[how]}
import dlc, numpy as np
x = np.ones((2, 3), "f4")
print(dlc.load("m.dlm").M(x).tolist())
print(dlc.load("m.dlm", interpret=True).value("M.fc", x).shape)
for call in dlc.load("m.dlm").value, dlc.load("m.dlm").gradient:
    try:
        call("M.fc", x)
    except dlc.DlcError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "DLC_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    stored, shape, *said = done.stdout.splitlines()
    np.testing.assert_allclose(json.loads(stored), expected(np.ones((2, 3))))
    assert shape == "(2, 2)"
    assert len(said) == 2
    assert all("E0907" in line and "pip install numba" in line for line in said)


def test_stored_rebuilt_and_interpreted_agree(data):
    nets = [dlc.load(data), dlc.load(data, native=False), dlc.load(data, interpret=True)]
    kinds = [type(net.G.prepare()) for net in nets]
    assert kinds == [NativeExecutable, NativeExecutable, Interpreted]
    results = [net.M(X) for net in nets]
    draws = [net.G(N=100, seed=5) for net in nets]
    for result, draw in zip(results[1:], draws[1:], strict=True):
        np.testing.assert_allclose(result, results[0], rtol=1e-6)
        np.testing.assert_array_equal(draw, draws[0])


def test_another_processor_rebuilds(data):
    family = host().name.partition("-")[0]
    other = next(name for name in reversed(LEVELS) if name.partition("-")[0] != family)
    contents = artifact.decode(data, "m.dlm")
    moved = {path.replace(host().name, other): code for path, code in contents.native.items()}
    net = dlc.load(artifact.encode(replaced(contents, native=moved), writer="0"))
    np.testing.assert_allclose(net.M(X), expected(X), rtol=1e-6)


def test_native_files_that_do_not_fit(data):
    entries = container.unpack(data, "m.dlm")
    for name in [n for n in entries if n.startswith("native/") and "/M." in n]:
        for content in (b"", b"{}", b'{"form": 9}', entries[name][:-30]):
            net = dlc.load(container.pack({**entries, name: content}))
            with pytest.raises(dlc.DlcError) as caught:
                net.M(X)
            assert caught.value.exit_code == 5


def test_parameters_are_shared_and_written(data):
    net = dlc.load(data)
    net.params["M.fc.offset"] = np.zeros(2)
    np.testing.assert_allclose(net.M(X), np.maximum(X @ WEIGHTS["M.fc.weight"], 0), rtol=1e-5)


def test_many_threads_at_once(data):
    net = dlc.load(data)
    batches = [X[: k % 5] * k for k in range(40)]
    alone = [net.M(x) for x in batches]
    with ThreadPoolExecutor(8) as pool:
        for one, result in zip(alone, pool.map(net.M, batches), strict=True):
            np.testing.assert_array_equal(result, one)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_fork(data):
    net = dlc.load(data)
    before = net.M(X)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(net.M(X), before) else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(net.M(X), before)


def test_pickled(data):
    net = dlc.load(data, threads=1)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.M(X), net.M(X))


def test_numbers_of_threads_give_the_same_bits(data):
    results = [dlc.load(data, threads=n).M(X) for n in (1, 2, 3, 7)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_cost():
    graph = lower(dense_graph())
    layers = {layer.path: layer for layer in cost_by_layer(graph, {"N": 10})}
    assert layers["M.fc"].parameters == 8
    assert layers["M.fc"].flops == 10 * (2 * 3 * 2 + 2)
    memory = memory_of(generated_of(dense_graph(), host()).plan, {"N": 10})
    assert (memory.inputs, memory.weights, memory.outputs) == (10 * 3 * 4, 8 * 4, 10 * 2 * 4)
    assert memory.peak >= 232
