"""A run that needs more memory than the machine has is refused before anything is allocated."""

import numpy as np
import pytest

from dlc.diagnostics import DlcError
from dlc.graph import Axis, Graph, Size
from dlc.ops import build as b
from dlc.runtime.build import build_executable

N = Axis("N")


def test_results_larger_than_the_machine():
    rows = Size.symbol("N")
    counted = b.cast(b.index(N, rows), "f64")
    program = build_executable(Graph((), {"out": b.mul(counted, 2.0)}))
    np.testing.assert_array_equal(program.run({}, {"N": 3})["out"], [0, 2, 4])
    with pytest.raises(DlcError) as caught:
        program.run({}, {"N": 10**13})
    (case,) = caught.value.diagnostics
    assert case.code == "E0719"
    assert "N = 10,000,000,000,000" in case.message
