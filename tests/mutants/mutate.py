"""Programs with something changed: most are wrong, some mean something else, none may crash."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = sorted((Path(__file__).parent / "programs").glob("*.dl"))
EXAMPLES = sorted([*ROOT.glob("examples/*.dl"), *ROOT.glob("dlc/templates/*/*.dl")])
EXAMPLES_SHARE = 0.03
"""Of the mutants; they take ten times as long to check as the small programs."""
SHRUNK = {"400": "19", "256": "17", "128": "9", "64": "18", "32": "8", "28": "10", "20": "5",
          "16": "6"}  # fmt: skip
"""Sizes of the examples that are smaller here, so that a step of each mutant runs in no time."""

TOKEN = re.compile(r'"[^"\n]*"|\d[\d_.]*(?:e-?\d+)?|\w+|\|>|->|<-|\.\.|[-+*/=<>!]+|\n *|[ ]+|\S')
NAME = re.compile(r"[A-Za-z_]\w*$")
DTYPES = ("f32", "f64", "f16", "bf16", "i32", "i64", "u8", "bool", "float", "int")
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", "->", "<-", "|>", "..")
NUMBERS = ("0", "1", "2", "3", "5", "8", "100", "1.5", "-1", "0.0", "1e9", "10 ** 12", "1e400")
WORDS = (
    "Linear", "Conv", "relu", "normal", "softmax", "sum", "mean", "max", "var", "grad", "pad",
    "window", "concat", "index", "size", "argsort", "true", "inf", "step", "training", "split",
    "merge", "bernoulli", "cast", "range", "stack", "scatter", "rename", "flip", "for", "if",
    "and", "not", "return", "layer", "axis", "param", "x", "N", "T", "K", '"same"', "(", ")", "[",
    "]", ",", ":", "()", "\t", "\u2192", "'", "inference", "minimize", "scan", "Attention",
)  # fmt: skip
Tokens = list[str]


def delete(rng: random.Random, tokens: Tokens) -> None:
    """One token less."""
    del tokens[rng.randrange(len(tokens))]


def double(rng: random.Random, tokens: Tokens) -> None:
    """One token twice."""
    place = rng.randrange(len(tokens))
    tokens.insert(place, tokens[place])


def swap(rng: random.Random, tokens: Tokens) -> None:
    """Two tokens in each other's place."""
    a, b = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    tokens[a], tokens[b] = tokens[b], tokens[a]


def replace_word(rng: random.Random, tokens: Tokens) -> None:
    """A name becomes another name of the program, or a word of the language."""
    names = _places(tokens, lambda t: bool(NAME.match(t)))
    if names:
        other = tokens[rng.choice(names)] if rng.random() < 0.7 else rng.choice(WORDS)
        tokens[rng.choice(names)] = other


def rename_everywhere(rng: random.Random, tokens: Tokens) -> None:
    """All places of a name get the name of another: axes and values collide."""
    names = sorted({t for t in tokens if NAME.match(t)})
    if names:
        old, new = rng.choice(names), rng.choice(names)
        tokens[:] = [new if t == old else t for t in tokens]


def change_number(rng: random.Random, tokens: Tokens) -> None:
    """Another number."""
    _change(rng, tokens, lambda t: t[0].isdigit(), NUMBERS)


def change_dtype(rng: random.Random, tokens: Tokens) -> None:
    """Another dtype."""
    _change(rng, tokens, lambda t: t in DTYPES, DTYPES)


def change_operator(rng: random.Random, tokens: Tokens) -> None:
    """Another operator."""
    _change(rng, tokens, lambda t: t in OPERATORS, OPERATORS)


def drop_line(rng: random.Random, tokens: Tokens) -> None:
    """One line less."""
    lines = "".join(tokens).split("\n")
    del lines[rng.randrange(len(lines))]
    tokens[:] = TOKEN.findall("\n".join(lines))


def swap_lines(rng: random.Random, tokens: Tokens) -> None:
    """Two lines in each other's place."""
    lines = "".join(tokens).split("\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    tokens[:] = TOKEN.findall("\n".join(lines))


MUTATIONS = (
    delete, double, swap, replace_word, replace_word, replace_word, rename_everywhere,
    change_number, change_number, change_dtype, change_operator, change_operator, drop_line,
    swap_lines,
)  # fmt: skip


def mutant(seed: int, share: float = EXAMPLES_SHARE) -> str:
    """The program of a seed: one to three changes of one of the programs.

    `share` is that of the examples.
    """
    rng = random.Random(seed)
    tokens = TOKEN.findall(_original(rng, share))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if tokens:
            rng.choice(MUTATIONS)(rng, tokens)
    return "".join(tokens)


def _original(rng: random.Random, share: float) -> str:
    """An example now and then, else a small program: the shorter, the more often."""
    if rng.random() < share:
        return original(rng.choice(EXAMPLES))
    texts = [original(path) for path in SMALL]
    return rng.choices(texts, [1 / len(text) for text in texts])[0]


@cache
def original(path: Path) -> str:
    """The text of a program, of an example with smaller sizes."""
    text = path.read_text("utf-8")
    if path in SMALL:
        return text
    return re.sub(r"\b\d+\b", lambda found: SHRUNK.get(found.group(), found.group()), text)


def _places(tokens: Tokens, wanted: Callable[[str], bool]) -> list[int]:
    return [place for place, token in enumerate(tokens) if wanted(token)]


def _change(
    rng: random.Random, tokens: Tokens, wanted: Callable[[str], bool], others: tuple[str, ...]
) -> None:
    places = _places(tokens, wanted)
    if places:
        tokens[rng.choice(places)] = rng.choice(others)
