"""`dot`: multiply and sum over named axes; every other shared axis is a batch axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlc.graph import Axis, Node, TensorType
from dlc.ops import build as b
from dlc.ops.arrays import permuted, shape_of, stored, working
from dlc.ops.late import Late
from dlc.ops.op import Array, Attrs, Backward, Op, Sample
from dlc.ops.rules import NUMBERS, count, distinct, one_dtype, size_of, tensor, union
from dlc.ops.samples import C, K, T, floats, whole

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")


def _type(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    count("dot", types, 2)
    dtype = one_dtype("dot", types, NUMBERS)
    over = distinct("dot", attrs["over"])
    for axis in over:
        for type in types:
            size_of("dot", type, axis)
    return tensor(dtype, ((a, n) for a, n in union(types).items() if a not in over))


def _dot(
    arrays: Sequence[Array], types: Sequence[TensorType], result: TensorType, attrs: Attrs
) -> Array:
    """One (batched) matrix product: axes sorted into batch, rows, summed, columns."""
    over: Sequence[Axis] = attrs["over"]
    left, right = types
    batch = [a for a in left.axes if right.has(a) and a not in over]
    rows = [a for a in left.axes if not right.has(a)]
    columns = [a for a in right.axes if not left.has(a)]
    x = permuted(working(arrays[0], left.dtype), left.axes, [*batch, *rows, *over])
    y = permuted(working(arrays[1], right.dtype), right.axes, [*batch, *over, *columns])
    many = x.shape[: len(batch)]
    m = math.prod(x.shape[len(batch) : len(batch) + len(rows)])
    inner = math.prod(x.shape[len(batch) + len(rows) :])
    n = math.prod(y.shape[len(batch) + len(over) :])
    with np.errstate(all="ignore"):
        out = np.matmul(x.reshape(*many, m, inner), y.reshape(*many, inner, n))
    sizes = dict(zip(result.axes, shape_of(result), strict=True))
    order = [*batch, *rows, *columns]
    shaped = out.reshape([sizes[a] for a in order])
    return stored(permuted(shaped, order, result.axes), result.dtype)


def _gradient(r: Backward) -> Sequence[Node]:
    """For each operand: the product of the cotangent with the other one, over what it lacks."""
    x, y = r.args
    return _toward(r.cotangent, x, y), _toward(r.cotangent, y, x)


def _toward(g: Node, operand: Node, other: Node) -> Node:
    lacking = tuple(a for a in other.type.axes if not operand.type.has(a))
    return b.to_type(b.dot(g, other, lacking), operand.type)


dot = Op(
    name="dot",
    doc="The sum over the named axes, which both operands have, of their products; the other shared"
    " axes are batch axes. f16 and bf16 are summed in f32.",
    kind="dot",
    type=_type,
    meaning=_dot,
    gradient=_gradient,
    code=None,
    samples=(
        Sample((floats(N=5, K=7), floats(K=7, H=3)), {"over": (K,)}),
        Sample((floats(N=5, T=3, K=7), floats(H=2, T=3, K=7)), {"over": (K,)}),
        Sample((floats(N=5, K=7, C=2), floats(C=2, H=3, K=7)), {"over": (K, C)}),
        Sample((floats(N=5), floats(H=3)), {"over": ()}),
        Sample((floats(K=7), floats(K=7)), {"over": (K,)}),
        Sample((floats(T=3, N=5), floats(T=3)), {"over": (T,)}),
        Sample((whole(N=5, K=7), whole(K=7, H=3)), {"over": (K,)}, draw="integers"),
    ),
)
