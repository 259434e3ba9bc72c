"""The verifier: what must hold of every graph between any two passes."""

from __future__ import annotations

from dlc.graph import INTEGERS, UPDATE, Graph, Node, RangeCheck
from dlc.ops.op import REGISTRY, TypeRuleError
from dlc.reference.text import print_graph


def verify(graph: Graph) -> Graph:
    """The graph itself. Raises AssertionError with its text where something does not hold."""
    faults = _faults(graph)
    if faults:
        raise AssertionError("\n".join([*faults, _text(graph)]))
    return graph


def _faults(graph: Graph) -> list[str]:
    faults = _interface_faults(graph)
    done: set[Node] = set()
    for number, node in enumerate(graph.nodes):
        problem = "before its operand (a cycle)" if set(node.args) - done else _fault(node)
        done.add(node)
        if problem:
            faults.append(f"node {number}, {node}: {problem}")
        for body in node.attrs.values():
            if isinstance(body, Graph):
                faults += [f"in the body of node {number}: {fault}" for fault in _faults(body)]
    return faults


def _fault(node: Node) -> str | None:
    if node.op == "input":
        missing = {"name", "role"} - set(node.attrs)
        return f"an input without {sorted(missing)}" if missing or node.args else None
    if node.op not in REGISTRY:
        return f"no op is called {node.op}"
    try:
        type = REGISTRY[node.op].type([a.type for a in node.args], node.attrs)
    except TypeRuleError as error:
        return f"its operands do not fit: {error}"
    except (KeyError, ValueError, IndexError, TypeError) as error:
        return f"its operands or attributes are not those of {node.op}: {error!r}"
    return None if type == node.type else f"its rule says {type}, the node {node.type}"


def _interface_faults(graph: Graph) -> list[str]:
    faults = []
    inputs = {str(node.attrs.get("name")): node for node in graph.inputs}
    if len(inputs) != len(graph.inputs):
        faults.append("two inputs have one name")
    known = set(graph.inputs)
    faults += [
        f"input {node.attrs.get('name')} is not listed"
        for node in graph.nodes
        if node.op == "input" and node not in known
    ]
    faults += [f"a listed input is a {node.op}" for node in known if node.op != "input"]
    for name, node in graph.outputs.items():
        target = inputs.get(name.removeprefix(UPDATE))
        if name.startswith(UPDATE) and (target is None or target.type != node.type):
            faults.append(f"{name} is {node.type}, its input {target and target.type}")
    for check in graph.checks:
        if isinstance(check, RangeCheck):
            checked = inputs.get(check.input)
            if checked is None or checked.type.dtype not in INTEGERS:
                faults.append(f"a range check of {check.input}, which is no integer input")
    return faults


def _text(graph: Graph) -> str:
    try:
        return print_graph(graph)
    except (TypeError, KeyError) as error:
        return f"(the graph has no text form: {error})"
