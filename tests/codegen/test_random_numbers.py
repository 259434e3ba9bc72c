import numpy as np
import pytest

MULTIPLIERS, WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
LOW = 0xFFFFFFFF


def philox(counter: list[int], key: list[int]) -> list[int]:
    for _ in range(10):
        a, b = MULTIPLIERS[0] * counter[0], MULTIPLIERS[1] * counter[2]
        counter = [
            (b >> 32) ^ counter[1] ^ key[0],
            b & LOW,
            (a >> 32) ^ counter[3] ^ key[1],
            a & LOW,
        ]
        key = [(k + w) & LOW for k, w in zip(key, WEYL, strict=True)]
    return counter


def test_known_answers_of_the_reference():
    """From Random123's kat_vectors: philox4x32, 10 rounds."""
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox([LOW] * 4, [LOW] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    assert philox(pi, [0xA4093822, 0x299F31D0]) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@pytest.mark.parametrize("word", range(4))
def test_uniform_numbers(native, word):
    seed, step, place = 0xA4093822_299F31D0 - 2**64, 77, 0xF3707344_13198A2E
    elements = np.array([*range(40), 2**33 + 5, 2**62], "i8")
    formula = f"uniform_f32({seed}, {step}, x, {place}, {word})"
    formulas = {"f32": (formula, "f32"), "f64": (formula.replace("f32", "f64"), "f64")}
    got = native.map(formulas, ("i64", elements))
    want = []
    for e in elements.tolist():
        counter = [e & LOW, (e >> 32) ^ (place >> 32), step, place & LOW]
        w = philox(counter, [seed & LOW, (seed >> 32) & LOW])[word]
        want.append(((w >> 9) + 0.5) * 2.0**-23)
    np.testing.assert_array_equal(got["f32"], np.array(want, "f4"))
    np.testing.assert_array_equal(got["f64"], np.array(want, "f4").astype("f8"))
    assert 0 < min(want) < max(want) < 1


def test_seed_and_step_from_memory(native):
    clocks = np.array([123456789012345, 9], "i8")
    out = np.zeros(2 * native.lanes, "f4")
    text = (
        "store_f32(b, u * {0}, uniform_f32(get_i64(a, 0), get_i64(a, 1), lanes_i64(u * {0}), 7, 0))"
    )
    native.call(text.format(native.lanes), 0, 2, clocks, out)
    literal = text.format(native.lanes).replace("get_i64(a, 0)", "123456789012345")
    again = np.zeros_like(out)
    native.call(literal.replace("get_i64(a, 1)", "9"), 0, 2, clocks, again)
    np.testing.assert_array_equal(out, again)
    assert len(set(out.tolist())) == len(out)
