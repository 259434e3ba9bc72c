"""The parameters and states of a program by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dlc.diagnostics import DlcError
from dlc.diagnostics.embedding import ValueUnknown
from dlc.graph import TensorType
from dlc.ops import NUMPY_DTYPES
from dlc.reference.feeds import bind_feeds, written
from dlc.runtime.arrays import read_array
from dlc.runtime.artifact import Contents
from dlc.runtime.executable import Array, Port, Watch, ports

WEIGHT_ROLES = ("param", "state")


class ParamUnknown(DlcError, KeyError):
    """E0798 for a path that no parameter has; a KeyError too, as every mapping raises it."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows it quoted


class Params(Mapping[str, Array]):
    """The parameters and states of a module by path, in logical order.

    `params[path]` is the array that the models read: what is written into it counts from the next
    call on. `params[path] = array` writes all of it, converting by NumPy's same-kind rule.
    """

    def __init__(self, types: Mapping[str, Port], arrays: Mapping[str, Array]) -> None:
        self._types = dict(types)
        self.arrays = dict(arrays)
        """What the programs read: C-contiguous, written in place."""
        self.watch = Watch()
        """For programs that keep the arrays."""

    @property
    def types(self) -> dict[str, TensorType]:
        """The type of each."""
        return {path: port.type for path, port in self._types.items()}

    def __getitem__(self, path: str) -> Array:
        self._port(path)
        self.watch.open()
        return self.arrays[path].view()

    def __setitem__(self, path: str, value: object) -> None:
        port = self._port(path)
        bound = bind_feeds({path: port.type}, (), (), {path: read_array(port, value)}, {})
        self.arrays[path][...] = bound.arrays[path]
        self.watch.changed()

    def _port(self, path: str) -> Port:
        if path not in self._types:
            raise ParamUnknown([ValueUnknown("parameter", path, tuple(self._types))])
        return self._types[path]

    def update(self, values: Mapping[str, object]) -> None:
        """Writes several."""
        for path, value in values.items():
            self[path] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __repr__(self) -> str:
        rows = [f"  {path}: {port.role} {written(port.type)}" for path, port in self._types.items()]
        return "\n".join(["Params(", *rows, ")"])


def params_of(contents: Contents) -> Params:
    """Fresh arrays for what the graphs of the artifact own, holding its weights."""
    found = {
        port.name: port
        for graph in contents.graphs.values()
        for port in ports(graph)[0]
        if port.role in WEIGHT_ROLES
    }
    arrays = {}
    for path, port in found.items():
        array = np.zeros([n.value({}) for n in port.type.sizes], NUMPY_DTYPES[port.type.dtype])
        arrays[path] = array
    params = Params(found, arrays)
    params.update({path: contents.weights[path] for path in found})
    return params
