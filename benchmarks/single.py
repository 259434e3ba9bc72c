"""Single operations in one framework, in a process of its own.

PYTHON single.py dlc|torch THREADS FOLDER
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from replies import serve, timed

MODULES = {"dlc": "peers.our_operations", "torch": "peers.torch_operations"}


class Operations:
    """The operation that was asked for last."""

    def __init__(self, module: Any, threads: int, file: Path) -> None:
        self._module, self._threads, self._file = module, threads, file
        self._call: Callable[[], Any] = lambda: None

    def answer(self, task: dict[str, Any]) -> dict[str, Any]:
        match task["do"]:
            case "prepare":
                self._call = self._module.make(task, self._threads)
                np.save(self._file, np.asarray(self._call()))
                return {"file": str(self._file)}
            case "time":
                return timed(self._call, task["seconds"])
        raise ValueError(task)


def main() -> None:
    name, threads, folder = sys.argv[1:]

    def begin() -> tuple[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]]]:
        module = importlib.import_module(MODULES[name])
        operations = Operations(module, int(threads), Path(folder) / f"{name}.npy")
        return {"version": module.VERSION}, operations.answer

    serve(int(threads), begin)


if __name__ == "__main__":
    main()
