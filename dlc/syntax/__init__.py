"""From the text of a `.dl` file to its syntax tree; `formatter` has the way back."""

from dlc.syntax.parser import parse
from dlc.syntax.sources import read_source

__all__ = ["parse", "read_source"]
