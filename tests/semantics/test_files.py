"""Programs of several files, and hypers set from outside."""

from __future__ import annotations

import pytest

from dlc.diagnostics import DlcError
from dlc.semantics import check_file

MODEL = "axis N, D = 4\nmodel Net(x: f32[N, D]) -> f32[N]:\n    return x |> Linear(D -> ())\n"


def write(folder, **files: str):
    for name, text in files.items():
        (folder / f"{name}.dl").write_text(text)
    return folder / f"{next(iter(files))}.dl"


def codes(path, **sets) -> list[str]:
    with pytest.raises(DlcError) as caught:
        check_file(path, sets=sets)
    return [d.code for d in caught.value.diagnostics]


def test_a_name_that_the_file_lacks(tmp_path):
    path = write(tmp_path, a="from b import Nett\n", b=MODEL)
    with pytest.raises(DlcError) as caught:
        check_file(path)
    (case,) = caught.value.diagnostics
    assert (case.code, case.help) == ("E0105", "did you mean Net?")
    assert (case.span.line, case.span.column) == (1, 15)


def test_files_that_import_each_other(tmp_path):
    path = write(tmp_path, a="from b import B\nA = 1\n", b="from a import A\nB = 2\n")
    assert codes(path) == ["E0605"]


def test_two_models_of_one_name(tmp_path):
    own = "model Net(x: f32[N, D]) -> f32[N]:\n    return sum(x, over=D)\n"
    user = "from b import Net\naxis N, D = 4\nmodel M(x: f32[N, D]) -> f32[N]:\n    return Net(x)\n"
    path = write(tmp_path, a="from c import M\n" + MODEL, b=MODEL.replace("sum", "mean"), c=user)
    assert "E0416" in codes(path)
    assert own


def test_mistakes_of_all_files_at_once(tmp_path):
    path = write(
        tmp_path,
        a="from b import Net\naxis N\nmodel M(x: f32[N]) -> f32[N]:\n    return rleu(x)\n",
        b=MODEL.replace("Linear", "Linaer"),
    )
    assert codes(path) == ["E0101", "E0101"]


def test_syntax_mistakes_of_an_imported_file(tmp_path):
    path = write(tmp_path, a="from b import Net\n", b="model (:\n")
    (code, *_) = codes(path)
    assert code.startswith("E00")


def test_sizes_come_with_imported_axes(tmp_path):
    text = (
        "from b import Net, N, D\n"
        "model M(x: f32[N, D]) -> f32[N]:\n    return Net(x) / D\n"
        "model L(x: f32[N]) -> f32[N]:\n    axis H = D * 2\n    return x / H\n"
    )
    program = check_file(write(tmp_path, a=text, b=MODEL))
    assert str(program.models["M"].inputs[0].type) == "f32[N=N, D=4]"
    assert list(program.params) == ["Net.linear_0.weight", "Net.linear_0.offset"]


def test_unused_imports(tmp_path):
    path = write(tmp_path, a="from b import Net, D\naxis N\n" + "model M(x: f32[N, D]) -> f32[N]:\n"
                 "    return sum(x, over=D)\n", b=MODEL)  # fmt: skip
    assert [(w.code, w.span.text) for w in check_file(path).warnings] == [("W0005", "Net")]


HYPERS = """
axis N
hyper a: float = 0.1 in log(0.01, 1)
hyper b: int = 2 in [2, 4]
hyper c: bool = false
hyper d: str = "x"
model M(x: f32[N]) -> f32[N]:
    if c and d == "x":
        return x * a
    return x * b
"""


@pytest.mark.parametrize(
    "sets",
    [{"a": 2.0}, {"a": "much"}, {"b": 3}, {"b": 2.5}, {"c": 1}, {"d": 3}, {"e": 1}, {"a": True}],
)
def test_hypers_that_do_not_fit(tmp_path, sets):
    assert codes(write(tmp_path, a=HYPERS), **sets) == ["E0511"]


def test_an_unknown_hyper_has_no_place(tmp_path):
    path = write(tmp_path, a=HYPERS)
    with pytest.raises(DlcError) as caught:
        check_file(path, sets={"e": 1})
    (case,) = caught.value.diagnostics
    assert case.span is None
    assert case.message == f"hyper e: {path} has no hyper of this name"
    assert case.help == "its hypers: a, b, c and d"


def test_hypers_that_fit(tmp_path):
    path = write(tmp_path, a=HYPERS)
    program = check_file(path, sets={"a": "0.5", "b": "4", "c": "true", "d": "x"})
    values = {h.name: (h.value, h.fixed) for h in program.hypers.values()}
    assert values == {"a": (0.5, False), "b": (4, True), "c": (True, True), "d": ("x", True)}
    assert [n.attrs["name"] for n in program.models["M"].graph.inputs] == ["x", "a"]
