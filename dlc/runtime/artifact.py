"""The `.dlm` file: a program with its weights, and what is needed to run or rebuild it.

Entries: `manifest.json`; `source/...`, the `.dl` files; `graph/MODEL.txt`, each model's inference
graph; `weights.safetensors`, in logical order; `native/...`, plans and objects by CPU level.
Nothing of it is ever unpickled. A hash detects damage, not malice: native objects are programs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from dlc.diagnostics import fail
from dlc.diagnostics.artifact import ArtifactDamaged, ArtifactForeign, ArtifactNewer
from dlc.diagnostics.record import record
from dlc.graph import Graph
from dlc.ops import NUMPY_DTYPES
from dlc.reference.feeds import written
from dlc.reference.text import parse_graph, print_graph
from dlc.runtime.container import pack, read_bytes, unpack, write_bytes
from dlc.runtime.executable import Array, ports

SUFFIX = ".dlm"
FORM = 1
"""The version of the form; a file with a later one is refused."""
MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"
SOURCE, GRAPH, NATIVE = "source/", "graph/", "native/"


@record
class Contents:
    """Everything an artifact holds, as values."""

    name: str
    """The file that it was made of, for people: `lenet.dl`."""
    graphs: Mapping[str, Graph]
    """The inference graph of each model, as elaborated, by the model's name."""
    weights: Mapping[str, Array]
    """Params and states by path, in logical order."""
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """The `.dl` texts by path relative to the first, which is the main one."""
    hypers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The values that the program was compiled with; all of those that were set."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else is told of it: cost, the recipe it was trained by, its seed."""
    native: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Plans and objects by file name."""


def encode(contents: Contents, *, writer: str) -> bytes:
    """The bytes of the artifact; equal contents give equal bytes. `writer` is dlc's version."""
    entries = {SOURCE + path: text.encode() for path, text in contents.sources.items()}
    for name, graph in contents.graphs.items():
        entries[f"{GRAPH}{name}.txt"] = print_graph(graph, spans=True).encode()
    weights = {name: _packed(contents.weights[name]) for name in sorted(contents.weights)}
    entries[WEIGHTS] = safetensors.numpy.save(weights)
    entries.update({NATIVE + path: data for path, data in contents.native.items()})
    manifest = {
        "format": "dlm",
        "form": FORM,
        "dlc": writer,
        "name": contents.name,
        "models": list(contents.graphs),
        "signature": {name: _signature(graph) for name, graph in contents.graphs.items()},
        "hypers": dict(contents.hypers),
        "facts": dict(contents.facts),
        "sources": list(contents.sources),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in entries.items()},
    }
    text = json.dumps(manifest, indent=1, sort_keys=True)
    return pack({MANIFEST: text.encode(), **entries})


def decode(data: bytes, path: str) -> Contents:
    """The artifact in `data`; `path` names it in messages.

    Raises DlcError: ArtifactForeign, ArtifactDamaged, ArtifactNewer.
    """
    entries = unpack(data, path)
    manifest = manifest_of(entries, path)
    try:
        contents = Contents(
            name=manifest["name"],
            graphs={n: _graph(entries[f"{GRAPH}{n}.txt"]) for n in manifest["models"]},
            weights={n: _unpacked(a) for n, a in safetensors.numpy.load(entries[WEIGHTS]).items()},
            sources={p: entries[SOURCE + p].decode() for p in manifest["sources"]},
            hypers=manifest["hypers"],
            facts=manifest["facts"],
            native={n[len(NATIVE) :]: d for n, d in entries.items() if n.startswith(NATIVE)},
        )
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise fail(ArtifactDamaged(path, f"its contents do not fit together: {error}")) from error
    _check_weights(contents, path)
    return contents


def manifest_of(entries: Mapping[str, bytes], path: str) -> dict[str, Any]:
    """The manifest among the entries, if this dlc can read its form. Raises DlcError."""
    try:
        manifest = json.loads(entries[MANIFEST])
        form, writer = manifest["form"], manifest["dlc"]
        known = manifest["format"] == "dlm" and isinstance(form, int)
    except (KeyError, TypeError, ValueError) as error:
        raise fail(ArtifactForeign(path, "it has no manifest of dlc")) from error
    if not known:
        raise fail(ArtifactForeign(path, "its manifest is of another program"))
    if form > FORM:
        raise fail(ArtifactNewer(path, form, FORM, str(writer)))
    return dict(manifest)


def save(contents: Contents, path: str | os.PathLike[str], *, writer: str) -> None:
    """Writes the artifact, whole or not at all. Raises DlcError (E0905)."""
    write_bytes(path, encode(contents, writer=writer))


def load(path: str | os.PathLike[str]) -> Contents:
    """Reads an artifact. Raises DlcError (E0901 to E0904)."""
    return decode(read_bytes(path), os.fspath(path))


def _check_weights(contents: Contents, path: str) -> None:
    """Every param and state of a graph has its weights, of its shape and element type."""
    for graph in contents.graphs.values():
        for port in ports(graph)[0]:
            if port.role not in ("param", "state"):
                continue
            array = contents.weights.get(port.name)
            shape = tuple(size.constant for size in port.type.sizes)
            dtype = NUMPY_DTYPES[port.type.dtype]
            if array is None or array.shape != shape or array.dtype != dtype:
                raise fail(ArtifactDamaged(path, f"its weights lack {port.name}: {port.type}"))


def _graph(data: bytes) -> Graph:
    return parse_graph(data.decode())


def _signature(graph: Graph) -> dict[str, list[dict[str, str]]]:
    inputs, outputs = ports(graph)
    return {
        "inputs": [{"name": p.name, "role": p.role, "type": written(p.type)} for p in inputs],
        "outputs": [{"name": p.name, "type": written(p.type)} for p in outputs],
    }


def _packed(array: Array) -> Array:
    """C-contiguous, little-endian, and not a view of a larger array; keeps axes of a scalar."""
    return np.array(array, order="C").astype(array.dtype.newbyteorder("<"), copy=False)


def _unpacked(array: Array) -> Array:
    return np.array(array, order="C")
