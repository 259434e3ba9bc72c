"""Compares the standard library with PyTorch in float64: values, gradients, optimizers.

    python tests/std/against_pytorch.py

Needs an environment with dlc and PyTorch; no test imports it. Prints a line for
each part; the exit code is 1 if one differs.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from std_cases import CASES, model, result, weights
from std_steps import NORM, STEP, Steps
from torch.nn import functional

from dlc.graph import FLOATS, Graph
from dlc.ops import build
from dlc.reference.interpreter import interpret
from dlc.transform.pipeline import lower
from dlc.transform.precision import widen

TOLERANCE = 1e-9


def kernel(w):
    """weight[In, taps..., Out] as PyTorch's [Out, In, taps...]."""
    return torch.movedim(w, -1, 0)


def grouped(w):
    """weight[Group, In, taps..., Out] as [Group * Out, In, taps...]."""
    return torch.movedim(w, -1, 1).flatten(0, 1)


def conv(x, p, **settings):
    return functional.conv2d(x, kernel(p["conv_0.weight"]), p["conv_0.offset"], **settings)


def depthwise(x, p):
    w = torch.movedim(p["depthwise_0.weight"], -1, 0)[:, None]
    x = functional.pad(x, (0, 0, 1, 0))
    return functional.conv2d(
        x, w, p["depthwise_0.offset"], stride=(2, 1), dilation=(1, 2), groups=4
    )


def log(x):
    return functional.log_softmax(x, -1)


PYTORCH = {
    "relu": functional.relu,
    "leaky": lambda x: functional.leaky_relu(x, 0.2),
    "elu": lambda x: functional.elu(x, 1.5),
    "gelu": functional.gelu,
    "silu": functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": functional.softplus,
    "softmax": lambda x: functional.softmax(x, -1),
    "log_softmax": log,
    "logsumexp": lambda x: torch.logsumexp(x, -1),
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": lambda x, y: functional.huber_loss(x, y, reduction="none", delta=0.7),
    "bce": lambda p, y: functional.binary_cross_entropy(p, y, reduction="none"),
    "bce_logits": lambda x, y: functional.binary_cross_entropy_with_logits(x, y, reduction="none"),
    "cross_entropy": lambda x, y: functional.cross_entropy(x, y.long(), reduction="none"),
    "smoothed": lambda x, y: functional.cross_entropy(
        x, y.long(), reduction="none", label_smoothing=0.2
    ),
    "kl": lambda x, y: functional.kl_div(log(y), log(x), log_target=True, reduction="none").sum(-1),
    "linear": lambda x, p: functional.linear(x, p["linear_0.weight"].T, p["linear_0.offset"]),
    "embedding": lambda t, p: functional.embedding(t.long(), p["embedding_0.table"]),
    "norm_rows": lambda x, p: functional.layer_norm(
        x, x.shape[1:], p["layer_norm_0.scale"], p["layer_norm_0.shift"]
    ),
    "norm_groups": lambda x, p: functional.group_norm(
        x, 2, p["group_norm_0.scale"], p["group_norm_0.shift"]
    ),
    "norm_batch": lambda x, p: functional.batch_norm(
        x, *(p[f"batch_norm_0.{n}"].detach() for n in ("center", "spread")),
        p["batch_norm_0.scale"], p["batch_norm_0.shift"],
    ),
    "valid": conv,
    "same": lambda x, p: conv(x, p, padding="same"),
    "strided": lambda x, p: conv(
        functional.pad(x, (0, 0, 1, 0)), p, stride=(2, 1), dilation=(1, 2)
    ),
    "grouped": lambda x, p: functional.conv2d(
        x, grouped(p["conv_0.weight"]), p["conv_0.offset"], padding=1, groups=2
    ),
    "line": lambda x, p: functional.conv1d(
        x, kernel(p["conv_0.weight"]), p["conv_0.offset"], stride=2, padding=1
    ),
    "solid": lambda x, p: functional.conv3d(x, kernel(p["conv_0.weight"])),
    "depthwise": depthwise,
    "doubled": lambda x, p: functional.conv_transpose2d(
        x, torch.movedim(p["conv_transpose_0.weight"], -1, 1), p["conv_transpose_0.offset"],
        stride=2, padding=1, output_padding=1,
    ),
    "max_pooled": lambda x: functional.max_pool2d(x, 2),
    "max_padded": lambda x: functional.max_pool2d(x, 3, 2, 1),
    "max_line": lambda x: functional.max_pool1d(x, 2, 1, dilation=2),
    "avg_pooled": lambda x: functional.avg_pool2d(x, 3, 2, 1),
    "avg_all": lambda x: x.mean((2, 3)),
    "max_all": lambda x: functional.adaptive_max_pool2d(x, 1)[:, :, 0, 0],
}  # fmt: skip

OPTIMIZERS = {
    "sgd(0.01)": lambda w, b: torch.optim.SGD([w, b], 0.01),
    "sgd(0.01, momentum=0.8, nesterov=true)":
        lambda w, b: torch.optim.SGD([w, b], 0.01, momentum=0.8, nesterov=True),
    "sgd(0.01, momentum=0.9, decay=0.1)": lambda w, b: torch.optim.SGD(
        [{"params": [w], "weight_decay": 0.1}, {"params": [b]}], 0.01, momentum=0.9
    ),
    "adam(0.01)": lambda w, b: torch.optim.Adam([w, b], 0.01),
    "adamw(0.01, decay=0.2)": lambda w, b: torch.optim.AdamW(
        [{"params": [w], "weight_decay": 0.2}, {"params": [b], "weight_decay": 0}], 0.01
    ),
    "rmsprop(0.01)": lambda w, b: torch.optim.RMSprop([w, b], 0.01),
    "rmsprop(0.01, centered=true, momentum=0.7)":
        lambda w, b: torch.optim.RMSprop([w, b], 0.01, centered=True, momentum=0.7),
    "adagrad(0.01, lr_decay=0.1, initial=0.3)": lambda w, b: torch.optim.Adagrad(
        [w, b], 0.01, lr_decay=0.1, initial_accumulator_value=0.3
    ),
}  # fmt: skip


def difference(found, other):
    """The largest one, in parts of the largest value."""
    other = other.detach().numpy()
    return float(np.abs(found - other).max() / max(np.abs(other).max(), 1e-3))


def case_difference(case):
    """Of the result and the gradients of a case."""
    given = {**case.feeds(), **weights(case)}
    graph = widen(model(case).graph)
    out = graph.outputs[result(graph)]
    y = build.reduce_sum(build.mul(out, out), out.type.axes) if out.type.axes else out
    floats = [n for n in graph.inputs if n.type.dtype in FLOATS]
    wanted = {n.attrs["name"]: build.grad(y, n) for n in floats}
    found = interpret(lower(Graph(graph.inputs, {"out": out, **wanted})), given)
    tensors = {k: torch.tensor(v, requires_grad=v.dtype.kind == "f") for k, v in given.items()}
    inputs = [tensors[case.port(name)] for name in case.inputs]
    own = {k.partition(".")[2]: tensors[k] for k in weights(case)}
    theirs = PYTORCH[case.name](*inputs, own) if own else PYTORCH[case.name](*inputs)
    worst = difference(found["out"], theirs)
    (theirs**2 if theirs.ndim else theirs).sum().backward()
    for name in wanted:
        if tensors[name].grad is not None:
            worst = max(worst, difference(found[name], tensors[name].grad))
    return worst


def optimizer_difference(written, make):
    """Of both params after five steps."""
    steps = Steps(STEP.replace("OPTIMIZER", written))
    w = torch.full((3,), 0.5, dtype=torch.float64, requires_grad=True)
    b = torch.full((3,), 0.25, dtype=torch.float64, requires_grad=True)
    theirs = make(w, b)
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.normal(size=(4, 3))
        steps.run(x=x)
        y = torch.tensor(x) * w + b
        theirs.zero_grad()
        (y**2 + 0.1 * y).sum().backward()
        theirs.step()
    return max(difference(steps.values["M.w"], w), difference(steps.values["M.b"], b))


def running_difference():
    """Of BatchNorm's states after three steps."""
    steps = Steps(NORM)
    theirs = torch.nn.BatchNorm1d(2, momentum=0.3, dtype=torch.float64)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.normal(2, 3, (4, 2, 5))
        steps.run(x=x)
        theirs(torch.tensor(x))
    return max(
        difference(steps.values["M.batch_norm_0.center"], theirs.running_mean),
        difference(steps.values["M.batch_norm_0.spread"], theirs.running_var),
    )


def main() -> int:
    found = {c.name: case_difference(c) for c in CASES if c.name in PYTORCH}
    found |= {k: optimizer_difference(k, make) for k, make in OPTIMIZERS.items()}
    found["BatchNorm while training"] = running_difference()
    for name, worst in found.items():
        print(f"{worst:.1e}  {'ok' if worst < TOLERANCE else 'DIFFERS'}  {name}")
    return int(any(worst >= TOLERANCE for worst in found.values()))


if __name__ == "__main__":
    sys.exit(main())
