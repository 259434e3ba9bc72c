"""From the text of a `.dl` file to its syntax tree, and back to canonical text."""

from dlc.syntax.formatter import format_source
from dlc.syntax.parser import parse
from dlc.syntax.sources import read_source

__all__ = ["format_source", "parse", "read_source"]
