"""What a network covers, and what a value depends on."""

from __future__ import annotations

from dlc.graph import FLOATS, Node
from dlc.semantics.machine import Machine


def closure(machine: Machine, paths: list[str]) -> list[str]:
    """Instances with all the models that they call."""
    found: list[str] = []
    pending = list(paths)
    while pending:
        path = pending.pop(0)
        if path in found:
            continue
        found.append(path)
        for caller, models in machine.model_calls.items():
            if inside(caller, [path]):
                pending += sorted(models)
    return found


def inside(path: str, roots: list[str]) -> bool:
    """Whether a path is one of the roots or below one."""
    return any(path == r or path.startswith(r + ".") for r in roots)


def differentiable(loss: Node) -> set[Node]:
    """The nodes that a gradient of the loss can reach."""
    seen: set[Node] = set()
    stack = [loss]
    while stack:
        node = stack.pop()
        if node in seen or node.op == "stop_gradient" or node.type.dtype not in FLOATS:
            continue
        seen.add(node)
        stack.extend(node.args)
    return seen


def depends(node: Node) -> bool:
    """Whether a value depends on data, a parameter or a draw."""
    seen: set[Node] = set()
    stack = [node]
    while stack:
        here = stack.pop()
        if here in seen:
            continue
        seen.add(here)
        if here.op == "uniform" or (here.op == "input" and here.attrs["role"] != "hyper"):
            return True
        stack.extend(here.args)
    return False
