"""The `.dlm` file: whole, aligned, deterministic, and refused when it is not what was written."""

import contextlib
import json
import os
import random
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from small_modules import WEIGHTS, expected, module

import dlc
from dlc.runtime import artifact, container


@pytest.fixture(scope="module")
def data():
    return module().to_bytes()


def refusal(call):
    with pytest.raises(dlc.DlcError) as caught:
        call()
    assert caught.value.exit_code == 5
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code


def test_round_trip(tmp_path):
    net = module()
    net.save(tmp_path / "m.dlm")
    again = dlc.load(tmp_path / "m.dlm")
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(again(x), expected(x))
    assert again.contents.sources == {"m.dl": "# a text\n"}
    assert again.contents.facts == {"seed": 1}
    assert again.to_bytes() == net.to_bytes()
    assert os.listdir(tmp_path) == ["m.dlm"]


def test_any_zip_program_reads_it(tmp_path, data):
    path = tmp_path / "m.dlm"
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        for info in archive.infolist():
            name, extra = (
                int.from_bytes(data[info.header_offset + k :][:2], "little") for k in (26, 28)
            )
            assert (info.header_offset + 30 + name + extra) % 64 == 0
            assert info.compress_type == zipfile.ZIP_STORED
    assert manifest["form"] == 1
    assert manifest["signature"]["M"]["inputs"][0]["name"] == "x"


def test_bytes_load(data):
    assert dlc.load(data).params["M.fc.offset"].tolist() == [-1, 1]


def test_every_flipped_byte_is_seen(data):
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x20
        assert refusal(lambda d=bytes(damaged): artifact.decode(d, "m.dlm")) in ("E0901", "E0902")


def test_every_truncation_is_seen(data):
    for length in range(0, len(data), 7):
        assert refusal(lambda n=length: artifact.decode(data[:n], "m.dlm")) in ("E0901", "E0902")


def test_other_contents_under_a_right_hash():
    """Files that some program made on purpose: still a diagnostic, never a traceback."""
    entries = container.unpack(module().to_bytes(), "m.dlm")
    source = random.Random(0)
    for _ in range(200):
        name = source.choice(list(entries))
        old = entries[name]
        place = source.randrange(len(old))
        new = old[:place] + source.randbytes(3) + old[place + source.choice([0, 3]) :]
        packed = container.pack({**entries, name: new})
        with contextlib.suppress(dlc.DlcError):
            dlc.load(packed)
    for name in entries:
        rest = {n: d for n, d in entries.items() if n != name}
        code = "E0902" if name == "manifest.json" else "E0901"
        assert refusal(lambda r=rest: dlc.load(container.pack(r))) == code


def test_newer_form(data):
    entries = container.unpack(data, "m.dlm")
    manifest = json.loads(entries["manifest.json"]) | {"form": 99, "dlc": "7.0"}
    newer = container.pack({**entries, "manifest.json": json.dumps(manifest).encode()})
    assert refusal(lambda: dlc.load(newer)) == "E0903"


def test_weights_must_fit_the_graph(data):
    contents = artifact.decode(data, "m.dlm")
    for weights in ({}, {**WEIGHTS, "M.fc.offset": np.zeros(3, np.float32)}):
        wrong = artifact.Contents("m.dl", contents.graphs, weights)
        assert refusal(lambda w=wrong: dlc.load(artifact.encode(w, writer="0"))) == "E0901"


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and more", b"\x00" * 100])
def test_foreign_files(tmp_path, content):
    path = tmp_path / "x.dlm"
    path.write_bytes(content)
    assert refusal(lambda: dlc.load(path)) == "E0902"


def test_places(tmp_path):
    assert refusal(lambda: dlc.load(tmp_path / "none.dlm")) == "E0904"
    assert refusal(lambda: dlc.load(tmp_path)) == "E0906"
    assert refusal(lambda: module().save(tmp_path / "none" / "m.dlm")) == "E0905"
    assert refusal(lambda: module().save("/proc/m.dlm")) == "E0905"


def test_permissions_follow_the_umask(tmp_path):
    module().save(tmp_path / "m.dlm")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(os.stat(tmp_path / "m.dlm").st_mode) == 0o666 & ~mask


def test_loading_imports_neither_parser_nor_compiler(tmp_path):
    module().save(tmp_path / "m.dlm")
    code = (
        f"import dlc, sys; net = dlc.load({str(tmp_path / 'm.dlm')!r}); "
        "assert not {'lark', 'numba', 'click'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
