"""Programs that would take all time or memory are refused before anything is allocated."""

from __future__ import annotations

import pytest

from dlc.diagnostics import DlcError, Source, render
from dlc.semantics import check_file

AXES = "axis N, D = 4, A, B, K\n"
BIG = 10**15


def model(*body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body)
    return f"{AXES}model M(x: f32[N, D]) -> f32[N, D]:\n{lines}"


def functions(count: int, call: str) -> str:
    """`q0` to `q{count}`, each of which calls the one before."""
    head = "def q{}(x: float[..]) -> float[..]:\n    return {}\n"
    others = (head.format(k, call.format(k - 1, k - 1)) for k in range(1, count + 1))
    return head.format(0, "x") + "".join(others) + model(f"return q{count}(x)")


def tower(count: int) -> str:
    """A list of 2 ** count numbers in `count` lines."""
    return "T0 = [1]\n" + "".join(f"T{k} = [T{k - 1}, T{k - 1}]\n" for k in range(1, count))


GROUP = ", ".join(f"A{k}" for k in range(60))
CASES = {
    "a long loop": (model("for i in range(10 ** 9):", "    x = x + 1", "return x"), "E0611"),
    "a long list": ("R = range(10 ** 12)\n" + model("return x"), "E0611"),
    "loops in loops": (
        model("for i in range(99999):", "    for j in range(99999):", "        k = j", "return x"),
        "E0611",
    ),
    "many layers": (
        model("for i in range(100000):", "    x = x |> Linear(D -> D)", "return x"), "E06"
    ),
    "an axis": (model("return x").replace("D = 4", "D = 10 ** 12"), "E0612"),
    "an axis in brackets": (model("return x |> Linear(D -> H=10 ** 12)"), "E0612"),
    "a product of sizes": (
        f"axis {GROUP.replace(',', '=2,')}=2\n" + model(f"return x + sum(normal[{GROUP}])"), "E0612"
    ),
    "parameters": (model("return x |> Linear(D -> H=2 ** 30) |> Linear(H -> G=2 ** 9)"), "E0607"),
    "activations": (
        model(
            "a = x |> Linear(D -> P=2 ** 20)", "b = x |> Linear(D -> Q=2 ** 19)",
            "return x * max(dot(a, b, over=N), over=(P, Q))",
        ), "E0607"
    ),
    "brackets": (model("return " + "(" * 100_000 + "x" + ")" * 100_000), "E0601"),
    "lists": ("L = " + "[" * 100_000 + "]" * 100_000 + "\n" + model("return x"), "E0601"),
    "calls": (model("return " + "relu(" * 5000 + "x" + ")" * 5000), "E0601"),
    "signs": (model("return " + "-" * 20_000 + "x"), "E0601"),
    "a long sum": (model("return x" + " + x" * 20_000), "E0601"),
    "a long chain": (model("return x" + " |> relu" * 5000), "E0601"),
    "blocks": (model(*("    " * k + "if true:" for k in range(300)), "    " * 300 + "return x"),
               "E0601"),
    "split": (model(f"return split(x, D -> (A={BIG}, B))"), "E0612"),
    "pad": (model(f"return pad(x, D=({BIG}, {BIG}))"), "E0612"),
    "window": (model(f"return window(x, D -> (D, K={BIG}), pad={BIG})"), "E0612"),
    "stride": (model(f"return window(x, D -> (D, K=3), stride={BIG}, dilation={BIG})"), "E0216"),
    "kernel": (model("return x |> Conv(D -> D, kernel=10 ** 9, over=N)"), "E0607"),
    "a list that doubles": (
        model("a = [1, 2]", "for i in range(60):", "    a = a + a", "return x"), "E0611"
    ),
    "a number that squares": (
        model("a = 3", "for i in range(60):", "    a = a * a", "return x * a"), "E0612"
    ),
    "powers": (model("return x * 10 ** 10 ** 10"), "E0612"),
    "a tower of lists": (
        tower(60) + f"axis {GROUP}\n" + model(f"return x + sum(constant(T59, ({GROUP})))"), "E0419"
    ),
    "functions that call twice": (functions(40, "q{}(x) + q{}(x)"), "E06"),
    "functions that call": (functions(3000, "q{}(x)"), "E0613"),
    "a cycle of functions": (
        "def f(x: float[..]) -> float[..]:\n    return g(x)\n"
        "def g(x: float[..]) -> float[..]:\n    return f(x)\n" + model("return f(x)"),
        "E0604",
    ),
    "a layer in itself": (
        "layer L(n: int)(x: float[..]) -> float[..]:\n    return x |> L(n - 1)\n"
        + model("return x |> L(100000)"),
        "E0604",
    ),
    "models in each other": (
        AXES + "model A1(x: f32[N]) -> f32[N]:\n    return B1(x)\n"
        "model B1(x: f32[N]) -> f32[N]:\n    return A1(x)\n",
        "E0604",
    ),
    "constants in a row": (
        "".join(f"C{k} = C{k + 1} + 1\n" for k in range(5000)) + "C5000 = 1\n" + model("return x"),
        "E0613",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_explosions_are_refused(name):
    text, code = CASES[name]
    with pytest.raises(DlcError) as caught:
        check_file(Source("large.dl", text))
    found = [case.code for case in caught.value.diagnostics]
    assert any(c.startswith(code) for c in found), found
    assert len(found) <= 3, found
    for case in caught.value.diagnostics:
        assert len(render(case).splitlines()[0]) < 200


def test_a_long_text_takes_linear_time():
    numbers = ", ".join(["1"] * 20_000)
    lines = "".join(f"    y{k} = x\n" for k in range(5000))
    check_file(Source("long.dl", f"L = [{numbers}]\n" + model("y = x") + lines + "    return x\n"))
