"""The graph IR: sizes, axes, types, nodes, graphs."""

from dlc.graph.graph import (
    UPDATE,
    Attr,
    Graph,
    Node,
    RangeCheck,
    Role,
    SizeCheck,
    input_node,
    order,
    rebuilt,
    rewrite,
    users,
)
from dlc.graph.size import Quotient, Size, Verdict, parse_size, product
from dlc.graph.types import (
    DTYPES,
    FLOATS,
    INTEGERS,
    ITEM_BYTES,
    SCALARS,
    Axis,
    DType,
    TensorType,
)

__all__ = [
    "DTYPES", "FLOATS", "INTEGERS", "ITEM_BYTES", "SCALARS", "UPDATE", "Attr", "Axis", "DType",
    "Graph", "Node", "Quotient", "RangeCheck", "Role", "Size", "SizeCheck", "TensorType", "Verdict",
    "input_node", "order", "parse_size", "product", "rebuilt", "rewrite", "users",
]  # fmt: skip
