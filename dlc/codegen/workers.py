"""Compilation in parallel: processes that import the compiler afresh, fed through pipes.

They are plain subprocesses and never run the main program again, as `multiprocessing` might.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from dlc.codegen.machine import Machine

_MODULE = "dlc.codegen.worker"


@dataclass(slots=True)
class Workers:
    """`count` more processes that compile for one machine."""

    machine: Machine
    count: int
    checked: bool = field(kw_only=True)

    def run(self, texts: Mapping[str, str], here: Callable[[str], bytes]) -> dict[str, bytes]:
        """The objects of all texts by name. Each process takes the next one as it gets free.

        `here` compiles one in this process, which does its share and whatever a process that
        died or failed left: so an error is raised by `here`.
        """
        todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in texts:
            todo.put(name)
        done: dict[str, bytes] = {}
        threads = [
            threading.Thread(target=self._feed, args=(todo, texts, done), daemon=True)
            for _ in range(self.count)
        ]
        for thread in threads:
            thread.start()
        try:
            _drain(todo, done, here)
        finally:
            _empty(todo)
            for thread in threads:
                thread.join()
        for name in texts:
            if name not in done:
                done[name] = here(name)
        return done

    def _feed(
        self, todo: queue.SimpleQueue[str], texts: Mapping[str, str], done: dict[str, bytes]
    ) -> None:
        try:
            process = self._start()
        except OSError:
            return
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                while (name := _next(todo)) is not None:
                    text = texts[name].encode()
                    process.stdin.write(len(text).to_bytes(8, "little") + text)
                    process.stdin.flush()
                    status = process.stdout.read(1)
                    size = int.from_bytes(process.stdout.read(8), "little")
                    code = process.stdout.read(size)
                    if status == b"\0" and len(code) == size:
                        done[name] = code
                    elif not status:
                        return
            except OSError:
                return
            finally:
                process.kill()  # it has no task, and may still be starting

    def _start(self) -> subprocess.Popen[bytes]:
        settings = _settings(self.machine, checked=self.checked)
        with contextlib.suppress(IndexError):
            known, process = _EARLY.pop()
            if known == settings:
                return process
            _end(process)
        return _process(settings)


@contextlib.contextmanager
def early_workers(machine: Machine, count: int) -> Iterator[None]:
    """Starts processes for work that will be there soon: they import the compiler meanwhile."""
    settings = _settings(machine, checked=False)
    mine: list[_Early] = []
    with contextlib.suppress(OSError):
        for _ in range(count if sys.executable else 0):  # an embedded Python may have none
            mine.append((settings, _process(settings)))
    _EARLY.extend(mine)
    try:
        yield
    finally:
        for early in mine:
            with contextlib.suppress(ValueError):  # it was taken
                _EARLY.remove(early)
                _end(early[1])


_Early = tuple[str, subprocess.Popen[bytes]]
_EARLY: list[_Early] = []
"""Processes that have no work yet, with their settings: of all threads that compile."""


def _settings(machine: Machine, *, checked: bool) -> str:
    return json.dumps({"machine": asdict(machine), "checked": checked})


def _process(settings: str) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(p or os.getcwd() for p in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE, settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:
        process.kill()


def _drain(
    todo: queue.SimpleQueue[str], done: dict[str, bytes], here: Callable[[str], bytes]
) -> None:
    while (name := _next(todo)) is not None:
        done[name] = here(name)


def _next(todo: queue.SimpleQueue[str]) -> str | None:
    try:
        return todo.get_nowait()
    except queue.Empty:
        return None


def _empty(todo: queue.SimpleQueue[str]) -> None:
    while _next(todo) is not None:
        pass
