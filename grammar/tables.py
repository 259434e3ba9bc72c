"""Writes `dlc/syntax/lalr.py`, the parse tables that Lark makes of `dl.lark`.

Run `python -m grammar.tables` after a change of the grammar; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lark
from lark.lexer import PatternStr
from lark.parsers.lalr_analysis import Shift

HERE = Path(__file__).parent
TARGET = HERE.parent / "dlc" / "syntax" / "lalr.py"
HEADER = '''"""The parse tables of `dl.lark`; written by `python -m grammar.tables`, never by hand.

A rule is (symbol, length, method of the builder, children, expand): `children` are triples (place,
whether its own children stand for it, how many None come before) and a last number of None; with
`expand` a single child stands for the node. A state lists, for each symbol, the state that follows
or, negative, the rule to reduce: -1 is rule 0.
"""
# fmt: off
# ruff: noqa: E501

'''


def text() -> str:
    """The module's text."""
    parser: Any = lark.Lark(
        (HERE / "dl.lark").read_text("utf-8"),
        parser="lalr", start="file", keep_all_tokens=True, maybe_placeholders=True,
    )  # fmt: skip
    table = parser.parser.parser._parse_table
    order = _order(table.states, table.start_states["file"])
    places = {state: place for place, state in enumerate(order)}
    rules = sorted({a[1] for s in table.states.values() for a in s.values() if a[0] is not Shift},
                   key=lambda rule: (rule.origin.name, rule.order, str(rule)))  # fmt: skip
    numbers = {rule: place for place, rule in enumerate(rules)}
    words = {t.name: t.pattern.value for t in parser.terminals if isinstance(t.pattern, PatternStr)}
    lines = [
        HEADER,
        f"START, END = 0, {places[table.end_states['file']]}\n\n",
        "WORDS = {\n",
        *(f"    {name!r}: {word!r},\n" for name, word in sorted(words.items())),
        "}\n\nRULES = (\n",
        *(f"    {_rule(rule)!r},\n" for rule in rules),
        ")\n\nSTATES = (\n",
        *(f"    {_state(table.states[state], places, numbers)!r},\n" for state in order),
        ")\n",
    ]
    return "".join(lines).replace("'", '"')


def _rule(rule: Any) -> tuple[str, int, str, tuple[Any, ...], bool]:
    left_out = rule.options.empty_indices or [False] * len(rule.expansion)
    children: list[Any] = []
    absent = place = 0
    for missing in left_out:
        if missing:
            absent += 1
            continue
        symbol = rule.expansion[place]
        children.append((place, not symbol.is_term and symbol.name.startswith("_"), absent))
        absent, place = 0, place + 1
    children.append(absent)
    method = rule.alias or rule.origin.name
    expand = bool(rule.options.expand1) and not rule.alias
    return str(rule.origin.name), len(rule.expansion), str(method), tuple(children), expand


def _order(states: dict[int, dict[str, Any]], start: int) -> list[int]:
    """The states in the order in which they are met from the start, whatever their numbers."""
    order = [start]
    for state in order:
        for _, (kind, target) in sorted(states[state].items(), key=lambda entry: entry[0]):
            if kind is Shift and target not in order:
                order.append(target)
    return order


def _state(actions: dict[str, Any], places: dict[int, int], numbers: dict[Any, int]) -> str:
    return " ".join(
        f"{symbol} {places[arg] if kind is Shift else -1 - numbers[arg]}"
        for symbol, (kind, arg) in sorted(actions.items(), key=lambda entry: entry[0])
    )


if __name__ == "__main__":
    TARGET.write_text(text(), "utf-8")
