"""What the generated tests of ops share: drawn operands and a small reverse-mode driver."""

from collections.abc import Sequence

import numpy as np

from dlc.diagnostics.record import replaced
from dlc.graph import FLOATS, Graph, Node, TensorType, input_node, order
from dlc.ops import REGISTRY, ZERO, Backward, Op, Sample, build
from dlc.ops.arrays import converted, shape_of
from dlc.reference.interpreter import interpret

CASES = [
    (op, k)
    for name, op in sorted(REGISTRY.items())
    if name != "grad"
    for k in range(len(op.samples))
]
IDS = [f"{op.name}-{k}" for op, k in CASES]


def smooth_cases() -> list[tuple[Op, int]]:
    """Samples with a float operand and a float result."""
    found = []
    for op, k in CASES:
        sample = op.samples[k]
        result = op.type(sample.types, sample.attrs)
        has_float = any(t.dtype in FLOATS for t in sample.types)
        if sample.smooth and has_float and result.dtype in FLOATS:
            found.append((op, k))
    return found


def widened(sample: Sample) -> Sample:
    """The sample in float64."""
    types = tuple(t.cast("f64") if t.dtype in FLOATS else t for t in sample.types)
    attrs = dict(sample.attrs)
    if attrs.get("dtype") in FLOATS:
        attrs["dtype"] = "f64"
    return replaced(sample, types=types, attrs=attrs)


def drawn(op: Op, sample: Sample, seed: int = 0) -> list[np.ndarray]:
    """Operand values as the sample describes them."""
    rng = np.random.default_rng(seed)
    return [_draw(op, sample, k, t, rng) for k, t in enumerate(sample.types)]


def _draw(op: Op, sample: Sample, k: int, type: TensorType, rng: np.random.Generator) -> np.ndarray:
    shape = shape_of(type)
    if type.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if type.dtype in FLOATS:
        values = {
            "positive": lambda: rng.uniform(0.5, 2.0, shape),
            "unit": lambda: rng.uniform(-0.9, 0.9, shape),
        }.get(sample.draw, lambda: rng.standard_normal(shape))()
        return converted(np.asarray(values), "f64", type.dtype)
    if sample.draw == "indices" and k:
        sizes = sample.attrs.get("sizes") or [sample.types[0].size(a) for a in sample.attrs["axes"]]
        return converted(rng.integers(0, sizes[k - 1].constant, shape), "i64", type.dtype)
    low = 0 if type.dtype == "u8" else -5
    values = rng.integers(low, 6, shape)
    return converted(np.where((values == 0) & (k > 0), 3, values), "i64", type.dtype)


def run(outputs: dict[str, Node], inputs: Sequence[Node], arrays: Sequence[np.ndarray]):
    """Interprets outputs of input nodes."""
    feeds = {n.attrs["name"]: a for n, a in zip(inputs, arrays, strict=True)}
    return interpret(Graph(tuple(inputs), outputs), feeds)


def applied(op: str, arrays: Sequence[object], types: Sequence[TensorType], **attrs: object):
    """The meaning of an op."""
    result = REGISTRY[op].type(types, attrs)
    return REGISTRY[op].meaning([np.asarray(a) for a in arrays], types, result, attrs)


def inputs_of(types: Sequence[TensorType]) -> list[Node]:
    """An input node for each type."""
    return [input_node(f"x{k}", t) for k, t in enumerate(types)]


def gradients(y: Node, cotangent: Node, wrt: Sequence[Node]) -> list[Node]:
    """Reverse mode over the rules of the records; zeros where nothing reaches."""
    total: dict[Node, Node] = {y: cotangent}
    for node in reversed(order([y])):
        if node not in total or node.op == "input":
            continue
        rule = REGISTRY[node.op].gradient
        if rule == ZERO:
            continue
        assert callable(rule), node.op
        parts = rule(Backward(node, total[node]))
        assert len(parts) == len(node.args), f"{node.op} gives {len(parts)} gradients"
        for arg, part in zip(node.args, parts, strict=True):
            if part is None or arg.type.dtype not in FLOATS:
                continue
            fitted = build.sum_to(part, arg.type)
            total[arg] = build.add(total[arg], fitted) if arg in total else fitted
    return [total.get(x) or build.zeros(x.type) for x in wrt]
