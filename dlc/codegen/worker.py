"""A process that compiles kernels: `python -m dlc.codegen.worker SETTINGS`, texts in, objects out.

Each request and each reply is a length of eight bytes and as many bytes of data; a reply has a
status byte before, 0 where the kernel was compiled.
"""

from __future__ import annotations

import gc
import json
import os
import sys

from dlc.codegen.compile import CompileError, compile_kernel
from dlc.codegen.machine import Machine


def main() -> None:
    """Serve requests until the input ends."""
    settings = json.loads(sys.argv[1])
    machine = Machine(**settings["machine"])
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may print into the replies
    gc.disable()  # it costs a fifth of the time, and this process does not live long
    while header := sys.stdin.buffer.read(8):
        text = sys.stdin.buffer.read(int.from_bytes(header, "little")).decode()
        try:
            status, code = 0, compile_kernel(text, machine, checked=settings["checked"])
        except CompileError:
            status, code = 1, b""
        replies.write(bytes([status]) + len(code).to_bytes(8, "little") + code)
        replies.flush()


if __name__ == "__main__":
    main()
