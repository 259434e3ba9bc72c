"""What every command keeps to: help, exit codes, streams, signals, internal errors."""

import json
import os
import signal
import subprocess
import sys

import pytest

import dlc
from dlc.cli import explain, main

DLC = [sys.executable, "-m", "dlc"]


def run(capsys, *arguments):
    """Exit code, stdout and stderr of one command line."""
    code = main.run(arguments)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def objects(text):
    found = [json.loads(line) for line in text.splitlines()]
    assert all(one["version"] == 1 and one["kind"] for one in found)
    return found


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"dlc {dlc.__version__}\n", "")
    (found,) = objects(run(capsys, "--json", "--version")[1])
    assert found["dlc"] == dlc.__version__


@pytest.mark.parametrize("name", [*main.COMMANDS])
def test_help(capsys, name):
    code, out, err = run(capsys, name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: dlc")
    for option in ("--json", "--quiet", "--verbose"):
        assert option in out


def test_the_list_of_commands(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in main.COMMANDS:
        assert f"  {name}" in out


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["--nothing"], ["explain", "E9999"], ["new", "nothing"], ["check"]]
)
def test_usage_errors(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Usage:" in err
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 2


def test_every_code_is_explained(capsys):
    catalog = explain.whole_catalog()
    listed = run(capsys, "explain")[1]
    assert [line.split()[0] for line in listed.splitlines()] == list(catalog)
    for code, case in catalog.items():
        assert len(explain.title(case).split()) > 3, code
        assert case.__doc__.strip() != explain.title(case), f"{code} has a title and no story"
    found = objects(run(capsys, "explain", "--json")[1])
    assert [one["code"] for one in found] == list(catalog)


def test_explain(capsys):
    code, out, _ = run(capsys, "explain", "e0901")
    assert code == 0
    assert "E0901" in out


def test_internal_error(capsys, monkeypatch, tmp_path):
    def broken(directory):
        raise KeyError("a bug")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("dlc.cache.info", broken)
    code, out, err = run(capsys, "cache", "info")
    assert (code, out) == (70, "")
    assert "Traceback" not in err
    assert "This is a bug in dlc" in err
    (report,) = tmp_path.iterdir()
    assert "Traceback" in report.read_text()
    assert "Traceback" in run(capsys, "cache", "info", "-v")[2]
    assert objects(run(capsys, "cache", "info", "--json")[1])[0]["kind"] == "internal"


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (main.Terminated, 143), (BrokenPipeError, 141)]
)
def test_ends_by_signal(capsys, monkeypatch, error, code):
    def stopped():
        raise error

    monkeypatch.setattr("dlc.cache.info", stopped)
    monkeypatch.setattr(main, "_close_stdout", lambda: None)
    assert run(capsys, "cache", "info")[0] == code


def test_broken_pipe():
    with subprocess.Popen(
        [*DLC, "explain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.wait() == 141
        assert process.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*DLC, "explain"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 5
    assert done.stderr.startswith("error[E0905]: cannot write the results: No space left")


def test_terminated():
    code = "import os, signal; from dlc.cli import main; import dlc.cache"
    code += "; dlc.cache.info = lambda: os.kill(os.getpid(), signal.SIGTERM) or signal.pause()"
    code += "; import sys; sys.argv = ['dlc', 'cache', 'info']; main.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "terminated\n")


def test_colour_only_on_terminals(monkeypatch, capsys, tmp_path):
    assert "\x1b" not in run(capsys, "fmt", str(tmp_path / "none.dl"))[2]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in run(capsys, "fmt", str(tmp_path / "none.dl"))[2]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(capsys, "fmt", str(tmp_path / "none.dl"))[2]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(capsys, shell):
    code, out, _ = run(capsys, "completion", shell)
    assert code == 0
    assert "_DLC_COMPLETE" in out


def test_completion_completes():
    env = {
        **os.environ,
        "_DLC_COMPLETE": "bash_complete",
        "COMP_WORDS": "dlc ex",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(DLC, env=env, capture_output=True, text=True)
    assert done.stdout == "plain,explain\n"


def test_doctor_and_cache(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    code, out, _ = run(capsys, "doctor")
    assert code == 0, out
    assert str(tmp_path / "cache") in out
    assert {o["name"] for o in objects(run(capsys, "doctor", "--json")[1])} >= {"numpy", "threads"}
    monkeypatch.setenv("DLC_DATA", str(tmp_path / "nowhere"))
    assert run(capsys, "doctor")[0] == 5
    monkeypatch.delenv("DLC_DATA")
    dlc_cache = tmp_path / "cache" / "test"
    dlc_cache.mkdir(parents=True)
    (dlc_cache / "entry").write_bytes(b"0123")
    (found,) = objects(run(capsys, "cache", "info", "--json")[1])
    assert (found["entries"], found["bytes"]) == (1, 4)
    assert run(capsys, "cache", "clear")[0] == 0
    assert objects(run(capsys, "cache", "info", "--json")[1])[0]["entries"] == 0


def test_new(capsys, tmp_path):
    folder = tmp_path / "a"
    code, out, err = run(capsys, "new", "digits", str(folder))
    assert (code, out) == (0, f"{folder}\n")
    assert "dlc train digits.dl" in err
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "digits.dl", "digits.npz"]
    code, out, err = run(capsys, "new", "digits", str(folder))
    assert (code, out) == (2, "")
    assert "E0908" in err
    assert run(capsys, "new", "digits", "/proc/none")[0] == 5


def test_fmt(capsys, tmp_path, monkeypatch):
    path = tmp_path / "a.dl"
    path.write_text("axis N,   K=10 # sizes\n")
    assert run(capsys, "fmt", "--check", str(path)) == (1, f"would change: {path}\n", "")
    code, out, _ = run(capsys, "fmt", "--diff", str(path))
    assert (code, "+axis N, K = 10  # sizes" in out) == (0, True)
    assert run(capsys, "fmt", str(path))[0] == 0
    assert path.read_text() == "axis N, K = 10  # sizes\n"
    assert run(capsys, "fmt", "--check", str(path)) == (0, "", "")
    (found,) = objects(run(capsys, "fmt", str(path), "--json")[1])
    assert found["changed"] is False
    path.write_text("axis N,,\n")
    code, _, err = run(capsys, "fmt", str(path))
    assert code == 1
    assert "error[E0" in err
