"""ONNX Runtime on its CPU provider: inference alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime


class OnnxRuntime:
    version, trains = onnxruntime.__version__, False

    def __init__(
        self, model: str, data: dict[str, Any], _weights: dict[str, Any], threads: int, folder: Path
    ):
        *self._inputs, label = data.values()
        self.batch = len(label)
        self._path, self._threads = folder / model, threads

    def infer(self, rows: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        session = onnxruntime.InferenceSession(
            f"{self._path}.{rows}.onnx", options, providers=["CPUExecutionProvider"]
        )
        names = [port.name for port in session.get_inputs()]
        feeds = {n: a[:rows] for n, a in zip(names, self._inputs, strict=True)}
        return lambda: session.run(None, feeds)[0]


make = OnnxRuntime
