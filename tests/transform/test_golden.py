import numpy as np
import pytest
from golden import cases

from dlc.ops import NUMPY_DTYPES
from dlc.reference.interpreter import all_symbols, interpret
from dlc.reference.text import parse_graph, print_graph
from dlc.reference.verify import verify
from dlc.transform.autodiff import expand_gradients
from dlc.transform.cse import merge_common
from dlc.transform.fold import fold
from dlc.transform.simplify import REWRITES, simplify

PASSES = {p.__name__: p for p in (expand_gradients, fold, merge_common, simplify)}


@pytest.mark.parametrize("case", cases("transform"))
def test_pass(case, golden):
    name, _, text = case.source.partition("\n")
    golden(case, lambda source: print_graph(verify(PASSES[name](verify(parse_graph(text))))))


def test_every_row_has_a_text_of_its_own():
    texts = [row.text for row in REWRITES]
    assert len(set(texts)) == len(texts)


def bits(array):
    """The bits, all NaN alike and zero without a sign."""
    array = np.where(np.isnan(array), np.nan, array + 0.0) if array.dtype.kind == "f" else array
    return array.tobytes()


@pytest.mark.parametrize("case", [c for c in cases("transform") if "gradients:" not in str(c.id)])
def test_what_the_golden_graphs_compute_stays(case):
    before = parse_graph(case.source.partition("\n")[2])
    after = parse_graph(case.expected)
    rough = any(
        text in case.name for text in ("powers", "reduce of broadcast", "infinite clip", "dot")
    )
    sizes = {"N": 3} if "N" in all_symbols(before) else {}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        feeds = {str(n.attrs["name"]): fed(rng, n, odd=not rough) for n in before.inputs}
        left, right = interpret(before, feeds, sizes), interpret(after, feeds, sizes)
        for name, value in left.items():
            if rough:
                np.testing.assert_allclose(right[name], value, 1e-5, 1e-6)
            else:
                assert bits(right[name]) == bits(value), name


def fed(rng, node, *, odd):
    """Values with ties, zeros, infinities and NaN, or indices."""
    shape = [n.value({"N": 3}) for n in node.type.sizes]
    if node.type.dtype == "f32":
        strange = rng.choice([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-30, 3e38], size=shape)
        chosen = (rng.random(shape) < 0.3) & odd
        return np.where(chosen, strange, rng.normal(size=shape)).astype(np.float32)
    return rng.integers(0, 2 if node.type.dtype == "bool" else 5, shape).astype(
        NUMPY_DTYPES[node.type.dtype]
    )
