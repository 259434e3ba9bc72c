import ctypes
import re
from collections.abc import Callable

import numpy as np
import pytest

from dlc import cache
from dlc.codegen.compile import compile_kernel
from dlc.codegen.machine import Machine, host
from dlc.codegen.objects import kernel_key
from dlc.runtime.native import LOADER

RUN = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
STORED = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": np.uint16,
    "i32": np.int32, "i64": np.int64, "u8": np.uint8, "bool": np.bool_,
}  # fmt: skip


class Native:
    """Compiles kernel text for a machine and calls it; objects are kept in the cache."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @property
    def lanes(self) -> int:
        return self.machine.lanes

    def kernel(self, text: str) -> Callable[..., None]:
        key = kernel_key(text, self.machine)
        code = cache.get("tests", key)
        if code is None:
            code = compile_kernel(text, self.machine)
            cache.put("tests", key, code)
        run = RUN(LOADER.address(code))

        def call(lo: int, hi: int, *arguments: object) -> None:
            words = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
            table = np.array(words, np.int64)
            run(lo, hi, table.ctypes.data)

        return call

    def call(self, body: str, lo: int, hi: int, *arguments: object) -> None:
        """Runs a text whose arguments are a, b, c, ... and whose unit is `u`."""
        names = "abcdefghijk"[: len(arguments)]
        lines = [f"    {name} = argument(args, {k})" for k, name in enumerate(names)]
        lines.append("    for u in range(lo, hi):")
        lines += [f"        {line}" for line in body.strip().splitlines()]
        self.kernel("\n".join(["def kernel(lo, hi, args):", *lines, ""]))(lo, hi, *arguments)

    def map(self, formulas: dict[str, tuple[str, str]], *operands: tuple[str, np.ndarray]) -> dict:
        """Several formulas over vectors x, y, z of (dtype, array): name -> (formula, dtype)."""
        count, lanes = len(operands[0][1]), self.lanes
        units = -(-count // lanes)
        arrays = [np.resize(a, units * lanes).astype(STORED[d]) for d, a in operands]
        results = {k: np.empty(units * lanes, STORED[d]) for k, (_, d) in formulas.items()}
        names = "abcdefghijklmnopqrstuvw"
        body = []
        for k, (dtype, _) in enumerate(operands):
            body.append(f"v{k} = load_{dtype}({names[k]}, u * {lanes})")
        for k, (formula, dtype) in enumerate(formulas.values()):
            text = re.sub(r"\b[xyz]\b", lambda m: f"v{ord(m[0]) - 120}", formula)
            place = names[len(operands) + k]
            body.append(f"store_{dtype}({place}, u * {lanes}, {text})")
        self._run(body, units, names, [*arrays, *results.values()])
        return {k: a[:count] for k, a in results.items()}

    def _run(self, body: list[str], units: int, names: str, arrays: list[np.ndarray]) -> None:
        head = [f"    {names[k]} = argument(args, {k})" for k in range(len(arrays))]
        head += ["    for u in range(lo, hi):", *(f"        {line}" for line in body)]
        self.kernel("\n".join(["def kernel(lo, hi, args):", *head, ""]))(0, units, *arrays)


@pytest.fixture(scope="session")
def native() -> Native:
    return Native(host())


@pytest.fixture(scope="session")
def make_native() -> type[Native]:
    return Native
