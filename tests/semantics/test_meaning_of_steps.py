"""What training steps mean: updates, states, metrics, against NumPy written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.semantics.programs import (
    RNG,
    close,
    execute,
    floats,
    initial,
    load,
    softmax,
)


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


def test_a_metric_to_monitor_of_one_of_two_steps():
    steps = "".join(
        f"    step {name}(x: f32[N, F]):\n"
        f"        minimize mean({model}(x) ** 2) wrt {model} using sgd(0.1)\n"
        for name, model in (("a", "A"), ("b", "B"))
    )
    models = "".join(
        f"model {name}(x: f32[N, F]) -> f32[N]:\n    return x |> Linear(F -> ())\n" for name in "AB"
    )
    text = f'axis N, F = 3\n{models}train fit:\n    monitor = "b.loss"\n{steps}'
    assert load(text).recipes["fit"].settings["monitor"] == "b.loss"
