"""The primitive operations: one record each, with every fact the compiler uses about it."""

from dlc.ops import (
    build,
    contract,
    elementwise,
    functions,
    gather,
    markers,
    overlap,
    reduce,
    sources,
    views,
)
from dlc.ops.op import (
    NO_GRADIENT,
    NUMPY_DTYPES,
    REGISTRY,
    ZERO,
    Attrs,
    Backward,
    Gradient,
    Kind,
    Op,
    Read,
    Sample,
    TypeRuleError,
    ViewCode,
)

__all__ = [
    "NO_GRADIENT", "NUMPY_DTYPES", "REGISTRY", "ZERO", "Attrs", "Backward", "Gradient", "Kind",
    "Op", "Read", "Sample", "TypeRuleError", "ViewCode", "build", "contract", "elementwise",
    "functions", "gather", "markers", "overlap", "reduce", "sources", "views",
]  # fmt: skip
