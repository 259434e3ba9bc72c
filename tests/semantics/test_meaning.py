"""What models mean: elaborated graphs, interpreted, against NumPy written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlc.semantics import check_file
from tests.semantics.programs import (
    RNG,
    close,
    floats,
    load,
    run_model,
    softmax,
    value,
)


def conv(x, w, b, pad):
    """x [N, C, Y, X], w [C, KY, KX, K]."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    k = w.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
    return np.einsum("ncyxij,cijk->nkyx", windows, w) + b[:, None, None]


def pool(x):
    n, c, y, z = x.shape
    return x.reshape(n, c, y // 2, 2, z // 2, 2).max(axis=(3, 5))


LENET = """
axis N, Y = 8, X = 8, C = 1, K = 10
model LeNet(image: u8[N, C, Y, X]) -> f32[N, K]:
    return image / 255
        |> Conv(C -> 4, kernel=3, pad="same") |> relu |> max_pool(2)
        |> Conv(C -> 6, kernel=3, pad="same") |> relu |> max_pool(2)
        |> Linear((C, Y, X) -> H=12) |> relu
        |> Linear(H -> K)
"""


def test_lenet():
    image = RNG.integers(0, 256, (3, 1, 8, 8)).astype(np.uint8)
    got, p = run_model(LENET, "LeNet", image=image)
    x = image / np.float32(255)
    for k in range(2):
        w, b = p[f"LeNet.conv_{k}.weight"], p[f"LeNet.conv_{k}.offset"]
        x = pool(np.maximum(conv(x, w, b, 1), 0))
    h = np.einsum("ncyx,cyxh->nh", x, p["LeNet.linear_0.weight"]) + p["LeNet.linear_0.offset"]
    want = np.maximum(h, 0) @ p["LeNet.linear_1.weight"] + p["LeNet.linear_1.offset"]
    close(got, want, 1e-4)


def test_linear_to_its_own_axis_and_to_nothing():
    x = floats(2, 4)
    got, p = run_model(
        "axis N, D = 4\nmodel M(x: f32[N, D]) -> f32[N]:\n"
        "    return x |> Linear(D -> D) |> Linear(D -> ())\n",
        x=x,
    )
    y = x @ p["M.linear_0.weight"] + p["M.linear_0.offset"]
    close(got, y @ p["M.linear_1.weight"] + p["M.linear_1.offset"])


ATTENTION = """
axis N, T, S, D = 8
layer Attend(D, heads: int, over: axis = T, source: axis = over, causal: bool = false)(
        x: float[.., over, D], memory: float[.., source, D] = x,
        valid: bool[.., source] = true) -> float[.., over, D]:
    axis H = heads, E = D / heads
    layer query = Linear(D -> (H, E))
    layer key = Linear(D -> (H, E))
    layer value = Linear(D -> (H, E))
    allowed = valid
    if causal:
        allowed = valid and index(source) <= index(over)
    scores = where(allowed, dot(query(x), key(memory), over=E) / sqrt(E), -inf)
    v = value(memory)
    return dot(softmax(scores, over=source), v, over=source) |> Linear((H, E) -> D)
"""


def attention(p, root, x, memory, mask):
    def part(name, t):
        w, b = p[f"{root}.{name}.weight"], p[f"{root}.{name}.offset"]
        return np.einsum("ntd,dhe->nhte", t, w) + b[None, :, None, :]

    q, k, v = part("query", x), part("key", memory), part("value", memory)
    scores = np.einsum("nhte,nhse->nhts", q, k) / math.sqrt(q.shape[-1])
    weights = softmax(np.where(mask, scores, -np.inf), -1)
    mixed = np.einsum("nhts,nhse->nthe", weights, v)
    out = f"{root}.linear_0"
    return np.einsum("nthe,hed->ntd", mixed, p[f"{out}.weight"]) + p[f"{out}.offset"]


def test_self_attention_is_causal():
    text = ATTENTION + (
        "model M(x: f32[N, T, D]) -> f32[N, T, D]:\n"
        "    return x |> Attend(D, heads=2, causal=true)\n"
    )
    x = floats(2, 5, 8)
    got, p = run_model(text, x=x)
    mask = np.tril(np.ones((5, 5), bool))
    close(got, attention(p, "M.attend_0", x, x, mask), 1e-4)


def test_cross_attention_with_lengths():
    text = ATTENTION + (
        "model M(x: f32[N, T, D], y: f32[N, S, D], length: i32[N]) -> f32[N, T, D]:\n"
        "    return Attend(D, heads=4, source=S)(x, y, index(S) < length)\n"
    )
    x, y, length = floats(2, 3, 8), floats(2, 5, 8), np.array([5, 2], np.int32)
    got, p = run_model(text, x=x, y=y, length=length)
    mask = (np.arange(5) < length[:, None])[:, None, None, :]
    close(got, attention(p, "M.attend_0", x, y, mask), 1e-4)


def test_broadcasting_by_name():
    x, y = floats(2, 3), floats(3)
    sig, axes = "x: f32[N, A], y: f32[A]", "axis N, A = 3"
    close(value("return y - x", axes, sig, "f32[A, N]", x=x, y=y), (y - x).T)
    close(value("return sum(x * y, over=A)", axes, sig, "f32[N]", x=x, y=y), x @ y)


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ("return 7 // 2 + 7 % 3 + 2 ** 3", 12),
        ("return -7 // 2 + 0 * sum(x)", -4),
        ("return A * B / A + 0 * sum(x)", 4),
        ("return sqrt(A) + 0 * sum(x)", math.sqrt(3)),
        ("return size(x[A=1:], A) + 0 * sum(x)", 2),
        ("t = 0\nfor i in range(4):\n    t = t + i\nreturn t + 0 * sum(x)", 6),
        ("t = 0\nfor a, b in [(1, 2), (3, 4)]:\n    t = t + a * b\nreturn t + 0 * sum(x)", 14),
        ("w = [1, 2] + [3]\nreturn w[-1] + len(w[1:]) + 0 * sum(x)", 5),
        ("if A == 3 and not training:\n    return 1 + 0 * sum(x)\nelse:\n    return sum(x)", 1),
        ("return mean(x > -100)", 1),
        ("return sum(index(A) * (index(A) > 0)) / 1 + 0 * sum(x)", 3),
        ("return maximum(2, 3) + minimum(1.5, 2) + where(1 < 2, 10, 20) + 0 * sum(x)", 14.5),
    ],
)
def test_numbers(body, want):
    got = value(body, "axis N, A = 3, B = 4", "x: f32[A, B]", x=floats(3, 4))
    assert float(got) == pytest.approx(want)


X = floats(4, 6)


@pytest.mark.parametrize(
    ("body", "result", "want"),
    [
        ("return x[B=0]", "f32[A]", X[:, 0]),
        ("return x[B=-1]", "f32[A]", X[:, -1]),
        ("return x[B=1:]", "f32[A, B=5]", X[:, 1:]),
        ("return x[B=::2]", "f32[A, B=3]", X[:, ::2]),
        ("return x[B=::-1]", "f32[A, B]", X[:, ::-1]),
        ("return x[B=4:1:-2]", "f32[A, B=2]", X[:, 4:1:-2]),
        ("return x[A=1, B=:-2]", "f32[B=4]", X[1, :-2]),
        ("return flip(x, A)", "f32[A, B]", X[::-1]),
        ("return rename(x, (A, B) -> (B, A))", "f32[A=6, B=4]", X.T),
        ("return split(x, B -> (H=2, E))", "f32[A, H, E]", X.reshape(4, 2, 3)),
        ("return merge(x, (B, A) -> P)", "f32[P]", X.T.reshape(-1)),
        ("return pad(x, B=(1, 2), value=9)", "f32[A, B=9]",
         np.pad(X, ((0, 0), (1, 2)), constant_values=9)),
        ("return concat([x, x[B=:2]], over=B)", "f32[A, B=8]", np.concatenate([X, X[:, :2]], 1)),
        ("return stack([x, 2 * x], axis=H)", "f32[H, A, B]", np.stack([X, 2 * X])),
        ("return x[B=argsort(x, over=B)]", "f32[A, B]", np.sort(X, 1)),
        ("return x[B=(index(B) + 1) % B]", "f32[A, B]", np.roll(X, -1, 1)),
        ("return x[B=index(A)]", "f32[A]", X[np.arange(4), np.arange(4)]),
        ("return max(x, over=B) - min(x, over=B)", "f32[A]", X.max(1) - X.min(1)),
        ("return var(x, over=(A, B))", "f32", X.var()),
        ("return logsumexp(x, over=B)", "f32[A]", np.log(np.exp(X).sum(1))),
        ("return cast(argmax(x, over=(B, A)), f32)", "f32", float(X.T.argmax())),
        ("return where(any(x > 1, over=B) or all(x < 0, over=B), 1, 0)", "f32[A]",
         ((X > 1).any(1) | (X < 0).all(1)).astype(np.float32)),
        ("return window(x, B -> (B, Tap=3), stride=2, pad=(1, 0))", "f32[A, B=3, Tap=3]",
         np.lib.stride_tricks.sliding_window_view(np.pad(X, ((0, 0), (1, 0))), 3, 1)[:, ::2]),
        ("return unwindow(window(x, B -> (B, Tap=2)), (B, Tap) -> B)", "f32[A, B]",
         X * np.array([1, 2, 2, 2, 2, 1], np.float32)),
        ("return scatter(x, H=index(B) % 2, over=B)", "f32[A, H]",
         np.stack([X[:, ::2].sum(1), X[:, 1::2].sum(1)], 1)),
        ("return x + constant([1, 2, 3, 4], A)", "f32[A, B]", X + np.arange(1, 5)[:, None]),
        ("return grad(sum(x ** 2 * index(B)), wrt=x)", "f32[A, B]", 2 * X * np.arange(6)),
        ("return dot(x, rename(x, A -> H), over=B)", "f32[A, H=4]", X @ X.T),
    ],
)  # fmt: skip
def test_tensors(body, result, want):
    axes = "axis A = 4, B = 6, H = 2, E = 3, P = 24, Tap"
    close(value(body, axes, "x: f32[A, B]", result, x=X), want, 1e-4)


def test_run_time_sizes():
    x = floats(3, 7)
    got = value("return x[T=T // 2:]", "axis N, T", "x: f32[N, T]", "f32[N, T = T - T // 2]", x=x)
    close(got, x[:, 3:])


def test_conversions():
    image = np.array([[0, 255]], np.uint8)
    close(value("return image / 255", "axis N, A = 2", "image: u8[N, A]", "f32[N, A]", image=image),
          image / np.float32(255))  # fmt: skip
    got = value("return x + 1", "axis N", "x: i32[N]", "i32[N]", x=np.array([1, 2], np.int32))
    assert got.dtype == np.int32
    got = value("return x > 0", "axis N", "x: i32[N]", "f32[N]", x=np.array([1, -2], np.int32))
    close(got, np.array([1, 0], np.float32))


def test_tied_weights():
    text = """
axis N, T, V = 7, D = 4
model M(x: i32[N, T]) -> f32[N, T, V]:
    layer embed = Embedding(V -> D)
    return dot(embed(x), embed.table, over=D)
"""
    x = RNG.integers(0, 7, (2, 3)).astype(np.int32)
    got, p = run_model(text, x=x)
    table = p["M.embed.table"]
    close(got, table[x] @ table.T, 1e-4)
    (check,) = load(text).models["M"].graph.checks
    assert (check.input, str(check.size), check.axis.name) == ("x", "7", "V")


def test_instances_are_named():
    text = """
axis N, D = 4
layer Block(D)(x: float[.., D]) -> float[.., D]:
    return x |> Linear(D -> D, bias=false) |> relu |> Linear(D -> D, bias=false)
model M(x: f32[N, D]) -> f32[N, D]:
    for i in range(2):
        layer inner = Block(D)
        x = inner(inner(x))
    layer last = Linear(D -> D, bias=false)
    return x |> Block(D) |> last
"""
    names = [p.removesuffix(".weight") for p in load(text).params]
    assert names == [
        "M.inner_0.linear_0", "M.inner_0.linear_1", "M.inner_1.linear_0", "M.inner_1.linear_1",
        "M.block_0.linear_0", "M.block_0.linear_1", "M.last",
    ]  # fmt: skip


def test_draws():
    text = """
axis N, A = 3
model M(x: f32[N, A]) -> (a: f32[N, A], b: f32[N, A], c: f32[N, A]):
    return where(bernoulli(0.25)[N, A], 1, 0), uniform[N, A], normal[N, A]
"""
    out, _ = run_model(text, x=np.zeros((4000, 3), np.float32))
    assert abs(out["a"].mean() - 0.25) < 0.02
    assert abs(out["b"].mean() - 0.5) < 0.02
    assert (out["b"].min(), out["b"].max()) > (0, 0)
    assert abs(out["c"].std() - 1) < 0.02
    assert abs(np.corrcoef(out["b"].ravel(), out["c"].ravel())[0, 1]) < 0.03


def test_imports(tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mlp.dl").write_text(
        "axis N, D = 4\nmodel Net(x: f32[N, D]) -> f32[N]:\n    return x |> Linear(D -> ())\n"
    )
    (tmp_path / "fit.dl").write_text(
        "from nets.mlp import Net, N, D\n"
        "train fit:\n    batch N = 8\n    step(x: f32[N, D], y: f32[N]):\n"
        "        minimize mean((Net(x) - y) ** 2) wrt Net using sgd(0.1)\n"
    )
    program = check_file(tmp_path / "fit.dl")
    assert list(program.models) == ["Net"]
    assert len(program.sources) == 2
    assert program.warnings == ()
    assert program.recipes["fit"].steps[0].inputs[0].type.sizes[1].constant == 4
