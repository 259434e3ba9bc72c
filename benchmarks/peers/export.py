"""A model as ONNX files, by PyTorch's exporter: `python -m peers.export MODEL FOLDER ROWS...`."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from peers.pytorch import net_of


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    model, place, *counts = sys.argv[1:]
    folder = Path(place)
    net = net_of(model, dict(np.load(folder / f"{model}.weights.npz"))).eval()
    *inputs, _ = np.load(folder / f"{model}.data.npz").values()
    for rows in map(int, counts):
        given = tuple(torch.from_numpy(array[:rows].copy()) for array in inputs)
        program = torch.onnx.export(net, given, dynamo=True, verbose=False)
        program.save(folder / f"{model}.{rows}.onnx")


if __name__ == "__main__":
    main()
