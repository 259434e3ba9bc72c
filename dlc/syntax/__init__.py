"""From the text of a `.dl` file to its syntax tree, and back to canonical text."""
