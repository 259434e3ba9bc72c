"""Who is compared: one module a peer, imported in that peer's own Python."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
OURS = "dlc"
MODULES = {
    OURS: "peers.ours",
    "torch": "peers.pytorch",
    "torch.compile": "peers.inductor",
    "jax": "peers.xla",
    "onnxruntime": "peers.ort",
    "openvino": "peers.vino",
}
FROM_ONNX = ("onnxruntime", "openvino")
"""Peers that are given the files `MODEL.ROWS.onnx`, which `peers.export` writes."""


class Peer(Protocol):
    """One model in one framework, its batch and labels in memory; `make` of a module gives it."""

    version: str
    trains: bool
    """Whether it has `reset`, `step` and `loss`."""
    batch: int

    def reset(self) -> None:
        """Back to the initial weights and a fresh optimizer."""

    def step(self) -> None:
        """One whole training step on the batch; ends when it is done."""

    def loss(self) -> float:
        """The loss that the last step found."""

    def infer(self, rows: int) -> Any:
        """A function without arguments: inference of the batch's first rows by initial weights."""


def load(peer: str, model: str, folder: Path, threads: int) -> Peer:
    """The peer with the problem in `folder`. Raises ImportError where it is not installed."""
    module = importlib.import_module(MODULES[peer])
    if peer in FROM_ONNX and not any(folder.glob(f"{model}.*.onnx")):
        raise ImportError("there are no ONNX files")
    data = dict(np.load(folder / f"{model}.data.npz"))
    weights = dict(np.load(folder / f"{model}.weights.npz"))
    made: Peer = module.make(model, data, weights, threads, folder)
    return made
