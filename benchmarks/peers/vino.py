"""OpenVINO on the CPU, tuned for latency, in float32: inference alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino


class OpenVino:
    version, trains = openvino.__version__.split("-")[0], False

    def __init__(
        self, model: str, data: dict[str, Any], _weights: dict[str, Any], threads: int, folder: Path
    ):
        *self._inputs, label = data.values()
        self.batch = len(label)
        self._path, self._threads = folder / model, threads

    def infer(self, rows: int) -> Any:
        core = openvino.Core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": self._threads,
        }
        model = core.compile_model(core.read_model(f"{self._path}.{rows}.onnx"), "CPU", settings)
        request = model.create_infer_request()
        given = [np.ascontiguousarray(array[:rows]) for array in self._inputs]
        return lambda: request.infer(given, share_inputs=True)[0]


make = OpenVino
