"""Writes the generated pages: errors.md from the catalogue of diagnostics, std.md from dlc/std.

python docs/generate.py
"""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import dlc
from dlc.cli.explain import whole_catalog
from dlc.diagnostics import Diagnostic, Source
from dlc.syntax import parse, tree

HERE = Path(__file__).parent
STANDARD = Path(dlc.__file__).parent / "std"
PARTS = {
    "E00": "Syntax", "E01": "Names", "E02": "Axes and sizes", "E03": "Element types and values",
    "E04": "Calls, layers, parameters", "E05": "Training recipes and gradients", "E06": "Limits",
    "E07": "Data", "E08": "Training", "E09": "Artifacts, environment, devices", "W00": "Warnings",
}  # fmt: skip
EXITS = {
    1: "the program has errors", 2: "wrong usage of the command", 3: "data", 4: "training failed",
    5: "device or environment",
}  # fmt: skip
PREFIX = "<!-- written by docs/generate.py; edit the sources it names instead -->"
Declaration = tree.Def | tree.Layer | tree.Optimizer


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {"errors.md": errors(), "std.md": standard()}


def errors() -> str:
    """The reference of all codes, from the cases in dlc/diagnostics."""
    parts: dict[str, list[str]] = {}
    for code, case in whole_catalog().items():
        parts.setdefault(code[:3], []).append(_error(code, case))
    lines = [
        PREFIX,
        "# Error codes",
        "Every mistake that dlc reports has a code that keeps its meaning. `dlc explain CODE`"
        " prints the same text. After a mistake the command ends with the exit code shown here;"
        " warnings change nothing.",
    ]
    for prefix, entries in parts.items():
        lines += [f"## {PARTS[prefix]} ({prefix}xx)", *entries]
    return "\n\n".join(lines) + "\n"


def _error(code: str, case: type[Diagnostic]) -> str:
    title, _, rest = (inspect.getdoc(case) or "").partition("\n\n")
    parts = [f"### {code}: {' '.join(title.split()).removesuffix('.')}"]
    parts += [_blocks(rest)] if rest else []
    if case.example:
        parts.append(f"```text\n{case.example.strip(chr(10))}\n```")
    if case.severity == "error" and case.exit_code != 1:
        parts.append(f"Exit code {case.exit_code}: {EXITS[case.exit_code]}.")
    return "\n\n".join(parts)


def _blocks(text: str) -> str:
    """The paragraphs of a docstring; examples that it indents become code."""
    parts = []
    for part in re.split(r"\n\s*\n", text):
        indented = all(line.startswith("    ") for line in part.splitlines())
        parts.append(f"```text\n{textwrap.dedent(part)}\n```" if indented else part)
    return "\n\n".join(parts)


def standard() -> str:
    """The reference of the standard library, from its own texts."""
    index = ["| file | names |", "|---|---|"]
    body = []
    for path in sorted(STANDARD.glob("*.dl")):
        file = parse(Source(f"std/{path.name}", path.read_text("utf-8")))
        items = [i for i in file.items if isinstance(i, Declaration) and not _private(i)]
        names = [i.name.text for i in items]
        links = ", ".join(f"[{name}](#{name.lower()})" for name in names)
        index.append(f"| [{path.name}](#{path.stem}dl) | {links} |")
        body += [f"## {path.name}", *_paragraphs(file.doc)]
        for item in items:
            body += [f"### {item.name.text}", f"```text\n{_header(item.span.text)}\n```"]
            body += _paragraphs(item.body.doc)
    lines = [
        PREFIX,
        "# Standard library",
        "All of this is ordinary dl code in `dlc/std`; its names are known in every file without an"
        " import, and a file may declare the same name anew. The built-in functions, which are not"
        " written in the language, stand in [language.md](language.md#built-in-functions).",
        "\n".join(index),
    ]
    return "\n\n".join([*lines, *body]) + "\n"


def _private(item: Declaration) -> bool:
    return item.name.text.startswith("_")


def _paragraphs(doc: tree.String | None) -> list[str]:
    text = inspect.cleandoc(doc.value) if doc is not None else ""
    return [part for part in text.split("\n\n") if part]


def _header(text: str) -> str:
    """The lines up to the colon that opens the body, without it."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if sign == ":" and depth == 0:
            return text[:place]
    raise AssertionError(f"no body: {text}")


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (HERE / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
