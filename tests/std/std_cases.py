"""Models of one line for each part of the standard library, with NumPy's formula for it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import numpy as np

from dlc.diagnostics import Source
from dlc.graph import Graph
from dlc.semantics import check_file
from dlc.semantics.program import ModelProgram, Program

HEAD = "axis N, C = 4, Y = 6, X = 5, T = 7, D = 4, K = 3, V = 9\n"
SIZES = {"N": 3, "C": 4, "Y": 6, "X": 5, "T": 7, "D": 4, "K": 3, "V": 9}
Arrays = Mapping[str, np.ndarray]
erf = np.vectorize(math.erf)


@dataclass(frozen=True)
class Case:
    """`body` is what the model returns; inputs by name with their types."""

    name: str
    result: str
    body: str
    formula: Callable[..., np.ndarray]
    """From the inputs and the params (by the last part of their path), by name."""
    inputs: Mapping[str, str] = field(default_factory=lambda: {"x": "f32[N, C, Y, X]"})

    @property
    def text(self) -> str:
        """The model."""
        inputs = ", ".join(f"{self.port(n)}: {t}" for n, t in self.inputs.items())
        body = self.body
        for name in self.inputs:
            body = body.replace(f"${name}", self.port(name))
        return f"model {self.model}({inputs}) -> {self.result}:\n    return {body}\n"

    @property
    def model(self) -> str:
        """The name of the model."""
        return f"Model_{self.name}"

    def port(self, name: str) -> str:
        """The name of an input, one in all cases together."""
        return f"{self.name}_{name}"

    def feeds(self) -> dict[str, np.ndarray]:
        """Inputs in float64 or int32, by port."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        found = {}
        for name, type in self.inputs.items():
            shape = [SIZES[a.strip()] for a in type.partition("[")[2][:-1].split(",")]
            if type.startswith("i32"):
                top = SIZES["V"] if name == "token" else SIZES["K"]
                found[self.port(name)] = rng.integers(0, top, shape, np.int32)
            elif name in ("p", "share"):
                found[self.port(name)] = rng.uniform(0.05, 0.95, shape)
            else:
                found[self.port(name)] = rng.normal(0, 1.5, shape)
        return found


def windows(x, kernel, stride, dilation=(1, 1), pad=((0, 0), (0, 0)), value=0.0):
    """[..., o1, o2, ..., k1, k2, ...] of the last axes of x, by slices."""
    n = len(kernel)
    x = np.pad(x, [(0, 0)] * (x.ndim - n) + list(pad), constant_values=value)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    outs = [(m - r) // s + 1 for m, r, s in zip(x.shape[-n:], reach, stride, strict=True)]
    out = np.zeros((*x.shape[:-n], *outs, *kernel))
    for taps in product(*map(range, kernel)):
        cut = tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip(taps, dilation, outs, stride, strict=True)
        )
        out[(..., *taps)] = x[(..., *cut)]
    return out


def conv(x, weight, offset, stride=(1, 1), dilation=(1, 1), pad=((0, 0), (0, 0)), groups=1):
    """x[N, I, ...], weight[(G, )I, taps..., O]."""
    n = len(stride)
    weight = weight if groups > 1 else weight[None]
    kernel = weight.shape[2:-1]
    parts = []
    for g, part in enumerate(np.split(x, groups, axis=1)):
        seen = windows(part, kernel, stride, dilation, pad)
        taps = list(range(seen.ndim - n, seen.ndim))
        y = np.tensordot(seen, weight[g], axes=([1, *taps], [0, *range(1, n + 1)]))
        parts.append(np.moveaxis(y, -1, 1))
    return np.concatenate(parts, axis=1) + offset.reshape(-1, *[1] * n)


def conv_transpose(x, weight, offset, stride, dilation, pad, extra):
    """Each x[i] w[t] added at its place; x[N, I, A, B], weight[I, s, t, O]."""
    kernel = weight.shape[1:3]
    full = [
        (m - 1) * s + d * (k - 1) + 1 + e
        for m, s, d, k, e in zip(x.shape[2:], stride, dilation, kernel, extra, strict=True)
    ]
    out = np.zeros((x.shape[0], weight.shape[-1], *full))
    for i, j in product(*map(range, x.shape[2:])):
        for s, t in product(*map(range, kernel)):
            place = (i * stride[0] + s * dilation[0], j * stride[1] + t * dilation[1])
            out[:, :, place[0], place[1]] += x[:, :, i, j] @ weight[:, s, t]
    (a, b), (c, d) = pad
    return out[:, :, a : full[0] - b, c : full[1] - d] + offset[:, None, None]


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normalized(x, axes, eps=1e-5):
    away = x - x.mean(axes, keepdims=True)
    return away / np.sqrt((away**2).mean(axes, keepdims=True) + eps)


def group_norm(x, scale, shift, groups):
    cut = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    y = normalized(cut, tuple(range(2, cut.ndim))).reshape(x.shape)
    return y * scale[:, None, None] + shift[:, None, None]


def cross_entropy(x, label, smoothing=0.0):
    target = np.full(x.shape, smoothing / x.shape[-1])
    target[np.arange(len(label)), label] += 1 - smoothing
    return -(target * np.log(softmax(x))).sum(-1)


def huber(x, y, delta):
    d = np.abs(x - y)
    return np.where(d < delta, d**2 / 2, delta * (d - delta / 2))


def average(x, pad):
    """3x2 windows that count what lies inside alone."""
    inside = windows(np.ones_like(x), (3, 2), (2, 2), pad=pad)
    return windows(x, (3, 2), (2, 2), pad=pad).sum((-2, -1)) / inside.sum((-2, -1))


def attention(x, p, heads, causal):
    """By loops over heads; p holds query, key, value [D, H, E] and the last one [H, E, D]."""
    out = np.zeros((*x.shape[:2], x.shape[2])) + p["linear_0.offset"]
    for h in range(heads):
        q, k, v = (
            x @ p[f"{n}.weight"][:, h] + p[f"{n}.offset"][h] for n in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        if causal:
            scores = np.where(np.tril(np.ones(scores.shape[1:], bool)), scores, -np.inf)
        out += softmax(scores) @ v @ p["linear_0.weight"][h]
    return out


FLAT = "f32[N, K]"
ROWS = {"x": FLAT}
PAIR = {"x": FLAT, "y": FLAT}
LABELS = {"x": FLAT, "label": "i32[N]"}
IMAGE = "f32[N, C, Y, X]"
W, B = "conv_0.weight", "conv_0.offset"
SAME = ((1, 1), (1, 1))


def rows(name: str, body: str, formula: Callable[..., np.ndarray], inputs=None) -> Case:
    """A function of rows that keeps their type."""
    return Case(name, FLAT, body, formula, inputs or ROWS)


ACTIVATIONS = [
    rows("relu", "relu($x)", lambda x: np.maximum(x, 0)),
    rows("leaky", "leaky_relu($x, 0.2)", lambda x: np.where(x > 0, x, 0.2 * x)),
    rows("elu", "elu($x, alpha=1.5)", lambda x: np.where(x > 0, x, 1.5 * (np.exp(x) - 1))),
    rows("gelu", "gelu($x)", lambda x: x * (1 + erf(x / np.sqrt(2))) / 2),
    rows("silu", "silu($x)", lambda x: x / (1 + np.exp(-x))),
    rows("sigmoid", "sigmoid($x)", lambda x: 1 / (1 + np.exp(-x))),
    rows("tanh", "tanh($x)", np.tanh),
    rows("softplus", "softplus($x)", lambda x: np.log(1 + np.exp(x))),
    rows("softmax", "softmax($x, over=K)", softmax),
    rows("log_softmax", "log_softmax($x, over=K)", lambda x: np.log(softmax(x))),
    Case("two_axes", "f32[N, K]", "softmax($x, over=(N, K))",
         lambda x: softmax(x.ravel()).reshape(x.shape), ROWS),
    Case("logsumexp", "f32[N]", "logsumexp($x, over=K)", lambda x: np.log(np.exp(x).sum(1)), ROWS),
]  # fmt: skip

LOSSES = [
    Case("mse", "f32", "mse($x, $y)", lambda x, y: ((x - y) ** 2).mean(), PAIR),
    Case("mae", "f32", "mae($x, $y)", lambda x, y: np.abs(x - y).mean(), PAIR),
    rows("huber", "huber($x, $y, delta=0.7)", lambda x, y: huber(x, y, 0.7), PAIR),
    rows("bce", "bce($p, $share)",
         lambda p, share: -share * np.log(p) - (1 - share) * np.log(1 - p),
         {"p": FLAT, "share": FLAT}),
    rows("bce_logits", "bce_logits($x, $share)",
         lambda x, share: np.log(1 + np.exp(x)) - share * x, {"x": FLAT, "share": FLAT}),
    rows("bce_one", "bce_logits($x, 1)", lambda x: np.log(1 + np.exp(-x))),
    Case("cross_entropy", "f32[N]", "cross_entropy($x, $label, over=K)", cross_entropy, LABELS),
    Case("smoothed", "f32[N]", "cross_entropy($x, $label, over=K, smoothing=0.2)",
         lambda x, label: cross_entropy(x, label, 0.2), LABELS),
    Case("kl", "f32[N]", "kl(log_softmax($x, over=K), log_softmax($y, over=K), over=K)",
         lambda x, y: (softmax(x) * np.log(softmax(x) / softmax(y))).sum(-1), PAIR),
    rows("kl_normal", "kl_normal($x, $y)", lambda x, y: (x**2 + np.exp(y) - y - 1) / 2, PAIR),
]  # fmt: skip

LAYERS = [
    Case("linear", "f32[N, T, K]", "Linear(D -> K)($x)",
         lambda x, p: x @ p["linear_0.weight"] + p["linear_0.offset"], {"x": "f32[N, T, D]"}),
    Case("plain", "f32[N, K]", "Linear((C, Y, X) -> K, bias=false)($x)",
         lambda x, p: np.einsum("ncyx,cyxk->nk", x, p["linear_0.weight"])),
    Case("embedding", "f32[N, T, D]", "Embedding(V -> D)($token)",
         lambda token, p: p["embedding_0.table"][token], {"token": "i32[N, T]"}),
    Case("attention", "f32[N, T, D]", "Attention(D, heads=2, causal=true)($x)",
         lambda x, p: attention(x, {k[12:]: v for k, v in p.items()}, 2, True),
         {"x": "f32[N, T, D]"}),
    Case("norm_rows", IMAGE, "LayerNorm((C, Y, X))($x)",
         lambda x, p: normalized(x, (1, 2, 3)) * p["layer_norm_0.scale"] + p["layer_norm_0.shift"]),
    Case("norm_groups", IMAGE, "GroupNorm(C, groups=2)($x)",
         lambda x, p: group_norm(x, p["group_norm_0.scale"], p["group_norm_0.shift"], 2)),
    Case("norm_batch", IMAGE, "BatchNorm(C)($x)",
         lambda x, p: (x - p["batch_norm_0.center"][:, None, None])
         / np.sqrt(p["batch_norm_0.spread"][:, None, None] + 1e-5)
         * p["batch_norm_0.scale"][:, None, None] + p["batch_norm_0.shift"][:, None, None]),
    Case("still_dropout", FLAT, "dropout($x, 0.4)", lambda x: x, ROWS),
]  # fmt: skip

CONVS = [
    Case("valid", "f32[N, C=5, Y=4, X=3]", "Conv(C -> 5, kernel=3)($x)",
         lambda x, p: conv(x, p[W], p[B])),
    Case("same", "f32[N, C=5, Y=6, X=5]", 'Conv(C -> 5, kernel=3, pad="same")($x)',
         lambda x, p: conv(x, p[W], p[B], pad=SAME)),
    Case("strided", "f32[N, C=2, Y=3, X=3]",
         "Conv(C -> 2, kernel=(3, 2), stride=(2, 1), dilation=(1, 2), pad=((1, 0), 0))($x)",
         lambda x, p: conv(x, p[W], p[B], (2, 1), (1, 2), ((1, 0), (0, 0)))),
    Case("grouped", "f32[N, C=6, Y=6, X=5]", "Conv(C -> 6, kernel=3, pad=1, groups=2)($x)",
         lambda x, p: conv(x, p[W], p[B], pad=SAME, groups=2)),
    Case("line", "f32[N, C=3, T=4]", "Conv(C -> 3, kernel=3, stride=2, pad=1, over=T)($x)",
         lambda x, p: conv(x, p[W], p[B], (2,), (1,), ((1, 1),)), {"x": "f32[N, C, T]"}),
    Case("solid", "f32[N, C=2, Y=5, X=4, D=3]",
         "Conv(C -> 2, kernel=2, bias=false, over=(Y, X, D))($x)",
         lambda x, p: conv(x, p[W], np.zeros(2), (1,) * 3, (1,) * 3, ((0, 0),) * 3),
         {"x": "f32[N, C, Y, X, D]"}),
    Case("depthwise", "f32[N, C, Y=3, X=3]",
         "Depthwise(C, kernel=(3, 2), stride=(2, 1), dilation=(1, 2), pad=((1, 0), 0))($x)",
         lambda x, p: conv(x, p["depthwise_0.weight"].transpose(2, 0, 1)[:, None, :, :, None],
                           p["depthwise_0.offset"], (2, 1), (1, 2), ((1, 0), (0, 0)), 4)),
    Case("transposed", "f32[N, C=2, Y=12, X=8]",
         "ConvTranspose(C -> 2, kernel=3, stride=(2, 1), dilation=(1, 2), pad=((1, 0), (0, 1)), "
         "extra=(0, 0))($x)",
         lambda x, p: conv_transpose(x, p["conv_transpose_0.weight"], p["conv_transpose_0.offset"],
                                     (2, 1), (1, 2), ((1, 0), (0, 1)), (0, 0))),
    Case("doubled", "f32[N, C=2, Y=12, X=10]",
         "ConvTranspose(C -> 2, kernel=3, stride=2, pad=1, extra=1)($x)",
         lambda x, p: conv_transpose(x, p["conv_transpose_0.weight"], p["conv_transpose_0.offset"],
                                     (2, 2), (1, 1), ((1, 1), (1, 1)), (1, 1))),
]  # fmt: skip

POOLS = [
    Case("max_pooled", "f32[N, C, Y=3, X=2]", "max_pool($x, 2)",
         lambda x: windows(x, (2, 2), (2, 2)).max((-2, -1))),
    Case("max_padded", "f32[N, C, Y=3, X=3]", "max_pool($x, 3, stride=2, pad=1)",
         lambda x: windows(x, (3, 3), (2, 2), pad=SAME, value=-np.inf).max((-2, -1))),
    Case("max_line", "f32[N, C, T=5]", "max_pool($x, 2, stride=1, dilation=2, over=T)",
         lambda x: windows(x, (2,), (1,), (2,), ((0, 0),)).max(-1), {"x": "f32[N, C, T]"}),
    Case("avg_pooled", "f32[N, C, Y=3, X=3]", "avg_pool($x, 3, stride=2, pad=1)",
         lambda x: windows(x, (3, 3), (2, 2), pad=SAME).mean((-2, -1))),
    Case("avg_inside", "f32[N, C, Y=3, X=3]",
         "avg_pool($x, (3, 2), stride=2, pad=((1, 0), (0, 1)), count_pad=false)",
         lambda x: average(x, ((1, 0), (0, 1)))),
    Case("avg_all", "f32[N, C]", "global_avg_pool($x)", lambda x: x.mean((2, 3))),
    Case("max_all", "f32[N, C]", "global_max_pool($x)", lambda x: x.max((2, 3))),
]  # fmt: skip

CASES = [*ACTIVATIONS, *LOSSES, *LAYERS, *CONVS, *POOLS]


@lru_cache(maxsize=1)
def programs() -> Program:
    """All cases as one file."""
    text = HEAD + "\n".join(case.text for case in CASES)
    return check_file(Source("cases.dl", text))


def model(case: Case) -> ModelProgram:
    """The program of a case."""
    return programs().models[case.model]


def weights(case: Case) -> dict[str, np.ndarray]:
    """Values of its params and states in float64, none of them 0 or 1."""
    rng = np.random.default_rng(zlib.crc32(case.text.encode()))
    found = {}
    for path in model(case).params:
        type = programs().params[path].type
        shape = [n.constant for n in type.sizes]
        positive = path.endswith(("scale", "spread"))
        found[path] = rng.uniform(0.5, 2, shape) if positive else rng.normal(0, 0.5, shape)
    return found


def expected(case: Case, feeds: Arrays, params: Arrays) -> np.ndarray:
    """By NumPy's formula."""
    inputs = [feeds[case.port(name)] for name in case.inputs]
    own = {path.partition(".")[2]: value for path, value in params.items()}
    return np.asarray(case.formula(*inputs, own) if own else case.formula(*inputs))


def result(graph: Graph) -> str:
    """The name of the only output."""
    (name,) = graph.outputs
    return name
