"""What is shipped: every package and its data, and a wheel that works outside the checkout."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_listed():
    folders = {path.parent for path in (ROOT / "dlc").rglob("*.py")}
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    if (ROOT / "dlc" / "std").is_dir():
        found.add("dlc.std")
    assert sorted(found | {"dlc_grammar"}) == PROJECT["tool"]["setuptools"]["packages"]


def test_metadata():
    project = PROJECT["project"]
    for field in ("description", "license", "readme", "requires-python", "classifiers"):
        assert project[field]
    for name in (*project["license-files"], project["readme"], "CHANGELOG.md", "dlc/py.typed"):
        assert (ROOT / name).is_file()
    assert "TERMS AND CONDITIONS" in (ROOT / "LICENSE").read_text()


@pytest.mark.slow
def test_wheel_works_outside_the_checkout(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("dlc-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    env = {**os.environ, "PYTHONPATH": str(site), "DLC_CACHE_DIR": str(tmp_path / "cache")}

    def dlc(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "dlc", *arguments],
            cwd=tmp_path, env=env, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(site) in dlc("doctor")
    dlc("new", "digits", "digits")
    assert "0 errors" in dlc("check", "digits/digits.dl")
    dlc("train", "digits/digits.dl", "--epochs", "1", "-o", "run")
    dlc("compile", "digits/digits.dl", "--weights", "run", "-o", "digits.dlm")
    dlc("eval", "digits.dlm", "--data", "digits")
    assert dlc("predict", "digits.dlm", "digits/digits.npz", "--input", "image=test_image")
