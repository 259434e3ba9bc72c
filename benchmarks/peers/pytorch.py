"""PyTorch, eager, with its fused Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


NETS = {"mlp": mlp, "lenet": lenet}


class Torch:
    version = torch.__version__

    def __init__(self, model: str, data: dict[str, Any], weights: dict[str, Any], threads: int):
        torch.set_num_threads(threads)
        *inputs, label = (torch.from_numpy(array) for array in data.values())
        self._inputs, self._label = inputs, label.long()
        self._net = NETS[model]()
        self._start = [
            torch.from_numpy(np.moveaxis(array, -1, 0).reshape(param.shape).copy())
            for array, param in zip(weights.values(), self._net.parameters(), strict=True)
        ]
        self._loss = torch.zeros(())
        self.reset()

    def reset(self) -> None:
        with torch.no_grad():
            for param, start in zip(self._net.parameters(), self._start, strict=True):
                param.copy_(start)
        self._adam = torch.optim.Adam(self._net.parameters(), 1e-3, fused=True)

    def step(self) -> None:
        self._adam.zero_grad(set_to_none=True)
        scores = self._net(*self._inputs)
        self._loss = cross_entropy(scores.reshape(-1, scores.shape[-1]), self._label.reshape(-1))
        self._loss.backward()
        self._adam.step()

    def loss(self) -> float:
        return self._loss.item()

    def infer(self, rows: int) -> Any:
        given = [tensor[:rows] for tensor in self._inputs]

        def call() -> Any:
            with torch.inference_mode():
                return self._net(*given)

        return call


make = Torch
