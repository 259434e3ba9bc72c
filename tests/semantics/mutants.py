"""Programs with a few words changed: most are wrong, some mean something else, none may crash."""

from __future__ import annotations

import random
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PIECES = re.compile(r"\"[^\"\n]*\"|\w+|\|>|->|<-|\.\.|\S|\n *| +")
NAME, NUMBER = re.compile(r"[A-Za-z_]\w*$"), re.compile(r"\d")
OPERATORS = ("+", "-", "*", "/", "//", "**", "==", "<", "->", "|>")
NUMBERS = ("0", "1", "2", "3", "7", "8", "100", "1.5", "-1", "1e9", "10 ** 12")
KEYWORDS = frozenset((
    "axis", "model", "train", "step", "return", "def", "layer", "param", "state", "hyper", "using",
    "wrt", "minimize", "metric", "batch", "if", "else", "for", "in", "optimizer",
))  # fmt: skip
WORDS = (
    "Linear", "relu", "normal", "softmax", "sum", "mean", "max", "var", "grad", "pad", "window",
    "concat", "index", "size", "argsort", "true", "inf", "step", "training", "Conv", "split",
    "merge", "bernoulli", "cast", "f32", "i32", "range", "stack", "scatter", "rename", "flip",
)  # fmt: skip


def programs() -> list[str]:
    """The examples and the template."""
    files = [*ROOT.glob("examples/*.dl"), *ROOT.glob("dlc/templates/*/*.dl")]
    return [path.read_text("utf-8") for path in sorted(files)]


def mutant(rng: random.Random, texts: list[str]) -> str:
    """A program with one to three words, numbers or operators replaced or swapped."""
    pieces = PIECES.findall(rng.choice(texts))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        names = [k for k, p in enumerate(pieces) if NAME.match(p) and p not in KEYWORDS]
        numbers = [k for k, p in enumerate(pieces) if NUMBER.match(p)]
        signs = [k for k, p in enumerate(pieces) if p in OPERATORS]
        kind = rng.random()
        if kind < 0.6:
            pieces[rng.choice(names)] = rng.choice([*(pieces[k] for k in names), *WORDS])
        elif kind < 0.75 and numbers:
            pieces[rng.choice(numbers)] = rng.choice(NUMBERS)
        elif kind < 0.85 and signs:
            pieces[rng.choice(signs)] = rng.choice(OPERATORS)
        else:
            a, b = rng.choice(names), rng.choice(names)
            pieces[a], pieces[b] = pieces[b], pieces[a]
    return "".join(pieces)
