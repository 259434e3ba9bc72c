"""The shape of the code itself: who imports whom, what loads what, and the words above it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dlc

ROOT = Path(dlc.__file__).parent
ORDER = [
    ["diagnostics", "cache", "memory"], ["graph"], ["ops"], ["reference"], ["syntax"],
    ["semantics"], ["transform"], ["schedule"], ["codegen"], ["runtime"], ["train"], ["api"],
    ["cli"],
]  # fmt: skip
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
FILES = sorted(p for p in ROOT.rglob("*.py") if "templates" not in p.parts)
LATE_IMPORTS = ("cli",)
"""Packages whose functions may import; beside them only dlc/__init__.py."""


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path):
    part = part_of(path)
    if path.parent == ROOT and part in ("__init__", "__main__"):
        return
    assert part in LEVEL or part == "std", f"{part} has no place in the order"
    tree = ast.parse(path.read_text())
    for line, name in imported(tree):
        words = name.split(".")
        if words[0] != "dlc" or len(words) < 2 or words[1] == part or words[1] not in LEVEL:
            continue
        assert LEVEL[words[1]] < LEVEL[part], f"{path}:{line} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_do_not_import(path):
    part = part_of(path)
    if part in LATE_IMPORTS or path == ROOT / "__init__.py":
        return
    tree = ast.parse(path.read_text())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for node in ast.walk(function):
                assert not isinstance(node, ast.Import | ast.ImportFrom), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path} says nothing of itself"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not (
            node.name.startswith("_") or "overload" in map(ast.unparse, node.decorator_list)
        ):
            assert ast.get_docstring(node), f"{path}:{node.lineno} {node.name} has no docstring"


def loaded_by(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("code", ["import dlc", "import dlc; dlc.load"])
def test_loading_needs_neither_parser_nor_compiler(code):
    assert not loaded_by(code) & {"lark", "numba", "click", "rich"}


def test_checking_needs_no_compiler():
    assert not loaded_by("import dlc; dlc.check") & {"numba", "llvmlite"}
