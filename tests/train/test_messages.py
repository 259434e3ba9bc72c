"""Mistakes in data as a person reads them: golden cases of a recipe and its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_programs import interpreted

from dlc.diagnostics import DlcError, render
from dlc.semantics import check_file
from dlc.train.loop import Trainer
from dlc.train.options import Options
from tests.golden import cases

FILE = "-- "


def write(name: str, lines: list[str]) -> None:
    """A file of these lines; those of an npz are its arrays."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".npz" and lines:
        arrays = {}
        for line in lines:
            column, _, value = line.partition("=")
            arrays[column] = eval(value, {"np": np, "int": int})
        np.savez(path, allow_pickle=True, **arrays)
    else:
        path.write_text("".join(line + "\n" for line in lines))


@pytest.mark.parametrize("case", cases("data"))
def test_data(case, golden, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DLC_DATA", raising=False)

    def report(source: str) -> str:
        text, *files = ("\n" + source).split("\n" + FILE)
        Path("wrong.dl").write_text(text.removeprefix("\n"))
        for file in files:
            name, *lines = file.rstrip("\n").split("\n")
            write(name, lines)
        program = check_file("wrong.dl")
        with pytest.raises(DlcError) as caught:
            Trainer(program, compile_graph=interpreted, options=Options(keep=False))
        assert caught.value.exit_code == 3
        said = "\n\n".join(render(d) for d in caught.value.diagnostics)
        return said.replace(str(tmp_path), "FOLDER")

    golden(case, report)
