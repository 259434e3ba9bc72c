"""Where the size of an axis came from: read off the graph backwards, when a message needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dlc.diagnostics import Label, Span
from dlc.graph import Axis, Node

MAKES: dict[str, Callable[[Node, Axis], bool]] = {
    "split": lambda n, a: any(p == a for p, _ in n.attrs["parts"]),
    "merge": lambda n, a: n.attrs["into"] == a,
    "slice": lambda n, a: n.attrs["axis"] == a,
    "pad": lambda n, a: n.attrs["axis"] == a,
    "window": lambda n, a: a in (n.attrs["axis"], n.attrs["tap"]),
    "unwindow": lambda n, a: n.attrs["axis"] == a,
    "concat": lambda n, a: n.attrs["axis"] == a,
}
"""Ops that give an axis another size, and how to see that it is this axis."""


def origin(node: Node, axis: Axis, declared: Mapping[Axis, Span]) -> Span | None:
    """The place that gave `axis` of `node` its size; `declared` knows axes from brackets."""
    while True:
        if axis in declared and node.op == "input":
            return declared[axis]
        makes = MAKES.get(node.op)
        if not node.args or (makes is not None and makes(node, axis)):
            return node.spans[0] if node.spans else declared.get(axis)
        if node.op == "rename":
            back = {new: old for old, new in node.attrs["mapping"]}
            if node.args[0].type.has(back.get(axis, axis)):
                axis = back.get(axis, axis)
        source = _source(node, axis)
        if source is None:
            return node.spans[0] if node.spans else None
        node = source


def _source(node: Node, axis: Axis) -> Node | None:
    holders = [a for a in node.args if a.type.has(axis)]
    if not node.type.has(axis):
        return holders[0] if holders else None
    same = [a for a in holders if a.type.size(axis) == node.type.size(axis)]
    return same[0] if same else None


def size_note(node: Node, axis: Axis, declared: Mapping[Axis, Span]) -> tuple[Label, ...]:
    """A remark that shows where the size came from; none if no place is known."""
    span = origin(node, axis, declared)
    if span is None or not node.type.has(axis):
        return ()
    return (Label(span, f"became {node.type.size(axis)} here"),)


def spoken(node: Node) -> str:
    """What a user calls a value: the name of an input, or the text that made it."""
    here = node
    while here.op in ("rename", "cast", "broadcast"):
        here = here.args[0]
    if here.op == "input":
        return str(here.attrs["name"])
    text = " ".join(node.spans[0].text.split()) if node.spans else ""
    return f"`{text}`" if 0 < len(text) <= 40 else "a tensor"
