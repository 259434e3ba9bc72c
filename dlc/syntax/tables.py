"""The parse tables: made by Lark from `dl.lark`, kept in the cache, built once in a process."""

from __future__ import annotations

import hashlib
import marshal
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lark
from lark.grammar import Rule
from lark.lexer import PatternStr, TerminalDef

from dlc import cache as store
from dlc.syntax.builder import Builder
from dlc.syntax.lexer import Token


class Machine:
    """A parse under way: Lark's interactive parser, fed with the tokens of `dlc.syntax.lexer`."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def choices(self) -> Mapping[str, object]:
        """The terminals that may come next, and some that may not."""
        choices: Mapping[str, object] = self._parser.choices()
        return choices

    def accepts(self) -> set[str]:
        """Exactly the terminals that may come next; slower than `choices`, which knows more."""
        accepted: set[str] = self._parser.accepts()
        return accepted

    def feed(self, token: Token) -> bool:
        """Take a token; False if it may not come here (the state is then spoiled)."""
        if token.type not in self.choices():
            return False
        try:
            self._parser.feed_token(token)
        except lark.UnexpectedToken:
            return False
        return True

    def finish(self) -> Any:
        """What the builder made of the whole text."""
        return self._parser.feed_eof()

    def copy(self) -> Machine:
        """A parse that goes on from the same place."""
        return Machine(self._parser.copy(deepcopy_values=False))


@dataclass(frozen=True, slots=True)
class Grammar:
    """The parser and its words and operators."""

    parser: lark.Lark
    terminals_by_text: dict[str, str]
    texts_by_terminal: dict[str, str]

    def start(self) -> Machine:
        """A parse at the start of a file."""
        return Machine(self.parser.parse_interactive())


@cache
def grammar() -> Grammar:
    """The grammar of the language."""
    parser = _parser(grammar_text())
    fixed = [t for t in parser.terminals if isinstance(t.pattern, PatternStr)]
    return Grammar(
        parser,
        {terminal.pattern.value: terminal.name for terminal in fixed},
        {terminal.name: terminal.pattern.value for terminal in fixed},
    )


def grammar_text() -> str:
    """The text of `dl.lark`: beside `dlc` in a checkout, else of the package `dlc_grammar`."""
    checkout = Path(__file__).parents[2] / "grammar" / "dl.lark"
    if checkout.is_file():
        return checkout.read_text("utf-8")
    data = pkgutil.get_data("dlc_grammar", "dl.lark")
    assert data is not None
    return data.decode("utf-8")


def _parser(text: str) -> lark.Lark:
    key = hashlib.sha256(f"{text}\0{lark.__version__}\0{sys.version}".encode()).hexdigest()
    tables = store.get("grammar", key)
    if tables is None:
        tables = _built(text)
        store.put("grammar", key, tables)
    data, memo = marshal.loads(tables)
    load: Any = lark.Lark._load_from_dict
    parser = load(data, memo, transformer=Builder())
    assert isinstance(parser, lark.Lark)
    return parser


def _built(text: str) -> bytes:
    """The tables as plain data (no pickle), as Lark's stand-alone parsers hold them."""
    parser = lark.Lark(
        text, parser="lalr", start="file", keep_all_tokens=True, maybe_placeholders=True
    )
    tables: tuple[dict[str, Any], dict[int, Any]] = parser.memo_serialize([TerminalDef, Rule])
    return marshal.dumps(tables)
