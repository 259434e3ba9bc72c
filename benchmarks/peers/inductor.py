"""PyTorch with loss and model through torch.compile."""

from __future__ import annotations

from typing import Any

import torch

from peers.pytorch import Torch


class Inductor(Torch):
    def compiled(self, function: Any) -> Any:
        return torch.compile(function)


make = Inductor
