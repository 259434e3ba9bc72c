"""Every mistake in the text of a file: what the user is told, at which place."""

import pytest
from golden import cases

from dlc.diagnostics import CATALOG, DlcError, Source, render
from dlc.diagnostics import syntax as mistakes
from dlc.diagnostics import text as texts
from dlc.syntax import parse, read_source


def told(text: str) -> str:
    try:
        parse(Source("test.dl", text))
    except DlcError as error:
        return "\n\n".join(render(diagnostic) for diagnostic in error.diagnostics)
    return "no mistakes"


@pytest.mark.parametrize("case", cases("syntax"))
def test_golden(case, golden):
    golden(case, told)


CASES = [
    case for case in CATALOG.values() if case.__module__ in (mistakes.__name__, texts.__name__)
]


@pytest.mark.parametrize("kind", [k for k in CASES if k.example], ids=lambda k: k.code)
def test_example_shows_its_case(kind):
    with pytest.raises(DlcError) as caught:
        parse(Source("test.dl", kind.example))
    assert {type(diagnostic) for diagnostic in caught.value.diagnostics} == {kind}


@pytest.mark.parametrize("kind", CASES, ids=lambda k: k.code)
def test_case_has_a_long_story(kind):
    assert len(kind.__doc__.strip().split("\n")) > 2


def test_reads_text(tmp_path):
    path = tmp_path / "a.dl"
    path.write_bytes("\ufeffaxis N\r\n# é\r\n".encode())
    assert read_source(path).text == "axis N\n# é\n"


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("missing.dl", None, texts.FileUnreadable),
        (".", None, texts.FileUnreadable),
        ("a\0b.dl", None, texts.FileUnreadable),
        ("latin.dl", b"axis N\n# caf\xe9\n", texts.FileNotText),
        ("large.dl", b"#" * 8_000_001, texts.FileTooLarge),
    ],
)
def test_unreadable_files(tmp_path, name, data, kind):
    path = f"{tmp_path}/{name}"
    if data is not None:
        with open(path, "wb") as file:
            file.write(data)
    with pytest.raises(DlcError) as caught:
        read_source(path)
    (diagnostic,) = caught.value.diagnostics
    assert type(diagnostic) is kind
    assert name in diagnostic.message


def test_place_of_bad_bytes(tmp_path):
    path = tmp_path / "latin.dl"
    path.write_bytes(b"axis N\n# caf\xe9\n")
    with pytest.raises(DlcError) as caught:
        read_source(path)
    assert caught.value.diagnostics[0].line == 2
