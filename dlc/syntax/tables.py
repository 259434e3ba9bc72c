"""An LALR parser over the tables of `dlc.syntax.lalr`, which Lark made of `grammar/dl.lark`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlc.syntax.builder import Builder
from dlc.syntax.lalr import END, RULES, START, STATES, WORDS
from dlc.syntax.lexer import Token

END_OF_TEXT = "$END"
TEXTS_BY_TERMINAL: dict[str, str] = WORDS
TERMINALS_BY_TEXT: dict[str, str] = {text: terminal for terminal, text in WORDS.items()}
_METHODS = [getattr(Builder(), method, None) for _, _, method, _, _ in RULES]
_SINGLE = [origin if length == 1 and expand else None for origin, length, _, _, expand in RULES]
"""The symbol of a rule that leaves its one child as it is."""
_ROWS: list[dict[str, int] | None] = [None] * len(STATES)
"""The states that were met, read."""


class Machine:
    """A parse under way, fed with the tokens of `dlc.syntax.lexer`."""

    __slots__ = ("_states", "_values")

    def __init__(self) -> None:
        self._states = [START]
        self._values: list[Any] = []

    def choices(self) -> Mapping[str, int]:
        """The terminals that may come next, and some that may not."""
        return _actions(self._states[-1])

    def accepts(self) -> set[str]:
        """Exactly the terminals that may come next; slower than `choices`, which knows more."""
        return {name for name in self.choices() if name.isupper() and self._takes(name)}

    def feed(self, token: Token) -> bool:
        """Take a token; False if it may not come here (the state is then spoiled)."""
        states, symbol = self._states, token.type
        while (action := (_ROWS[states[-1]] or _actions(states[-1])).get(symbol)) is not None:
            if action >= 0:
                states.append(action)
                self._values.append(token)
                return True
            single = _SINGLE[-1 - action]
            if single is None:
                self._reduce(-1 - action)
            else:
                states[-1] = (_ROWS[states[-2]] or _actions(states[-2]))[single]
        return False

    def finish(self) -> Any:
        """What the builder made of the whole text."""
        while self._states[-1] != END:
            action = _actions(self._states[-1])[END_OF_TEXT]
            assert action < 0
            self._reduce(-1 - action)
        return self._values[-1]

    def copy(self) -> Machine:
        """A parse that goes on from the same place."""
        other = Machine()
        other._states, other._values = self._states.copy(), self._values.copy()
        return other

    def _reduce(self, number: int) -> None:
        origin, length, _, children, expand = RULES[number]
        values, states = self._values, self._states
        given: list[Any] = []
        if length:
            given = values[-length:]
            del values[-length:], states[-length:]
        kept = _kept(given, children)
        method = _METHODS[number]
        if expand and len(kept) == 1:
            values.append(kept[0])
        else:
            values.append(kept if method is None else method(kept))
        states.append(_actions(states[-1])[origin])

    def _takes(self, symbol: str) -> bool:
        """Whether a terminal may come next, all reductions before it tried."""
        states = self._states.copy()
        while (action := _actions(states[-1]).get(symbol)) is not None:
            if action >= 0 or states[-1] == END:
                return True
            origin, length, *_ = RULES[-1 - action]
            if length:
                del states[-length:]
            states.append(_actions(states[-1])[origin])
            if symbol == END_OF_TEXT and states[-1] == END:
                return True
        return False


def _kept(given: list[Any], children: tuple[Any, ...]) -> list[Any]:
    """What the builder gets: values, the children of nameless rules, None for what is absent."""
    kept: list[Any] = []
    for place, inline, absent in children[:-1]:
        if absent:
            kept += [None] * absent
        if inline and not kept:
            kept = given[place]  # grows in place, or long lists would take quadratic time
        elif inline:
            kept += given[place]
        else:
            kept.append(given[place])
    if children[-1]:
        kept += [None] * children[-1]
    return kept


def _actions(state: int) -> dict[str, int]:
    """For each symbol the state that follows, or -1 less the rule to reduce."""
    row = _ROWS[state]
    if row is None:
        words = STATES[state].split(" ")
        row = _ROWS[state] = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return row
