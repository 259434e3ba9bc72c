"""PyTorch, eager, with its fused Adam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


class Block(nn.Module):
    """Two convolutions around which x goes by."""

    def __init__(self, ci: int, co: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ci, co, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(co)
        self.conv2 = nn.Conv2d(co, co, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(co)
        self.around = nn.Identity()
        if stride != 1 or ci != co:
            conv = nn.Conv2d(ci, co, 1, stride, bias=False)
            self.around = nn.Sequential(conv, nn.BatchNorm2d(co))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = relu(self.norm1(self.conv1(x)))
        return relu(self.norm2(self.conv2(h)) + self.around(x))


def resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16), Block(16, 32, 2), Block(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


NETS: dict[str, Callable[[], nn.Module]] = {"mlp": mlp, "lenet": lenet, "resnet": resnet}


def net_of(model: str, weights: dict[str, Any]) -> nn.Module:
    """The model with these weights: its parameters in their order, output axes first."""
    net = NETS[model]()
    with torch.no_grad():
        for array, param in zip(weights.values(), net.parameters(), strict=True):
            param.copy_(torch.from_numpy(np.moveaxis(array, -1, 0).reshape(param.shape).copy()))
    return net


class Torch:
    version, trains = torch.__version__, True

    def __init__(
        self, model: str, data: dict[str, Any], weights: dict[str, Any], threads: int, _: Path
    ):
        torch.set_num_threads(threads)
        *inputs, label = (torch.from_numpy(array) for array in data.values())
        self.batch = len(label)
        self._inputs, self._label = inputs, label.long()
        self._net = net_of(model, weights)
        self._start = {name: value.clone() for name, value in self._net.state_dict().items()}
        self._fixed: nn.Module | None = None
        self._model, self._weights = model, weights
        self._loss = torch.zeros(())
        self._forward = self.compiled(self.find_loss)
        self.reset()

    def compiled(self, function: Any) -> Any:
        """The function or module as it is run."""
        return function

    def find_loss(self) -> torch.Tensor:
        scores = self._net(*self._inputs)
        return cross_entropy(scores.reshape(-1, scores.shape[-1]), self._label.reshape(-1))

    def reset(self) -> None:
        self._net.load_state_dict(self._start)
        self._adam = torch.optim.Adam(self._net.parameters(), 1e-3, fused=True)

    def step(self) -> None:
        self._adam.zero_grad(set_to_none=True)
        self._loss = self._forward()
        self._loss.backward()
        self._adam.step()

    def loss(self) -> float:
        return self._loss.item()

    def infer(self, rows: int) -> Any:
        if self._fixed is None:
            self._fixed = self.compiled(net_of(self._model, self._weights).eval())
        net, given = self._fixed, [tensor[:rows] for tensor in self._inputs]

        def call() -> Any:
            with torch.inference_mode():
                return net(*given)

        return call


make = Torch
