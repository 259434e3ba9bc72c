"""What runs a graph: the interface between those who compile and those who call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from dlc.diagnostics.record import record
from dlc.graph import UPDATE, Graph, TensorType
from dlc.graph.graph import Role
from dlc.runtime.blocks import aligned_words

Array = np.ndarray[Any, Any]


@record
class Port:
    """An input or output of a program."""

    name: str
    role: Role
    type: TensorType


_VERSIONS = itertools.count(1)


def new_version() -> int:
    """A number that stands for arrays as they are now; no other is equal."""
    return next(_VERSIONS)


class Watch:
    """Tells whether kept arrays are as they were: where they are not, the version is another one.

    0 stands for arrays that anybody may write into at any time. `word` holds the version where
    native code reads it.
    """

    __slots__ = ("word",)

    def __init__(self) -> None:
        self.word = aligned_words(1)
        self.word[0] = new_version()

    @property
    def version(self) -> int:
        """Of the arrays as they are now."""
        return int(self.word[0])

    def changed(self) -> None:
        """After arrays were written."""
        if self.version:
            self.word[0] = new_version()

    def open(self) -> None:
        """Before somebody gets an array to write into."""
        self.word[0] = 0


class Executable(Protocol):
    """A program that runs. `run` may be called from several threads at once."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Every input, whoever gives it, in the order of the signature."""

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Every output but the updates of bound arrays, in order; role `data`."""

    def bind(self, arrays: Mapping[str, Array], watch: Watch | None = None) -> None:
        """Gives params, states and slots: C-contiguous arrays in logical order, kept, not copied.

        The program reads them at each run and writes its `update:PATH` outputs into them. With a
        `watch` it need not compute again what depends on them alone while its version is the same.
        """

    def run(
        self,
        feeds: Mapping[str, Array],
        sizes: Mapping[str, int] | None = None,
        out: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """One run on data, hypers and clocks by name; `sizes` for what no input has.

        Arrays have the ports' dtypes and axes. Results are fresh arrays, or those in `out`.
        Raises DlcError where a check of the program fails.
        """


Factory = Callable[[Graph], Executable]
"""Makes a program of a graph; who calls it chooses interpretation and threads."""


def ports(graph: Graph) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The inputs and the outputs of a graph; updates are no outputs."""
    inputs = tuple(Port(n.attrs["name"], n.attrs["role"], n.type) for n in graph.inputs)
    outputs = tuple(
        Port(name, "data", node.type)
        for name, node in graph.outputs.items()
        if not name.startswith(UPDATE)
    )
    return inputs, outputs
