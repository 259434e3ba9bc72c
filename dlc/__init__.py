"""A deep-learning compiler: one text file in, native training and inference out.

net = dlc.load("lenet.dlm")              # or dlc.compile("lenet.dl")
logits = net(image=x)                    # NumPy in, NumPy out
run = dlc.train("lenet.dl", data={"image": x, "label": y}, epochs=3)
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlc.api import Trainer, compile, train
    from dlc.diagnostics import DlcError
    from dlc.graph import Graph
    from dlc.runtime.executable import Executable
    from dlc.runtime.module import Module
    from dlc.runtime.pool import set_threads
    from dlc.semantics import check_file as check
    from dlc.train.options import Callback, Run

__version__ = "0.1.0"
__all__ = [
    "Callback",
    "DlcError",
    "Module",
    "Run",
    "Trainer",
    "__version__",
    "check",
    "compile",
    "load",
    "set_threads",
    "train",
]

_LAZY = {
    "Callback": ("dlc.train.options", "Callback"),
    "Run": ("dlc.train.options", "Run"),
    "DlcError": ("dlc.diagnostics", "DlcError"),
    "Trainer": ("dlc.api", "Trainer"),
    "train": ("dlc.api", "train"),
    "Module": ("dlc.runtime.module", "Module"),
    "check": ("dlc.semantics", "check_file"),
    "compile": ("dlc.api", "compile"),
    "set_threads": ("dlc.runtime.pool", "set_threads"),
}


def load(
    artifact: str | os.PathLike[str] | bytes,
    *,
    native: bool = True,
    interpret: bool = False,
    threads: int | None = None,
) -> Module:
    """The compiled program of an artifact: a `.dlm` file, a run's folder, or the file's bytes.

    With `native=False`, or on a CPU that the artifact has no code for, it is built anew from its
    graph. Raises DlcError (E0901 to E0906) for a file that is damaged, foreign or newer.
    """
    from functools import partial

    from dlc.runtime.artifact import decode
    from dlc.runtime.container import read_bytes
    from dlc.runtime.module import Module
    from dlc.runtime.weights import artifact_path

    def build(graph: Graph) -> Executable:
        from dlc.runtime.build import build_executable

        return build_executable(graph, interpret=interpret, threads=threads)

    if isinstance(artifact, bytes):
        contents = decode(artifact, "the artifact")
    else:
        path = artifact_path(artifact)
        contents = decode(read_bytes(path), os.fspath(path))
    reopen = partial(load, native=native, interpret=interpret, threads=threads)
    module = partial(Module, contents, build, reopen=reopen, writer=__version__)
    if interpret or not (native and contents.native):
        return module()
    from dlc.runtime.stored import stored_program

    return module(stored=partial(stored_program, contents.native, threads=threads))


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'dlc' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps `dlc.train` the function: importing the subpackage of that name would replace it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _LAZY and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
