"""The object that users call: a program's models over one set of parameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlc.diagnostics import fail
from dlc.diagnostics.embedding import (
    ArgumentUnknown,
    ModelUnclear,
    ValueUnknown,
)
from dlc.diagnostics.record import record
from dlc.graph import Graph, TensorType
from dlc.reference.feeds import bind_feeds, written
from dlc.reference.interpreter import all_symbols
from dlc.runtime import artifact
from dlc.runtime.arrays import check_out, read_array
from dlc.runtime.artifact import Contents
from dlc.runtime.executable import Array, Executable, Factory, Port, ports
from dlc.runtime.locks import Lock
from dlc.runtime.params import Params, params_of
from dlc.runtime.probe import COTANGENT, gradient_graph, value_graph
from dlc.runtime.quick import Quick, quick_of
from dlc.runtime.rows import in_parts

_WHOLE = ("", "")
"""The key of the program of a whole call."""
ASKED = ("data", "hyper", "clock")
"""The roles of what a call gives, or leaves at its default."""


Stored = Callable[[str], Executable | None]
"""Opens the native program of a model by its name; None where there is none for this machine."""


def _nothing_stored(_model: str) -> Executable | None:
    return None


class Outputs(tuple[Array, ...]):
    """The results of a model that returns several: a tuple whose items have names too."""

    names: tuple[str, ...]

    def __new__(cls, values: Mapping[str, Array]) -> Outputs:
        """The results in the order of the signature."""
        self = super().__new__(cls, tuple(values.values()))
        self.names = tuple(values)
        return self

    def named(self) -> dict[str, Array]:
        """The results by name."""
        return dict(zip(self.names, self, strict=True))

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{n}={a!r}' for n, a in self.named().items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Outputs, (self.named(),))


@record
class _Entry:
    """A program, and what its call takes."""

    program: Executable
    asked: Mapping[str, Port]
    defaults: Mapping[str, Array]
    """Of hypers and clocks."""
    symbols: tuple[str, ...]


class Model:
    """One entry point of a program. Calls from several threads at once are independent."""

    def __init__(
        self,
        name: str,
        graph: Graph,
        params: Params,
        hypers: Mapping[str, Any],
        build: Factory,
        stored: Stored,
    ) -> None:
        self.name = name
        self._graph = graph
        self._params = params
        self._hypers = dict(hypers)
        self._build = build
        self._stored = stored
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._lock = Lock()
        inputs, self._outputs = ports(graph)
        self._inputs = tuple(p for p in inputs if p.role == "data")
        self._order = dict.fromkeys(port.name for port in self._inputs)
        self._quick: Quick | None = None
        self._asked = False
        """Whether it is known if there is a quick way."""

    @property
    def signature(self) -> str:
        """The model's line in the language: `LeNet(image: u8[N, C=1, Y=28]) -> f32[N, K=10]`."""
        inside = ", ".join(f"{p.name}: {written(p.type)}" for p in self._inputs)
        return f"{self.name}({inside}) -> {_results(self._outputs)}"

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The inputs of a call, in order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The results, in order."""
        return self._outputs

    @property
    def graph(self) -> Graph:
        """The inference graph, as elaborated."""
        return self._graph

    def __call__(self, *arguments: object, out: object = None, **named: object) -> Any:
        """The model's result for arrays by position or name; a tuple with names of several.

        Besides its inputs it takes `seed` where it draws, its hypers, and by name the run-time
        sizes that no input has. `out` is an array for the result, or a sequence or mapping of
        them. Raises DlcError (E0710 to E0718, E0791 to E0796) where an array does not fit.
        """
        if named and not arguments and named.keys() == self._order.keys():
            arguments, named = tuple([named[name] for name in self._order]), {}
        if out is not None or named:
            return _unwrapped(self._run(_WHOLE, lambda: self._graph, arguments, named, out))
        return self.by_position(arguments)

    def by_position(self, arguments: tuple[object, ...]) -> Any:
        """A call with all inputs by position, and fresh results."""
        quick = self._quick
        found = None if quick is None else quick.call(*arguments)
        if quick is None or found is None:
            results = self._run(_WHOLE, lambda: self._graph, arguments, {}, None)
            self._learn(arguments)
            return _unwrapped(results)
        if len(found) == 1:
            return found[0]
        return Outputs(dict(zip(quick.results, found, strict=True)))

    def value(self, path: str, *arguments: object, **named: object) -> Array:
        """An intermediate value: the result of an instance (`LeNet.conv_1`), or an input.

        The call is the same otherwise. Raises DlcError (E0798) for a name that there is not.
        """
        make = lambda: value_graph(self._graph, path)  # noqa: E731
        return self._run(("value", path), make, arguments, named, None)[path]

    def gradient(
        self,
        wrt: str,
        *arguments: object,
        of: str | None = None,
        cotangent: object = None,
        **named: object,
    ) -> Array:
        """The gradient of sum(`of` * `cotangent`) with respect to the value called `wrt`.

        `of` is by default the model's first output, `cotangent` all ones: an array of the shape
        of `of`. The result has the type of `wrt`. Raises DlcError (E0798, E0799).
        """
        target = of or self._outputs[0].name
        make = lambda: gradient_graph(self._graph, wrt, target)  # noqa: E731
        if cotangent is None:
            cotangent = np.ones_like(self.value(target, *arguments, **named))
        named = {**named, COTANGENT: cotangent}
        return self._run((f"gradient of {target}", wrt), make, arguments, named, None)[wrt]

    def prepare(self) -> Executable:
        """The program of a call, built if it is not yet."""
        return self._prepared(_WHOLE, lambda: self._graph).program

    def _run(
        self,
        key: tuple[str, str],
        make: Callable[[], Graph],
        arguments: Sequence[object],
        named: Mapping[str, object],
        out: object,
    ) -> dict[str, Array]:
        entry = self._prepared(key, make)
        feeds, sizes = self._feeds(entry, arguments, named)
        outs = None if out is None else self._outs(out, self._sizes(entry, feeds, sizes))
        return entry.program.run(feeds, sizes, outs)

    def _learn(self, arguments: Sequence[object]) -> None:
        """Lets the next call on arrays like these take the quick way."""
        if self._quick is None and not self._asked:
            entry = self._entries[_WHOLE]
            self._quick = quick_of(entry.program, tuple(self._order), entry.defaults)
            self._asked = True
        if self._quick is not None and len(arguments) == len(self._order):
            self._quick.learn(arguments)

    def _prepared(self, key: tuple[str, str], make: Callable[[], Graph]) -> _Entry:
        with self._lock:
            if key not in self._entries:
                stored = self._stored(self.name) if key == _WHOLE else None
                graph = make()
                program = in_parts(stored or self._build(graph), graph)
                program.bind(self._params.arrays, self._params.watch)
                self._entries[key] = self._entry(program)
            return self._entries[key]

    def _entry(self, program: Executable) -> _Entry:
        asked = {port.name: port for port in program.inputs if port.role in ASKED}
        defaults = {
            name: read_array(port, self._hypers.get(name, 0))
            for name, port in asked.items()
            if port.role != "data"
        }
        return _Entry(program, asked, defaults, all_symbols(self._graph))

    def _feeds(
        self, entry: _Entry, arguments: Sequence[object], named: Mapping[str, object]
    ) -> tuple[dict[str, Array], dict[str, int]]:
        """The arrays to run on, and the sizes given by name; the program compares their sizes."""
        given = self._by_name(arguments, named)
        feeds = dict(entry.defaults)
        sizes: dict[str, int] = {}
        for name, value in given.items():
            if name in entry.asked:
                feeds[name] = read_array(entry.asked[name], value)
            elif name in entry.symbols:
                sizes[name] = _whole(name, value)
            else:
                seen = {s for port in entry.asked.values() for s in port.type.elements.symbols}
                free = (symbol for symbol in entry.symbols if symbol not in seen)
                raise fail(ArgumentUnknown(self.name, name, (*entry.asked, *free)))
        return feeds, sizes

    @staticmethod
    def _sizes(entry: _Entry, feeds: Mapping[str, Array], sizes: dict[str, int]) -> dict[str, int]:
        types = {name: port.type for name, port in entry.asked.items()}
        return bind_feeds(types, entry.symbols, (), feeds, sizes).sizes

    def _by_name(
        self, arguments: Sequence[object], named: Mapping[str, object]
    ) -> Mapping[str, object]:
        if not arguments:
            return named
        names = tuple(self._order)
        if len(arguments) > len(names):
            extra = f"number {len(arguments)}"
            raise fail(ArgumentUnknown(self.name, extra, names))
        positional = dict(zip(names, arguments, strict=False))
        for name in positional.keys() & named.keys():
            raise fail(ArgumentUnknown(self.name, f"{name} twice", names))
        return {**positional, **named}

    def _outs(self, out: object, sizes: Mapping[str, int]) -> dict[str, Array]:
        names = [port.name for port in self._outputs]
        if isinstance(out, Mapping):
            given = dict(out)
        elif isinstance(out, tuple | list):
            given = dict(zip(names, out, strict=False))
        else:
            given = {names[0]: out}
        types = {port.name: port for port in self._outputs}
        for name in given.keys() - types.keys():
            raise fail(ValueUnknown("output", str(name), tuple(names)))
        return {name: check_out(types[name], array, sizes) for name, array in given.items()}

    def __repr__(self) -> str:
        return f"<dlc model {self.signature}>"


class Module:
    """A compiled program: its models, called by name, and their parameters.

    With one model the module itself is called: `net(image=x)`; with several, `net.G(z)`.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Model: ...

    def __init__(
        self,
        contents: Contents,
        build: Factory,
        *,
        reopen: Callable[[bytes], Module],
        writer: str,
        stored: Stored = _nothing_stored,
    ) -> None:
        self._contents = contents
        self._reopen = reopen
        self._writer = writer
        self._params = params_of(contents)
        self.models = {
            name: Model(name, graph, self._params, contents.hypers, build, stored)
            for name, graph in contents.graphs.items()
        }
        """The models by name."""
        self._one = next(iter(self.models.values())) if len(self.models) == 1 else None
        taken = set(dir(type(self))) | set(self.__dict__)
        self.__dict__.update({n: m for n, m in self.models.items() if n not in taken})

    @property
    def params(self) -> Params:
        """Parameters and states by path: arrays to read and to write; see `Params`."""
        return self._params

    @property
    def signature(self) -> str:
        """A line for each model."""
        return "\n".join(model.signature for model in self.models.values())

    @property
    def contents(self) -> Contents:
        """What an artifact of the module holds, with its present parameters."""
        old = self._contents
        weights = {path: array.copy() for path, array in self._params.arrays.items()}
        return Contents(
            old.name, old.graphs, weights, old.sources, old.hypers, old.facts, old.native
        )

    def __call__(self, *arguments: object, out: object = None, **named: object) -> Any:
        """Calls the one model; see `Model.__call__`."""
        model = self._one or self.only()
        if out is None and not named:
            return model.by_position(arguments)
        return model(*arguments, out=out, **named)

    def value(self, path: str, *arguments: object, **named: object) -> Array:
        """An intermediate value of the model that the path begins with; see `Model.value`."""
        return self._of(path).value(path, *arguments, **named)

    def gradient(
        self,
        wrt: str,
        *arguments: object,
        of: str | None = None,
        cotangent: object = None,
        **named: object,
    ) -> Array:
        """A gradient in the model that the path begins with; see `Model.gradient`."""
        model = self._of(wrt)
        return model.gradient(wrt, *arguments, of=of, cotangent=cotangent, **named)

    def only(self, name: str | None = None) -> Model:
        """The model called `name`, or the only one. Raises DlcError (E0789, E0798)."""
        if name is None:
            if len(self.models) != 1:
                raise fail(ModelUnclear(self._contents.name, tuple(self.models)))
            return next(iter(self.models.values()))
        if name not in self.models:
            raise fail(ValueUnknown("model", name, tuple(self.models)))
        return self.models[name]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the artifact (`.dlm`), whole or not at all. Raises DlcError (E0905)."""
        artifact.save(self.contents, path, writer=self._writer)

    def to_bytes(self) -> bytes:
        """The bytes of the artifact."""
        return artifact.encode(self.contents, writer=self._writer)

    def __reduce__(self) -> tuple[Any, ...]:
        return (self._reopen, (self.to_bytes(),))

    def _of(self, path: str) -> Model:
        return self.models.get(path.split(".")[0]) or self.only()

    def __repr__(self) -> str:
        count = sum(self._params.arrays[p].size for p in self._params)
        lines = [f"  {model.signature}" for model in self.models.values()]
        head = f"<dlc module {self._contents.name}: {count:,} parameters"
        return "\n".join([head, *lines]) + ">"


def _results(outputs: Sequence[Port]) -> str:
    if len(outputs) == 1 and outputs[0].name == "out":
        return written(outputs[0].type)
    return f"({', '.join(f'{p.name}: {written(p.type)}' for p in outputs)})"


def _unwrapped(results: Mapping[str, Array]) -> Array | Outputs:
    return Outputs(results) if len(results) != 1 else next(iter(results.values()))


def _whole(name: str, value: object) -> int:
    return int(read_array(Port(name, "data", TensorType("i64")), value))
