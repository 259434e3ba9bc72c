"""The programs of the tests, and seeded damage done to them."""

import random
import re
from pathlib import Path

PROGRAMS = {
    path.stem: path.read_text("utf-8")
    for path in sorted((Path(__file__).parent / "programs").glob("*.dl"))
}
_PIECES = re.compile(r"\n[ \t]*|[ \t]+|\w+|\"[^\"\n]*\"|[^\w\s]")
_STRANGE = [
    "(", ")", "[", "]", "\n", "    ", "\t", "|>", "=", "==", ":", ",", "..", "->", "<-", "-", "#",
    '"', '"""', "\0", "\r", "\ufeff", "é", "if", "def", "not", "step", "1_", "1e999", "&&",
]  # fmt: skip


def excerpt(rng: random.Random) -> str:
    """A program, or a thousand characters of a long one, from the start of a line."""
    text = rng.choice(list(PROGRAMS.values()))
    if len(text) > 1500:
        start = text.rfind("\n", 0, rng.randrange(len(text) - 1000)) + 1
        text = text[start : start + 1000]
    return text


def mutant(rng: random.Random) -> str:
    """An excerpt with tokens deleted, doubled, swapped or replaced, or its end cut off."""
    pieces = _PIECES.findall(excerpt(rng))
    for _ in range(rng.randint(1, 4)):
        here, there = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        match rng.randrange(5):
            case 0:
                del pieces[here : here + rng.randint(1, 3)]
            case 1:
                pieces.insert(here, pieces[there])
            case 2:
                pieces[here], pieces[there] = pieces[there], pieces[here]
            case 3:
                pieces = pieces[: max(here, 3)]
            case _:
                pieces[here] = rng.choice(_STRANGE)
        pieces = pieces or ["x"]
    return "".join(pieces)


def respaced(rng: random.Random, text: str) -> str:
    """The text with other spaces, comments and breaks, and the same meaning."""
    depth = 0
    out = []
    for piece in _SPACED.findall(text):
        depth += (piece in "([") - (piece in ")]") if len(piece) == 1 else 0
        if piece.startswith(" ") and len(piece) == 1:
            choices = [" ", "  ", "   "] + (
                ["\n", "  # note\n ", "\n# own row\n  "] if depth else []
            )
            piece = rng.choice(choices) if rng.random() < 0.3 else " "
        elif piece == "," and rng.random() < 0.1:
            piece = " ,"
        elif piece == "\n" and depth == 0 and rng.random() < 0.2:
            piece = rng.choice(["\n\n", "\n\n\n\n", "  # end\n", "\n  # own\n", "\n# own\n", " \n"])
        elif piece == "|>" and rng.random() < 0.5:
            piece = rng.choice(["\n|>", "\n        |>", "\n    # chain\n    |>", "  # why\n  |>"])
        out.append(piece)
    return "".join(out)


_SPACED = re.compile(r'"""[\s\S]*?"""|"[^"\n]*"|#[^\n]*|\n *|\|>| |[\w.]+|[^\w\s]|\s')
