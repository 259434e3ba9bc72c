"""The parse tables in the package are those that Lark makes of the grammar."""

from dlc.syntax import lalr
from grammar import tables


def test_tables_are_those_of_the_grammar():
    written = tables.TARGET.read_text("utf-8")
    assert written == tables.text(), "run `python -m grammar.tables`"


def test_every_state_leads_somewhere():
    for row in lalr.STATES:
        targets = [int(word) for word in row.split(" ")[1::2]]
        assert all(-len(lalr.RULES) <= t < len(lalr.STATES) for t in targets)
