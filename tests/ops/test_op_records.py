"""Generated from the records: types, meanings, gradients, index maps."""

from itertools import product

import numpy as np
import pytest
from op_cases import CASES, IDS, drawn, gradients, inputs_of, run, smooth_cases, widened

from dlc.diagnostics.record import replaced
from dlc.graph import DTYPES, FLOATS, Axis, Size, TensorType, input_node, order
from dlc.ops import NO_GRADIENT, NUMPY_DTYPES, REGISTRY, TypeRuleError, ViewCode, build
from dlc.ops.arrays import round_bf16, shape_of

SMOOTH = smooth_cases()
SMOOTH_IDS = [f"{op.name}-{k}" for op, k in SMOOTH]


def check(op, types, attrs, arrays):
    result = op.type(types, attrs)
    out = op.meaning(arrays, types, result, attrs)
    assert out.shape == shape_of(result)
    assert out.dtype == NUMPY_DTYPES[result.dtype]
    if result.dtype == "bf16":
        np.testing.assert_array_equal(round_bf16(out), out)
    return out


@pytest.mark.parametrize("op", REGISTRY.values(), ids=lambda op: op.name)
def test_a_record_is_documented(op):
    assert op.doc.endswith(".")
    assert (op.code is None) == (op.kind not in ("map", "view"))
    assert isinstance(op.code, ViewCode) == (op.kind == "view")


@pytest.mark.parametrize(("op", "k"), CASES, ids=IDS)
def test_type_and_meaning_agree_for_every_dtype(op, k):
    sample = op.samples[k]
    check(op, sample.types, sample.attrs, drawn(op, sample))
    first = sample.types[0].dtype if sample.types else None
    for dtype in DTYPES:
        types = tuple(t.cast(dtype) if t.dtype == first else t for t in sample.types)
        try:
            op.type(types, sample.attrs)
        except TypeRuleError:
            continue
        check(op, types, sample.attrs, drawn(op, replaced(sample, types=types)))


def resized(value, axis):
    """An attribute with the size of an axis made 0."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Size):
        return (value[0], Size() if value[0] == axis else value[1])
    return tuple(resized(v, axis) for v in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("op", "k"), CASES, ids=IDS)
def test_empty_axes(op, k):
    sample = op.samples[k]
    for axis in {a for t in sample.types for a in t.axes}:
        types = tuple(TensorType(t.dtype, resized(t.dims, axis)) for t in sample.types)
        attrs = {key: resized(value, axis) for key, value in sample.attrs.items()}
        try:
            op.type(types, attrs)
        except TypeRuleError:
            continue
        arrays = [np.zeros(shape_of(t), NUMPY_DTYPES[t.dtype]) for t in types]
        check(op, types, attrs, arrays)


@pytest.mark.parametrize(("op", "k"), SMOOTH, ids=SMOOTH_IDS)
def test_low_precision_is_near_double(op, k):
    sample = op.samples[k]
    arrays = drawn(op, sample)
    wide = widened(sample)
    exact = check(
        op, wide.types, wide.attrs, [a.astype(float) if a.dtype.kind == "f" else a for a in arrays]
    )
    found = check(op, sample.types, sample.attrs, arrays)
    np.testing.assert_allclose(found, exact, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("op", "k"), SMOOTH, ids=SMOOTH_IDS)
def test_gradients_of_first_and_second_order(op, k):
    """Central differences in float64 along random directions, of the op and of its gradient."""
    sample = widened(op.samples[k])
    rng = np.random.default_rng(k)
    nodes, arrays = inputs_of(sample.types), drawn(op, sample)
    y = build.make(op.name, nodes, sample.attrs)
    g = input_node("g", y.type)
    floats = [n for n in nodes if n.type.dtype in FLOATS]
    first = gradients(y, g, floats)
    inner = None
    for x, part in zip(floats, first, strict=True):
        d = build.table(rng.standard_normal(shape_of(x.type)), x.type.axes, "f64")
        term = build.sum_to(build.mul(part, d), TensorType("f64"))
        inner = term if inner is None else build.add(inner, term)
        assert part.type == x.type
    cotangent = rng.standard_normal(shape_of(y.type))
    value = build.sum_to(build.mul(y, g), TensorType("f64"))
    one = build.const(1, "f64")
    for target, wrt in ((value, floats), (inner, [*floats, g])):
        outs = {f"d{i}": n for i, n in enumerate(gradients(target, one, wrt))}
        difference(target, outs, [*nodes, g], [*arrays, cotangent], wrt, rng)


def difference(target, outs, inputs, arrays, wrt, rng, h=1e-6):
    ways = [
        rng.standard_normal(a.shape) if n in wrt else 0 for n, a in zip(inputs, arrays, strict=True)
    ]
    at = [
        run(
            {"f": target},
            inputs,
            [a + s * w if n in wrt else a for n, a, w in zip(inputs, arrays, ways, strict=True)],
        )["f"]
        for s in (h, -h)
    ]
    found = run(outs, inputs, arrays)
    slope = sum(float(np.sum(found[f"d{i}"] * ways[inputs.index(n)])) for i, n in enumerate(wrt))
    numeric = float(at[0] - at[1]) / (2 * h)
    assert slope == pytest.approx(numeric, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("op", "k"), SMOOTH, ids=SMOOTH_IDS)
def test_the_rules_are_closed(op, k):
    """Every op that a rule emits has itself a rule, in every float dtype; dtypes stay."""
    for dtype in ("f32", "f16", "bf16"):
        types = [t.cast(dtype) if t.dtype in FLOATS else t for t in op.samples[k].types]
        nodes = inputs_of(types)
        y = build.make(op.name, nodes, op.samples[k].attrs)
        found = gradients(y, input_node("g", y.type), [n for n in nodes if n.type.dtype in FLOATS])
        for node in order(found):
            assert node.op == "input" or REGISTRY[node.op].gradient != NO_GRADIENT, node.op
            if op.name != "cast":
                assert node.type.dtype in (dtype, "i32", "bool"), node


VIEWS = [(op, k) for op, k in CASES if isinstance(op.code, ViewCode)]


@pytest.mark.parametrize(("op", "k"), VIEWS, ids=[f"{op.name}-{k}" for op, k in VIEWS])
def test_the_index_map_of_a_view_is_its_meaning(op, k):
    sample = op.samples[k]
    arrays = drawn(op, sample)
    expected = check(op, sample.types, sample.attrs, arrays)
    result = op.type(sample.types, sample.attrs)
    at = dict(zip(result.axes, np.indices(shape_of(result)), strict=True))
    value = sample.attrs.get("value", 0)
    out = np.full(shape_of(result), value, NUMPY_DTYPES[result.dtype])
    covered = np.zeros(shape_of(result), int)
    for read in op.code.reads(sample.attrs, sample.types, result, at):
        inside = np.ones(shape_of(result), bool)
        for index, size in read.inside:
            inside &= (index >= 0) & (index < size.constant)
        type = sample.types[read.argument]
        assert set(read.index) == set(type.axes)
        places = [np.broadcast_to(read.index[a], inside.shape)[inside] for a in type.axes]
        for place, n in zip(places, shape_of(type), strict=True):
            assert ((place >= 0) & (place < n)).all(), "a view reads outside"
        out[inside] = arrays[read.argument][tuple(places)]
        covered += inside
    assert covered.max(initial=0) <= 1
    np.testing.assert_array_equal(out, expected)


SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1e38, -1e38, np.inf, -np.inf, np.nan)
FLOAT_MAPS = [
    op for op in REGISTRY.values()
    if op.kind == "map" and callable(op.gradient) and op.name not in ("cast", "where")
]  # fmt: skip


@pytest.mark.parametrize("op", FLOAT_MAPS, ids=lambda op: op.name)
def test_a_zero_gradient_stays_zero(op):
    many = len(op.samples[0].types)
    values = np.array(list(product(SPECIAL, repeat=many)), np.float32).T
    type = TensorType.of("f32", [(Axis("N"), values.shape[1])])
    nodes = inputs_of([type] * many)
    y = build.make(op.name, nodes)
    found = gradients(y, build.zeros(type), nodes)
    for out in run({f"d{i}": n for i, n in enumerate(found)}, nodes, list(values)).values():
        np.testing.assert_array_equal(out, 0)
