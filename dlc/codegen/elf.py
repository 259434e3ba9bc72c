"""The symbol table of an ELF object, as far as the compiler checks it."""

from __future__ import annotations

import struct

_SYMBOL_TABLE = 2
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


def undefined_symbols(code: bytes) -> set[str]:
    """The names that a relocatable 64-bit little-endian object leaves to others."""
    assert code[:6] == b"\x7fELF\x02\x01", "not a 64-bit little-endian ELF object"
    (start,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    sections = [_SECTION.unpack_from(code, start + k * size) for k in range(count)]
    found: set[str] = set()
    for _, kind, _, _, offset, length, link, _, _, _ in sections:
        if kind != _SYMBOL_TABLE:
            continue
        names = sections[link][4]
        for place in range(offset + _SYMBOL.size, offset + length, _SYMBOL.size):
            name, _, _, section, _, _ = _SYMBOL.unpack_from(code, place)
            if section == 0:
                begin = names + name
                found.add(code[begin : code.index(0, begin)].decode())
    return found
