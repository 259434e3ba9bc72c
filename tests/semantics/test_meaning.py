"""What programs mean: elaborated graphs, interpreted, against NumPy written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlc.semantics import check_file
from tests.semantics.programs import execute, initial, load, run_model, value

RNG = np.random.default_rng(7)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def close(got, want, tolerance=1e-5):
    want = np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


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


def test_a_model_takes_a_shorter_text():
    text = """
axis N, T, V = 7, D = 4
model M(x: i32[N, T]) -> f32[N, T, V]:
    layer embed = Embedding(V -> D)
    return embed(x) |> Linear(D -> V)
train fit:
    batch N = 2, T = 4
    step(x: i32[N, T]):
        logits = M(x[T=:-1])
        minimize mean(cross_entropy(logits, x[T=1:], over=V)) wrt M using adam(1e-3)
"""
    program = load(text)
    (step,) = program.recipes["fit"].steps
    x = RNG.integers(0, 7, (2, 5)).astype(np.int32)
    p = initial(program, "fit")
    logits = p["M.embed.table"][x[:, :-1]] @ p["M.linear_0.weight"] + p["M.linear_0.offset"]
    chosen = np.take_along_axis(np.log(softmax(logits, 2)), x[:, 1:, None], 2)
    got = execute(program, step.graph, {**p, "x": x})["metric:loss"]
    assert float(got) == pytest.approx(-chosen.mean(), rel=1e-5)


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


BATCH_NORM = """
axis N, D = 3
layer Norm(C, momentum: float = 0.1)(x: float[.., C]) -> float[.., C]:
    param scale: float[C] = 2, decay=false
    state center: float[C] = 0
    if training:
        m = mean(x, over=..)
        center <- (1 - momentum) * center + momentum * m
    else:
        m = center
    return (x - m) * scale
model A(x: f32[N, D]) -> f32[N, D]:
    return x |> Norm(D)
model B(x: f32[N, D]) -> f32[N, D]:
    return x |> Norm(D)
train fit:
    batch N = 4
    step both(x: f32[N, D]):
        minimize mean((A(x) - B(x) - 1) ** 2) wrt A using sgd(0.1)
    step teacher(x: f32[N, D]):
        minimize mean((A(x) - inference(B)(x)) ** 2) wrt A using sgd(0.1)
"""


def test_states_of_trained_networks_only():
    program = load(BATCH_NORM)
    both, teacher = program.recipes["fit"].steps
    arrays = {**initial(program, "fit"), "x": floats(4, 3) + 5}
    out = execute(program, both.graph, arrays)
    updated = {n for n in out if n.startswith("update:")}
    assert updated == {"update:A.norm_0.scale", "update:A.norm_0.center"}
    close(out["update:A.norm_0.center"], 0.1 * arrays["x"].mean(0))
    x = arrays["x"]
    loss = np.mean(((x - x.mean(0)) * 2 - x * 2) ** 2)
    assert float(execute(program, teacher.graph, arrays)["metric:loss"]) == pytest.approx(loss)
    assert "update:A.norm_0.center" not in execute(program, both.evaluation, arrays)


MLP = """
axis N, D = 5, K = 3
hyper lr: float = 0.01 in log(1e-5, 1e-1)
hyper width: int = 4 in [4, 8]
optimizer momentum_adam(lr: float, decay = 0.1, clip_norm = 0.5)(p, g):
    state m = 0
    g = g * minimum(1, clip_norm / grad_norm)
    if p.decay:
        p = p - lr * decay * p
    m <- 0.9 * m + 0.1 * g
    return p - lr * m / (1 - 0.9 ** step)
model Net(x: f32[N, D]) -> f32[N, K]:
    return x |> Linear(D -> H=width) |> tanh |> Linear(H -> K)
train fit:
    data = npz("d.npz", x="x", y="y")
    validation = 0.25
    batch N = 4
    epochs = 3
    drop_last = true
    step(x: f32[N, D], y: i32[N]):
        logits = Net(x)
        minimize mean(cross_entropy(logits, y, over=K)) wrt Net using momentum_adam(2 * lr)
        metric accuracy = mean(argmax(logits, over=K) == y)
"""


def test_a_training_step():
    program = load(MLP)
    recipe = program.recipes["fit"]
    (step,) = recipe.steps
    assert (recipe.batch, recipe.epochs, recipe.settings["drop_last"]) == ({"N": 4}, 3, True)
    assert step.metrics == ("loss", "accuracy")
    arrays = {**initial(program, "fit"), "x": floats(4, 5), "y": np.array([0, 2, 1, 1], np.int32)}
    out = execute(program, step.graph, arrays, step=2)
    a, b = arrays["Net.linear_0.weight"], arrays["Net.linear_1.weight"]
    x, y = arrays["x"], np.eye(3)[arrays["y"]]
    h = np.tanh(x @ a + arrays["Net.linear_0.offset"])
    p = softmax(h @ b + arrays["Net.linear_1.offset"], 1)
    dz = (p - y) / 4
    dh = dz @ b.T * (1 - h**2)
    grads = {
        "linear_0.weight": x.T @ dh, "linear_0.offset": dh.sum(0),
        "linear_1.weight": h.T @ dz, "linear_1.offset": dz.sum(0),
    }  # fmt: skip
    norm = math.sqrt(sum((g**2).sum() for g in grads.values()))
    assert float(out["metric:loss"]) == pytest.approx(-np.log((p * y).sum(1)).mean(), rel=1e-5)
    for name, g in grads.items():
        path = f"Net.{name}"
        m = 0.1 * g * min(1, 0.5 / norm)
        decayed = arrays[path] * (1 - 0.02 * 0.1 * ("weight" in name))
        close(out[f"update:{path}:m"], m)
        close(out[f"update:{path}"], decayed - 0.02 * m / (1 - 0.9**2))


def test_hypers():
    program = load(MLP, width=8, lr="0.05")
    assert program.params["Net.linear_0.offset"].type.sizes[0].constant == 8
    assert (program.hypers["width"].fixed, program.hypers["lr"].fixed) == (True, False)
    (step,) = program.recipes["fit"].steps
    roles = {n.attrs["name"]: n.attrs["role"] for n in step.graph.inputs}
    assert roles["lr"] == "hyper"
    assert roles["Net.linear_0.weight:m"] == "slot"
    assert roles["step"] == "clock"


GAN = """
axis N, Z = 6, F = 8
model G(z: f32[N, Z]) -> f32[N, F]:
    return z |> Linear(Z -> F) |> tanh
model D(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> H=4) |> leaky_relu(0.2) |> Linear(H -> ())
train adversarial:
    batch N = 4
    step critic(x: f32[N, F]):
        fake = G(normal[N, Z])
        minimize mean(bce_logits(D(x), 1)) + mean(bce_logits(D(fake), 0)) wrt D using adam(2e-4)
    step generator() every 2:
        minimize mean(bce_logits(D(G(normal[N, Z])), 1)) wrt G using adam(2e-4)
"""


def test_gan_steps_train_their_own_network():
    program = load(GAN)
    critic, generator = program.recipes["adversarial"].steps
    assert (critic.every, generator.every) == (1, 2)
    trained = [
        {n.split(".")[0] for n in step.graph.outputs if n.startswith("update:")}
        for step in (critic, generator)
    ]
    assert trained == [{"update:D"}, {"update:G"}]
    arrays = {**initial(program, "adversarial"), "x": floats(4, 8)}
    one, two = (
        execute(program, generator.graph, arrays, {"N": 4}, step=s)["metric:loss"] for s in (1, 2)
    )
    assert one != two
    again = execute(program, generator.graph, arrays, {"N": 4}, step=1)["metric:loss"]
    assert one == again


def test_vae_loss():
    text = """
axis N, F = 8, Z = 3
hyper beta: float = 0.5
model Encoder(x: f32[N, F]) -> (mu: f32[N, Z], logvar: f32[N, Z]):
    return x |> Linear(F -> Z), x |> Linear(F -> Z)
model Decoder(z: f32[N, Z]) -> f32[N, F]:
    return z |> Linear(Z -> F)
train vae:
    step(x: f32[N, F]):
        mu, logvar = Encoder(x)
        z = mu + 0 * normal[N, Z]
        rec = sum(bce_logits(Decoder(z), x), over=F)
        kl = -0.5 * sum(1 + logvar - mu ** 2 - exp(logvar), over=Z)
        minimize mean(rec + beta * kl) wrt Encoder, Decoder using adam(1e-3)
"""
    program = load(text)
    assert [o.name for o in program.models["Encoder"].outputs] == ["mu", "logvar"]
    (step,) = program.recipes["vae"].steps
    x = RNG.uniform(0, 1, (2, 8)).astype(np.float32)
    arrays = {**initial(program, "vae"), "x": x}
    out = execute(program, step.graph, arrays)
    p = {k.replace(".linear", ""): v for k, v in arrays.items()}
    mu = x @ p["Encoder_0.weight"] + p["Encoder_0.offset"]
    logvar = x @ p["Encoder_1.weight"] + p["Encoder_1.offset"]
    y = mu @ p["Decoder_0.weight"] + p["Decoder_0.offset"]
    rec = (x * np.log1p(np.exp(-y)) + (1 - x) * np.log1p(np.exp(y))).sum(1)
    kl = -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(1)
    assert float(out["metric:loss"]) == pytest.approx(float((rec + 0.5 * kl).mean()), rel=1e-5)
    assert len([n for n in out if n.startswith("update:") and ":" not in n[7:]]) == 6


def test_a_part_is_trained():
    text = """
axis N, D = 4
model M(x: f32[N, D]) -> f32[N]:
    layer body = Linear(D -> D)
    layer head = Linear(D -> ())
    return x |> body |> head
train fit:
    step(x: f32[N, D]):
        minimize mean(M(x) ** 2) wrt M.head using sgd(0.1)
"""
    (step,) = load(text).recipes["fit"].steps
    assert {n for n in step.graph.outputs if n.startswith("update:")} == {
        "update:M.head.weight", "update:M.head.offset",
    }  # fmt: skip


def test_initial_values():
    program = load(MLP)
    one, two = initial(program, seed=1), initial(program, seed=2)
    assert list(one) == list(program.params)
    assert not one["Net.linear_0.offset"].any()
    assert (one["Net.linear_0.weight"] != two["Net.linear_0.weight"]).any()
    wide = load(MLP.replace("H=width", "H=2000"))
    weight = initial(wide)["Net.linear_0.weight"]
    assert abs(weight.std() - math.sqrt(2 / 5)) < 0.05 * math.sqrt(2 / 5)
    assert abs(weight.mean()) < 0.02


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


def test_a_size_as_metric():
    program = load("""
axis N, F = 3
model Line(x: f32[N, F]) -> f32[N]:
    return x |> Linear(F -> ())
train fit:
    step(x: f32[N, F]):
        minimize mean(Line(x) ** 2) wrt Line using sgd(0.1)
        metric double = 2 * N
""")
    (step,) = program.recipes["fit"].steps
    arrays = {**initial(program), "x": np.ones((5, 3), np.float32)}
    assert execute(program, step.graph, arrays)["metric:double"] == 10
