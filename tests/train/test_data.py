"""Reading and checking data, whole and malformed."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from dlc.diagnostics import DlcError, Source, Span
from dlc.graph import Axis, Graph, RangeCheck, Size, TensorType
from dlc.semantics.program import DataFile, DataSpec, Port, StepProgram
from dlc.train.data import find as places
from dlc.train.data.dataset import Dataset, bind
from dlc.train.data.source import Columns, read_arrays, read_source

SPAN = Span(Source("m.dl", "step(x: f32[N])"), 0, 4)
N = Axis("N")


def type_of(dtype, **sizes):
    dims = [(Axis(a), Size.symbol(a) if n is None else n) for a, n in sizes.items()]
    return TensorType.of(dtype, dims)


def step_of(*ports, limits=(), name="step"):
    graph = Graph((), {}, tuple(limits))
    return StepProgram(name, 1, graph, graph, ports, ("loss",), SPAN)


def bound(data, *ports, batch=None, **kwargs) -> Dataset:
    columns = data if isinstance(data, Columns) else read_arrays(data)
    return bind(columns, [step_of(*ports, **kwargs)], batch or {"N": 2})


def spec(kind, *files, columns=()):
    entries = tuple(
        DataFile(f[0], f[1], SPAN) if isinstance(f, tuple) else DataFile(None, f, SPAN)
        for f in files
    )
    return DataSpec(kind, entries, columns, SPAN)


def read(kind, folder, *files, columns=(), ports=()):
    return read_source(spec(kind, *files, columns=columns), folder, ports, "N")


def refused(code, call, *args, **kwargs) -> str:
    with pytest.raises(DlcError) as caught:
        call(*args, **kwargs)
    found = [d.code for d in caught.value.diagnostics]
    assert code in found, (code, str(caught.value))
    assert caught.value.exit_code == 3
    return str(caught.value)


def idx_bytes(array, code):
    big = array.astype(array.dtype.newbyteorder(">"))
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + big.tobytes()


# ---------------------------------------------------------------- npy and npz


def test_npy_is_mapped(tmp_path):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "x.npy", x)
    column = read("npy", tmp_path, ("image", "x.npy")).columns["image"]
    assert isinstance(column.values, np.memmap)
    assert np.array_equal(column.values, x)


def test_npy_fortran_order_and_empty(tmp_path):
    x = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "e.npy", np.zeros((0, 4)))
    got = read("npy", tmp_path, ("x", "x.npy"), ("e", "e.npy")).columns
    assert np.array_equal(got["x"].values, x)
    assert got["e"].values.shape == (0, 4)


def test_npz_columns(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", x=np.arange(6.0).reshape(3, 2), y=np.arange(3))
    got = read("npz", tmp_path, "d.npz", columns=(("image", "x"),))
    assert list(got.columns) == ["image"]
    everything = read("npz", tmp_path, "d.npz")
    assert set(everything.columns) == {"x", "y"}
    assert everything.hashes.keys() == {"d.npz"}
    text = refused("E0705", read, "npz", tmp_path, "d.npz", columns=(("image", "z"),))
    assert "it has x, y" in text


def test_npy_objects_are_refused(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    refused("E0730", read, "npy", tmp_path, ("x", "o.npy"))


@pytest.mark.parametrize("cut", [0, 3, 9, 60, 130, 140])
def test_npy_truncated(tmp_path, cut):
    np.save(tmp_path / "x.npy", np.arange(9.0))
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data[:cut])
    refused("E0703", read, "npy", tmp_path, ("x", "x.npy"))


@pytest.mark.parametrize("shape", ["(9,9)", "(-9,)", "(10**9,)", "'x'", "(99999999999999,)"])
def test_npy_lying_header(tmp_path, shape):
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    head = head.ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(72)
    (tmp_path / "x.npy").write_bytes(data)
    refused("E0703", read, "npy", tmp_path, ("x", "x.npy"))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", data)
    refused("E0703", read, "npz", tmp_path, "x.npz")


def test_npz_bomb_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "b.npz", x=np.zeros(1_000_000))
    monkeypatch.setattr(places, "memory_bytes", lambda: 1_000_000)
    refused("E0704", read, "npz", tmp_path, "b.npz")


@pytest.mark.parametrize("kind", ["npz", "npy", "idx", "csv", "images"])
def test_garbage_never_tracebacks(tmp_path, kind):
    rng = np.random.default_rng(0)
    good = io.BytesIO()
    np.savez_compressed(good, x=np.arange(20))
    for i in range(40):
        data = bytearray(good.getvalue() if i % 2 else rng.bytes(200))
        for _ in range(3):
            data[rng.integers(len(data))] = rng.integers(256)
        if kind == "images":
            (tmp_path / "g" / "a").mkdir(parents=True, exist_ok=True)
            (tmp_path / "g" / "a" / "p.png").write_bytes(bytes(data))
        else:
            (tmp_path / "g").write_bytes(bytes(data))
        port = Port("x", type_of("u8", N=None, Y=2, X=2))
        try:
            read(kind, tmp_path, ("x", "g"), ports=(port,))
        except DlcError as error:
            assert error.exit_code == 3  # noqa: PT017


# ---------------------------------------------------------------- idx


@pytest.mark.parametrize(
    ("dtype", "code"),
    [("u1", 8), ("i1", 9), ("i2", 11), ("i4", 12), ("f4", 13), ("f8", 14)],
)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_types(tmp_path, dtype, code, packed):
    x = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    data = idx_bytes(x, code)
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    got = read("idx", tmp_path, ("image", "x")).columns["image"].values
    assert np.array_equal(got, x)
    assert isinstance(got, np.memmap) != packed


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("change", ["cut", "more", "magic", "header", "empty", "huge"])
def test_idx_malformed(tmp_path, packed, change):
    data = idx_bytes(np.arange(24, dtype=np.uint8), 8)
    data = {
        "cut": data[:-1],
        "more": data + b"x",
        "magic": b"\1" + data[1:],
        "header": data[:6],
        "empty": b"",
        "huge": b"\0\0\x08\x02" + b"\xff" * 8,
    }[change]
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    refused("E0703", read, "idx", tmp_path, ("image", "x"))


def test_idx_gzip_cut(tmp_path):
    data = gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8), 8))
    (tmp_path / "x.gz").write_bytes(data[:-20])
    refused("E0703", read, "idx", tmp_path, ("image", "x.gz"))


# ---------------------------------------------------------------- csv


CSV = 'len,"wid, th",kind\n1,0.5,cat\n2,1.5,"dog ""x"""\n\n3,2.5,cat\n'


def test_csv(tmp_path):
    (tmp_path / "d.csv").write_text(CSV)
    columns = (("x", ("len", "wid, th")), ("label", "kind"))
    got = read("csv", tmp_path, "d.csv", columns=columns)
    assert np.array_equal(got.columns["x"].values, [[1, 0.5], [2, 1.5], [3, 2.5]])
    ports = (Port("x", type_of("f32", N=None, F=2)), Port("label", type_of("i32", N=None)))
    data = bound(got, *ports)
    assert data.classes == {"label": ("cat", 'dog "x"')}
    batch = data.batch("step", np.array([2, 1]))
    assert batch["x"].dtype == np.float32
    assert np.array_equal(batch["x"], [[3, 2.5], [2, 1.5]])
    assert np.array_equal(batch["label"], [0, 1])
    assert batch["label"].dtype == np.int32


def test_csv_variants(tmp_path):
    (tmp_path / "d.tsv").write_text("\ufeffa\tb\r\n1\tx,y\r\n2\tz\r\n")
    got = read("csv", tmp_path, "d.tsv").columns
    assert got["a"].values.dtype == np.int64
    assert list(got["b"].values) == ["x,y", "z"]
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(b"a;b\n1;2\n"))
    assert read("csv", tmp_path, "e.csv.gz").columns["b"].values[0] == 2


def test_csv_test_classes(tmp_path):
    (tmp_path / "a.csv").write_text("k\nb\na\n")
    (tmp_path / "b.csv").write_text("k\na\nb\n")
    (tmp_path / "c.csv").write_text("k\na\nc\n")
    port = Port("k", type_of("i32", N=None))
    data = bound(read("csv", tmp_path, "a.csv"), port)
    steps = [step_of(port)]
    test = bind(read("csv", tmp_path, "b.csv"), steps, {"N": 2}, classes=data.classes)
    assert np.array_equal(test.batch("step", np.arange(2))["k"], [0, 1])
    other = read("csv", tmp_path, "c.csv")
    text = refused("E0727", bind, other, steps, {"N": 2}, classes=data.classes)
    assert "'c'" in text
    assert "line 3" in text


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", "E0726", "empty"),
        ("a,a\n1,2\n", "E0726", "twice"),
        ("a,b\n1,2\n3\n", "E0724", "line 3: 1 fields"),
        ("a,b\n1,2\n3,x\n", "E0725", "line 3, column 'b': 'x' is no number"),
        ("a,b\n1,2\n3,\n", "E0725", "line 3, column 'b': the field is empty"),
        ("a,b\nx,2\n,3\n", "E0725", "line 3, column 'a'"),
        ("a,c\n1,2\n", "E0705", "it has a, c"),
        ('a,b\n1,"2\n', "E0703", "unexpected end"),
        ("a,b\n1,1_0\n", None, ""),
    ],
)
def test_csv_malformed(tmp_path, text, code, says):
    (tmp_path / "d.csv").write_text(text)
    columns = (("p", "a"), ("q", "b"))
    if code is None:
        assert read("csv", tmp_path, "d.csv", columns=columns).columns["q"].values[0] == "1_0"
    else:
        assert says in refused(code, read, "csv", tmp_path, "d.csv", columns=columns)


def test_csv_not_text(tmp_path):
    (tmp_path / "d.csv").write_bytes(b"a\n1\n\xff\xfe\n")
    assert "line 3" in refused("E0703", read, "csv", tmp_path, "d.csv")


def test_csv_not_finite(tmp_path):
    (tmp_path / "d.csv").write_text("a,b\n1,2\n3,nan\n")
    got = read("csv", tmp_path, "d.csv", columns=(("x", ("a", "b")),))
    text = refused("E0720", bound, got, Port("x", type_of("f32", N=None, F=2)))
    assert "line 3, column 'b'" in text


# ---------------------------------------------------------------- images


def test_images(tmp_path):
    for i, (kind, mode) in enumerate([("cat", "L"), ("dog", "RGB"), ("dog", "RGBA")]):
        (tmp_path / "d" / kind).mkdir(parents=True, exist_ok=True)
        shade = 10 * (i + 1) if mode == "L" else (10 * (i + 1),) * len(mode)
        Image.new(mode, (3, 2), shade).save(tmp_path / "d" / kind / f"{i}.png")
    label = Port("label", type_of("i32", N=None))
    for sizes, shape in [
        ({"Y": 2, "X": 3}, (3, 2, 3)),
        ({"C": 3, "Y": 2, "X": 3}, (3, 3, 2, 3)),
        ({"Y": 2, "X": 3, "C": 1}, (3, 2, 3, 1)),
    ]:
        image = Port("image", type_of("u8", N=None, **sizes))
        columns = (("image", "image"), ("label", "label"))
        got = read("images", tmp_path, "d", columns=columns, ports=(label, image))
        data = bound(got, image, label)
        batch = data.batch("step", np.arange(3))
        assert batch["image"].shape == shape
        assert list(batch["image"].reshape(3, -1)[:, 0]) == [10, 20, 30]
        assert list(batch["label"]) == [0, 1, 1]
        assert data.classes == {"label": ("cat", "dog")}
    (tmp_path / "t" / "dog").mkdir(parents=True)
    Image.new("L", (3, 2)).save(tmp_path / "t" / "dog" / "0.png")
    test = read("images", tmp_path, "t", ports=(image, label))
    again = bind(test, [step_of(image, label)], {"N": 2}, classes=data.classes)
    assert list(again.batch("step", np.arange(1))["label"]) == [1]  # as in the training data
    Image.new("L", (4, 2)).save(tmp_path / "d" / "dog" / "9.png")
    refused("E0728", read, "images", tmp_path, "d", ports=(image, label))
    (tmp_path / "empty").mkdir()
    refused("E0734", read, "images", tmp_path, "empty", ports=(image, label))


# ---------------------------------------------------------------- places


def test_places(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("DLC_DATA", f"{tmp_path / 'none'}:{tmp_path / 'b'}")
    text = refused("E0701", read, "npy", tmp_path / "a", ("x", "x.npy"))
    assert str(tmp_path / "a" / "x.npy") in text
    assert str(tmp_path / "b" / "x.npy") in text
    np.save(tmp_path / "b" / "x.npy", np.arange(3))
    assert read("npy", tmp_path / "a", ("x", "x.npy")).columns["x"].file.startswith(str(tmp_path))
    name = "mnist/train-images-idx3-ubyte.gz"
    assert "https://" in refused("E0701", read, "idx", tmp_path, ("image", name))


# ---------------------------------------------------------------- binding


def test_bind_converts_and_keeps(tmp_path):
    data = bound(
        {"a": np.arange(4, dtype=np.uint8), "b": np.arange(4.0), "c": np.arange(4)},
        Port("a", type_of("f32", N=None)),
        Port("b", type_of("f32", N=None)),
        Port("c", type_of("i32", N=None)),
    )
    batch = data.batch("step", np.array([3, 0]))
    assert [v.dtype.name for v in batch.values()] == ["float32", "float32", "int32"]
    assert [list(v) for v in batch.values()] == [[3, 0]] * 3


@pytest.mark.parametrize(
    ("values", "dtype", "code", "says"),
    [
        (np.array([0, 300]), "u8", "E0709", "300"),
        (np.array([0, -1], np.int8), "u8", "E0709", "-1"),
        (np.array([0, 2**63], np.uint64), "i64", "E0709", "row 1"),
        (np.array([0, 2**31]), "i32", "E0709", "row 1"),
        (np.array([0, 0.5]), "i32", "E0709", "0.5"),
        (np.array([0, 2**24 + 1]), "f32", "E0709", "16777217"),
        (np.array([0, 1e300]), "f32", "E0709", "1e+300"),
        (np.array([0, np.nan]), "f32", "E0720", "row 1"),
        (np.array([0, np.inf], np.float32), "f32", "E0720", "inf"),
        (np.array([0, 2]), "bool", "E0709", "2"),
        (np.array([0, 0.1], np.float32), "bf16", "E0709", "0.1"),
        (np.array([0j]), "f32", "E0708", "complex"),
        (np.array(["a"]), "f32", "E0708", "text"),
        (np.array(["2020-01-01"], "M8[D]"), "i64", "E0708", "datetime"),
    ],
)
def test_bind_refuses_values(values, dtype, code, says):
    assert says in refused(code, bound, {"x": values}, Port("x", type_of(dtype, N=None), SPAN))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([True, False]), "f32"),
        (np.array([1, 0]), "bool"),
        (np.array([2**24, -1]), "f32"),
        (np.array([1.0, 2.0]), "i32"),
        (np.array([1, 2], ">i2"), "i32"),
        (np.array([0.1, 1e-320]), "f32"),
    ],
)
def test_bind_takes_values(values, dtype):
    data = bound({"x": values}, Port("x", type_of(dtype, N=None)))
    got = data.batch("step", np.arange(2))["x"]
    assert got.dtype.isnative
    assert np.allclose(got.astype(float), values.astype(float))


def test_bind_shapes():
    x = np.zeros((5, 28, 28), np.uint8)
    data = bound({"x": x}, Port("x", type_of("u8", N=None, C=1, Y=28, X=28)))
    assert data.batch("step", np.arange(2))["x"].shape == (2, 1, 28, 28)
    refused("E0707", bound, {"x": x}, Port("x", type_of("u8", N=None, Y=28, X=27)))
    refused("E0707", bound, {"x": x}, Port("x", type_of("u8", N=None, C=3, Y=28, X=28)))
    refused("E0707", bound, {"x": x}, Port("x", type_of("u8", N=None)))
    port = Port("x", type_of("u8", Y=28, X=28, N=None))
    last = bound({"x": np.moveaxis(x, 0, -1)}, port, batch={"N": 3})
    assert last.rows == 5


def test_bind_run_time_sizes():
    t = Size.symbol("T")
    half = TensorType.of("f32", [(N, Size.symbol("N")), (Axis("S"), t // 2 + 1)])
    ports = (Port("x", type_of("f32", N=None, T=None)), Port("y", half))
    bound({"x": np.zeros((4, 9)), "y": np.zeros((4, 5))}, *ports)
    refused("E0707", bound, {"x": np.zeros((4, 9)), "y": np.zeros((4, 6))}, *ports)


def test_bind_reports_everything():
    ports = (Port("x", type_of("f32", N=None)), Port("y", type_of("f32", N=None), SPAN))
    with pytest.raises(DlcError) as caught:
        bound({"x": np.array([np.nan]), "z": np.zeros(1)}, *ports)
    assert [d.code for d in caught.value.diagnostics] == ["E0720", "E0706"]


def test_bind_rows():
    ports = (Port("x", type_of("f32", N=None)), Port("y", type_of("f32", N=None)))
    refused("E0722", bound, {"x": np.zeros(3), "y": np.zeros(4)}, *ports)
    refused("E0723", bound, {"x": np.zeros(0), "y": np.zeros(0)}, *ports)


def test_bind_range(tmp_path):
    limit = RangeCheck("label", Size.of(10), Axis("K"), (SPAN,))
    port = Port("label", type_of("i32", N=None))
    bound({"label": np.arange(10)}, port, limits=[limit])
    text = refused("E0721", bound, {"label": np.arange(11)}, port, limits=[limit])
    assert "axis K, of size 10" in text
    assert "row 10" in text


def test_bind_stream():
    port = Port("t", type_of("i32", N=None, T=4), SPAN)
    data = bound({"t": np.arange(15)}, port, batch={"N": 2, "T": 4})
    assert data.rows == 3
    got = data.batch("step", np.array([2, 0]))["t"]
    assert np.array_equal(got, [[8, 9, 10, 11], [0, 1, 2, 3]])
    rows = bound({"t": np.arange(20).reshape(2, 10)}, port, batch={"N": 2, "T": 4})
    assert rows.rows == 4
    assert np.array_equal(rows.batch("step", np.array([2]))["t"], [[10, 11, 12, 13]])
    refused("E0731", bound, {"t": np.arange(3)}, port, batch={"N": 2, "T": 4})
    deep = Port("t", type_of("f32", T=None, N=None, E=2))
    data = bound({"t": np.arange(24.0).reshape(12, 2)}, deep, batch={"N": 2, "T": 4})
    got = data.batch("step", np.array([1]))["t"]
    assert got.shape == (4, 1, 2)
    assert np.array_equal(got[:, 0], np.arange(24.0).reshape(12, 2)[4:8])


def test_bind_constant_column():
    ports = (Port("x", type_of("f32", N=None)), Port("w", type_of("f32", K=3)))
    data = bound({"x": np.zeros(5), "w": np.arange(3)}, *ports)
    assert data.batch("step", np.arange(2))["w"].tolist() == [0, 1, 2]


def test_python_arrays():
    refused("E0736", read_arrays, {"x": [[1, 2], [3]]})
    refused("E0736", read_arrays, {"x": [{}]})
    first, second = read_arrays({"x": np.arange(6)}), read_arrays({"x": np.arange(6)[::-1]})
    assert first.hashes != second.hashes
    assert first.hashes == read_arrays({"x": list(range(6))}).hashes
