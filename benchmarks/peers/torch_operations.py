"""Single operations in PyTorch: oneDNN with channels last, eager."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from operands import draw
from torch.nn import functional

VERSION = torch.__version__
Tensor = torch.Tensor
Call = Callable[[], Any]
CHANNELS_LAST = torch.channels_last


def make(task: dict[str, Any], threads: int) -> Call:
    """The call of one operation on the tensors that its arrays make; gives a tensor or array."""
    torch.set_num_threads(threads)
    tensors = {name: torch.from_numpy(array) for name, array in draw(task["arrays"]).items()}
    call = FUNCTIONS[task["torch"]](*tensors.values(), **task["options"])
    return torch.no_grad()(call)


def product(a: Tensor, b: Tensor, over: str) -> Call:
    """Over the inner axes: `ab`, or with the first or second operand transposed."""
    a, b = (a.T if over[0] == "t" else a), (b.T if over[1] == "t" else b)
    return lambda: a @ b


def first(x: Tensor) -> Tensor:
    """Images [N, Y, X, C] as PyTorch orders their axes; they lie as they lay."""
    return x.permute(0, 3, 1, 2)


def last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def filters(w: Tensor) -> Tensor:
    """Weights [C, Y, X, D] as PyTorch wants them."""
    return w.permute(3, 0, 1, 2).contiguous(memory_format=CHANNELS_LAST)


def convolution(x: Tensor, w: Tensor, stride: int, pad: int) -> Call:
    x, w = first(x), filters(w)
    return lambda: last(functional.conv2d(x, w, None, stride, pad))


def gradient(x: Tensor, w: Tensor, g: Tensor, stride: int, pad: int, wanted: int) -> Call:
    """Of a convolution by its input (0) or its weights (1)."""
    x, w, g = first(x), filters(w), first(g)
    mask = [wanted == k for k in range(3)]
    settings = ([stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, mask)
    order = (0, 2, 3, 1) if wanted == 0 else (1, 2, 3, 0)
    find = torch.ops.aten.convolution_backward
    return lambda: find(g, x, w, None, *settings)[wanted].permute(order)


def with_gradient(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Call]:
    """The gradient of sum(function(x) * g) by x."""

    def make_call(x: Tensor, g: Tensor) -> Call:
        x.requires_grad_(True)

        def call() -> Tensor:
            with torch.enable_grad():
                return torch.autograd.grad(function(x), x, g)[0]

        return call

    return make_call


def plain(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Call]:
    return lambda x: lambda: function(x)


def norm_gradient(
    function: Callable[..., Tensor],
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Call]:
    """With scale and shift given before the cotangent."""

    def make_call(x: Tensor, scale: Tensor, shift: Tensor, g: Tensor) -> Call:
        return with_gradient(lambda x: function(x, scale, shift))(x, g)

    return make_call


def normed_rows(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], scale, shift)


def normed_columns(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return functional.batch_norm(x, None, None, scale, shift, training=True)


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Call:
    return lambda: normed_rows(x, scale, shift)


def batch_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Call:
    return lambda: normed_columns(x, scale, shift)


def cross_entropy(x: Tensor, label: Tensor) -> Call:
    label = label.long()
    return lambda: functional.cross_entropy(x, label, reduction="none")


def cross_entropy_gradient(x: Tensor, label: Tensor) -> Call:
    x.requires_grad_(True)
    label = label.long()

    def call() -> Tensor:
        with torch.enable_grad():
            return torch.autograd.grad(functional.cross_entropy(x, label), x)[0]

    return call


def adam(p: Tensor, m: Tensor, v: Tensor, g: Tensor) -> Call:
    """The second step, in place: the first call is from the same numbers as ours."""
    v.abs_()
    state = [p], [g], [m], [v], [], [torch.full((), 2.0)]
    rates = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0, "eps": 1e-8}

    def call() -> Tensor:
        torch._fused_adam_(*state, amsgrad=False, maximize=False, **rates)
        return p

    return call


def pooled(x: Tensor) -> Tensor:
    return last(functional.max_pool2d(first(x), 2))


def depthwise(x: Tensor, w: Tensor) -> Call:
    x, w = first(x), w.permute(2, 0, 1)[:, None].contiguous(memory_format=CHANNELS_LAST)
    return lambda: last(functional.conv2d(x, w, None, 1, 1, 1, len(w)))


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def gelu(x: Tensor) -> Tensor:
    return functional.gelu(x)


def dropout(x: Tensor) -> Tensor:
    return functional.dropout(x, 0.5, training=True)


FUNCTIONS: dict[str, Callable[..., Call]] = {
    "product": product,
    "convolution": convolution,
    "by_input": partial(gradient, wanted=0),
    "by_weights": partial(gradient, wanted=1),
    "negate": plain(torch.neg),
    "relu": plain(functional.relu),
    "exp": plain(torch.exp),
    "tanh": plain(torch.tanh),
    "sigmoid": plain(torch.sigmoid),
    "gelu": plain(gelu),
    "gelu_gradient": with_gradient(gelu),
    "dropout": plain(dropout),
    "softmax": plain(softmax),
    "softmax_gradient": with_gradient(softmax),
    "layer_norm": layer_norm,
    "layer_norm_gradient": norm_gradient(normed_rows),
    "batch_norm": batch_norm,
    "batch_norm_gradient": norm_gradient(normed_columns),
    "cross_entropy": cross_entropy,
    "cross_entropy_gradient": cross_entropy_gradient,
    "sum_rows": plain(lambda x: x.sum(-1)),
    "sum_columns": plain(lambda x: x.sum(0)),
    "transpose": plain(lambda x: x.T.contiguous()),
    "max_pool": plain(pooled),
    "max_pool_gradient": with_gradient(pooled),
    "depthwise": depthwise,
    "adam": adam,
}
