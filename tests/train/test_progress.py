"""What a person sees."""

from __future__ import annotations

import io
import re

import pytest
from small_programs import arrays, interpreted, program

from dlc.diagnostics import DlcError
from dlc.train import progress
from dlc.train.loop import Trainer
from dlc.train.options import Options
from dlc.train.progress import Progress, duration, shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(stream, mode=None, data=None):
    shows = Progress(stream, mode)
    trainer = Trainer(
        program(), compile_graph=interpreted, data=data or arrays(), test=arrays(5),
        options=Options(keep=False, callbacks=(shows,)),
    )  # fmt: skip
    trainer.run()
    return stream.getvalue()


def test_plain_lines():
    text = show(io.StringIO())
    assert "\r" not in text
    assert "\x1b" not in text
    assert "A  Linear" in text
    assert "  4 parameters and 3 numbers of state" in text
    assert "22 rows to train on, 8 to validate, 5 to test; 6 batches of 4" in text
    assert len(re.findall(r"^epoch \d/3  a\.loss", text, re.M)) == 3
    assert re.search(r"done after 3 epochs, \d+ s; test: a\.loss", text)


@pytest.mark.parametrize("mode", ["terminal", "notebook"])
def test_moving_line(monkeypatch, mode):
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    text = show(Terminal(), None if mode == "terminal" else mode)
    assert re.search(r"epoch 1/3  ━+╌+ 2/6", text)
    assert len(re.findall(r"epoch \d/3  a\.loss", text)) >= 3
    if mode == "terminal":
        assert text.count("\x1b[?25h") >= text.count("\x1b[?25l") > 0  # the cursor is back


def test_terminal_is_left_in_order(monkeypatch):
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    data, stream = arrays(), Terminal()
    data["y"][:] = 3e38
    with pytest.raises(DlcError):
        show(stream, data=data)
    assert stream.getvalue().count("\x1b[?25h") >= stream.getvalue().count("\x1b[?25l") > 0


def test_words():
    assert [duration(s) for s in (0, 99.4, 100, 7300)] == ["0 s", "99 s", "1 min 40 s", "2 h 1 min"]
    assert shown({"loss": 0.12345, "big": 123456.0, "n": float("nan")}) == (
        "loss 0.1235  big 1.235e+05  n nan"
    )


def test_pace_is_the_present_one(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    clock = progress.Clock()
    assert (clock.rows_a_second, clock.left(5)) == (0, 0)
    clock.start()
    for seconds, rate in ((1.0, 8), (0.25, 32), (4.0, 2)):
        for _ in range(round(80 / seconds)):
            now += seconds
            clock.batches(1, 8)
        assert clock.rows_a_second == pytest.approx(rate, rel=0.05)
        assert clock.left(100) == pytest.approx(100 * seconds, rel=0.05)
    now += 1000  # validation
    clock.start()
    now += 4
    clock.batches(1, 8)
    assert clock.rows_a_second == pytest.approx(2, rel=0.05)
