"""Optimizers and schedules over several steps, BatchNorm and dropout while training."""

import math

import numpy as np
import pytest
from std_steps import NORM, STEP, Steps


def gradients(x, w, b):
    slope = 2 * (x * w + b) + 0.1
    return {"w": (slope * x).sum(0), "b": slope.sum(0)}


def clipped(g, limit):
    norm = math.sqrt(sum((v**2).sum() for v in g.values()))
    return {k: v * min(1, limit / norm) for k, v in g.items()}


class Sgd:
    def __init__(self, momentum=0.0, nesterov=False, decay=0.0):
        self.momentum, self.nesterov, self.decay, self.v = momentum, nesterov, decay, None

    def __call__(self, p, g, t, lr, decays):
        g = g + self.decay * p * decays
        self.v = g if self.v is None else self.momentum * self.v + g
        return p - lr * (g + self.momentum * self.v if self.nesterov else self.v)


class Adam:
    def __init__(self, decay=0.0, apart=False, betas=(0.9, 0.999), eps=1e-8):
        self.decay, self.apart, self.betas, self.eps, self.m, self.v = (
            decay,
            apart,
            betas,
            eps,
            0,
            0,
        )

    def __call__(self, p, g, t, lr, decays):
        if self.apart:
            p = p - lr * self.decay * p * decays
        else:
            g = g + self.decay * p * decays
        a, b = self.betas
        self.m, self.v = a * self.m + (1 - a) * g, b * self.v + (1 - b) * g * g
        return p - lr * self.m / (1 - a**t) / (np.sqrt(self.v / (1 - b**t)) + self.eps)


class RmsProp:
    def __init__(self, alpha=0.99, momentum=0.0, centered=False):
        self.alpha, self.momentum, self.centered = alpha, momentum, centered
        self.v = self.mean = self.moved = 0

    def __call__(self, p, g, t, lr, decays):
        self.v = self.alpha * self.v + (1 - self.alpha) * g * g
        self.mean = self.alpha * self.mean + (1 - self.alpha) * g
        size = self.v - self.mean**2 if self.centered else self.v
        self.moved = self.momentum * self.moved + g / (np.sqrt(size) + 1e-8)
        return p - lr * self.moved


class AdaGrad:
    def __init__(self, lr_decay=0.0, initial=0.0, decay=0.0):
        self.lr_decay, self.v, self.decay = lr_decay, initial, decay

    def __call__(self, p, g, t, lr, decays):
        g = g + self.decay * p * decays
        self.v = self.v + g * g
        return p - lr / (1 + (t - 1) * self.lr_decay) * g / (np.sqrt(self.v) + 1e-10)


OPTIMIZERS = [
    ("sgd(0.01)", Sgd, math.inf),
    ("sgd(0.01, momentum=0.9, decay=0.1)", lambda: Sgd(0.9, decay=0.1), math.inf),
    ("sgd(0.01, momentum=0.8, nesterov=true)", lambda: Sgd(0.8, True), math.inf),
    ("sgd(0.01, momentum=0.8, clip_norm=0.5)", lambda: Sgd(0.8), 0.5),
    ("adam(0.01)", Adam, math.inf),
    ("adam(0.01, beta1=0.5, decay=0.1, clip_norm=2)", lambda: Adam(0.1, betas=(0.5, 0.999)), 2),
    ("adamw(0.01)", lambda: Adam(0.01, True), math.inf),
    ("adamw(0.01, decay=0.2, eps=0.1)", lambda: Adam(0.2, True, eps=0.1), math.inf),
    ("rmsprop(0.01)", RmsProp, math.inf),
    ("rmsprop(0.01, alpha=0.9, momentum=0.7)", lambda: RmsProp(0.9, 0.7), math.inf),
    ("rmsprop(0.01, centered=true, clip_norm=1)", lambda: RmsProp(centered=True), 1),
    ("adagrad(0.01)", AdaGrad, math.inf),
    ("adagrad(0.01, lr_decay=0.1, initial=0.3, decay=0.2)",
     lambda: AdaGrad(0.1, 0.3, 0.2), math.inf),
]  # fmt: skip


@pytest.mark.parametrize(("written", "make", "limit"), OPTIMIZERS, ids=[o[0] for o in OPTIMIZERS])
def test_optimizers(written, make, limit):
    steps = Steps(STEP.replace("OPTIMIZER", written))
    values = {"w": np.full(3, 0.5), "b": np.full(3, 0.25)}
    rules = {"w": make(), "b": make()}
    rng = np.random.default_rng(0)
    for t in range(1, 5):
        x = rng.normal(size=(4, 3))
        steps.run(x=x)
        g = clipped(gradients(x, **values), limit)
        values = {k: rules[k](values[k], g[k], t, 0.01, k == "w") for k in values}
        for name, value in values.items():
            np.testing.assert_allclose(steps.values[f"M.{name}"], value, 1e-9, 1e-12)


def half(done):
    return 0.5 + 0.5 * math.cos(math.pi * done)


SCHEDULES = [
    ("step_decay(0.1, every=3)", lambda t: 0.1 * 0.1 ** ((t - 1) // 3)),
    ("step_decay(0.1, every=2, factor=0.5, at=epoch)", lambda t: 0.1 * 0.5 ** ((2 * t - 1) // 2)),
    ("exponential(0.1, 0.9)", lambda t: 0.1 * 0.9 ** (t - 1)),
    ("exponential(0.1, 0.5, every=4)", lambda t: 0.1 * 0.5 ** ((t - 1) / 4)),
    ("cosine(0.1, steps=5, floor=0.01)", lambda t: 0.01 + 0.09 * half(min((t - 1) / 5, 1))),
    ("warmup(0.1, steps=4)", lambda t: 0.1 * min(t / 4, 1)),
    ("warmup_cosine(0.1, warmup=3, steps=6)",
     lambda t: 0.1 * t / 3 if t < 3 else 0.1 * half(min((t - 3) / 3, 1))),
]  # fmt: skip


@pytest.mark.parametrize(("written", "rate"), SCHEDULES, ids=[s[0] for s in SCHEDULES])
def test_schedules(written, rate):
    steps = Steps(STEP.replace("OPTIMIZER", f"sgd({written})"))
    b = 0.25
    x = np.zeros((4, 3))
    for t in range(1, 9):
        steps.run(epoch=2 * t, x=x)
        b = b - rate(t) * 4 * (2 * b + 0.1)
        np.testing.assert_allclose(steps.values["M.b"], b, 1e-7)


def test_batch_norm_while_training():
    steps = Steps(NORM)
    center, spread = np.zeros(2), np.ones(2)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.normal(2, 3, (4, 2, 5))
        first = steps.run(x=x)["first"]
        mean, var = x.mean((0, 2)), x.var((0, 2))
        assert first == pytest.approx((x[0, 1, 0] - mean[1]) / math.sqrt(var[1] + 1e-5))
        center = 0.7 * center + 0.3 * mean
        spread = 0.7 * spread + 0.3 * var * 20 / 19
        np.testing.assert_allclose(steps.values["M.batch_norm_0.center"], center, 1e-6)
        np.testing.assert_allclose(steps.values["M.batch_norm_0.spread"], spread, 1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd(0.1, momentum=0.5)", "adam(0.1, beta1=0.5, beta2=0.6)",
        "adamw(0.1, beta1=0.5, beta2=0.6)", "rmsprop(alpha=0.5, momentum=0.5, centered=true)",
    ],
)  # fmt: skip
def test_what_has_decayed_is_zero(optimizer):
    """No slot of a weight whose gradient is 0 stays below the normal numbers."""
    steps = Steps(STEP.replace("OPTIMIZER", optimizer))
    slots = [name for name in steps.values if name.startswith("M.w:")]
    steps.values |= {name: np.full(3, 1e-37) for name in slots}
    for _ in range(20):
        steps.run(x=np.zeros((4, 3)))
        for name in slots:
            value = np.abs(steps.values[name])
            assert np.all((value == 0) | (value >= np.finfo(np.float32).tiny)), name
    assert slots
    assert not any(steps.values[name].any() for name in slots)


def test_batch_norm_of_a_single_value_stays_finite():
    steps = Steps(NORM.replace("T = 5", "T = 1"))
    steps.run(x=np.ones((1, 2, 1)))
    np.testing.assert_allclose(steps.values["M.batch_norm_0.spread"], 0.7)


DROP = """
axis N, F = 4
model M(x: f32[N, F]) -> f32[N, F]:
    param w: float[F] = 1
    return dropout(x * w, rate=0.25)
train fit:
    batch N = 4
    step(x: f32[N, F]):
        y = M(x)
        minimize sum(y) wrt M using sgd(1.0)
        metric dropped = mean(y == 0)
        metric mean = mean(y)
        metric largest = max(y)
"""


def test_dropout_while_training():
    steps = Steps(DROP)
    found = steps.run(x=np.ones((5000, 4)))
    assert found["dropped"] == pytest.approx(0.25, abs=0.01)
    assert found["mean"] == pytest.approx(1, abs=0.015)
    assert found["largest"] == pytest.approx(4 / 3)
    np.testing.assert_allclose(1 - steps.values["M.w"], 5000, 0.05)
