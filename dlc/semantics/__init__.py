"""From the tree of a `.dl` file to graphs, with all checking."""

from dlc.semantics.check import check_file
from dlc.semantics.program import (
    DataFile,
    DataSpec,
    Hyper,
    ModelProgram,
    ParamInfo,
    Port,
    Program,
    Recipe,
    StepProgram,
)

__all__ = [
    "DataFile", "DataSpec", "Hyper", "ModelProgram", "ParamInfo", "Port", "Program", "Recipe",
    "StepProgram", "check_file",
]  # fmt: skip
