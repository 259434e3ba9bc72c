import pytest
from golden import cases

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
