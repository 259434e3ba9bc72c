"""JAX: loss, gradient and Adam in one jitted function, its state donated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Array = Any
Weights = Iterator[Array]
"""In the order of their declaration, output axes last."""


def conv(w: Array, x: Array, stride: int = 1, pad: int = 1) -> Array:
    return lax.conv_general_dilated(
        x, w.transpose(1, 2, 0, 3), (stride, stride), [(pad, pad)] * 2,
        dimension_numbers=("NCHW", "HWIO", "NCHW"),
    )  # fmt: skip


def dense(w: Array, b: Array, x: Array) -> Array:
    return x @ w.reshape(-1, w.shape[-1]) + b


def pool(x: Array) -> Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


class Norm:
    """Batch normalisation with its running means, kept in the order of the calls."""

    def __init__(self, state: list[Array], training: bool) -> None:
        self._old, self._training = iter(state), training
        self.new: list[Array] = []

    def __call__(self, scale: Array, shift: Array, x: Array) -> Array:
        mean, var = next(self._old)
        if self._training:
            count = x.size // x.shape[1]
            m, v = x.mean((0, 2, 3)), x.var((0, 2, 3))
            unbiased = v * (count / (count - 1))
            self.new.append((0.9 * mean + 0.1 * m, 0.9 * var + 0.1 * unbiased))
            mean, var = m, v
        wide = (slice(None), None, None)
        return (x - mean[wide]) * lax.rsqrt(var[wide] + 1e-5) * scale[wide] + shift[wide]


def mlp(w: Weights, x: Array, _: Norm) -> Array:
    h = jax.nn.relu(dense(next(w), next(w), x))
    return dense(next(w), next(w), h)


def lenet(w: Weights, x: Array, _: Norm) -> Array:
    for _layer in range(2):
        x = pool(jax.nn.relu(conv(next(w), x) + next(w)[:, None, None]))
    h = jax.nn.relu(dense(next(w), next(w), x.reshape(len(x), -1)))
    return dense(next(w), next(w), h)


def block(w: Weights, x: Array, norm: Norm, stride: int = 1) -> Array:
    h = jax.nn.relu(norm_conv(w, x, norm, stride))
    h = norm_conv(w, h, norm)
    around = x if stride == 1 else norm_conv(w, x, norm, stride, pad=0)
    return jax.nn.relu(h + around)


def norm_conv(w: Weights, x: Array, norm: Norm, stride: int = 1, pad: int = 1) -> Array:
    y = conv(next(w), x, stride, pad)
    return norm(next(w), next(w), y)


def resnet(w: Weights, x: Array, norm: Norm) -> Array:
    h = jax.nn.relu(norm_conv(w, x, norm))
    for stride in (1, 2, 2):
        h = block(w, h, norm, stride)
    return dense(next(w), next(w), h.mean((2, 3)))


NETS: dict[str, Callable[..., Array]] = {"mlp": mlp, "lenet": lenet, "resnet": resnet}
NORMS = {"mlp": (), "lenet": (), "resnet": (16, 16, 16, 32, 32, 32, 64, 64, 64)}


def scores(model: str, training: bool, params: list[Array], norms: list[Array], x: Array) -> Any:
    norm = Norm(norms, training)
    return NETS[model](iter(params), x, norm), norm.new


def loss(
    model: str, params: list[Array], norms: list[Array], x: Array, label: Array
) -> tuple[Array, list[Array]]:
    found, new = scores(model, True, params, norms, x)
    logp = jax.nn.log_softmax(found)
    return -jnp.take_along_axis(logp, label[..., None], -1).mean(), new


def adam(p: Array, m: Array, v: Array, g: Array, count: Array) -> tuple[Array, Array, Array]:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    change = (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
    return p - 1e-3 * change, m, v


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def train(model: str, state: Any, x: Array, label: Array) -> Any:
    params, moments, norms, count = state
    value_and_grad = jax.value_and_grad(partial(loss, model), has_aux=True)
    (found, norms), grads = value_and_grad(params, norms, x, label)
    count = count + 1
    both = zip(params, moments, grads, strict=True)
    updated = [adam(p, m, v, g, count) for p, (m, v), g in both]
    moments = [(m, v) for _, m, v in updated]
    return ([p for p, _, _ in updated], moments, norms, count), found


class Jax:
    version, trains = jax.__version__, True

    def __init__(
        self, model: str, data: dict[str, Any], weights: dict[str, Any], _threads: int, _: Path
    ):
        self._model, self._weights = model, [*weights.values()]
        self._x, self._label = (jnp.asarray(array) for array in data.values())
        self.batch = len(self._label)
        self._loss: Array = None
        self.reset()

    def reset(self) -> None:
        params = [jnp.array(w) for w in self._weights]
        moments = [(jnp.zeros_like(p), jnp.zeros_like(p)) for p in params]
        self._state: Any = (params, moments, self._norms(), jnp.zeros((), jnp.float32))

    def _norms(self) -> list[Array]:
        return [(jnp.zeros(n), jnp.ones(n)) for n in NORMS[self._model]]

    def step(self) -> None:
        self._state, self._loss = train(self._model, self._state, self._x, self._label)
        jax.block_until_ready((self._state, self._loss))

    def loss(self) -> float:
        return float(self._loss)

    def infer(self, rows: int) -> Any:
        params, norms = [jnp.array(w) for w in self._weights], self._norms()
        run = jax.jit(lambda p, n, x: scores(self._model, False, p, n, x)[0])
        x = self._x[:rows]
        return lambda: run(params, norms, x).block_until_ready()


make = Jax
