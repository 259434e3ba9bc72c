"""A training in a process of its own, for tests that kill it: FOLDER NEW|RESUME DELAY."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from small_programs import arrays, interpreted, program

from dlc.train import files
from dlc.train.loop import Trainer
from dlc.train.options import Callback, Options


class Report(Callback):
    """Tells each batch, and gives the parent time to kill."""

    def on_batch(self, trainer):
        print("batch", trainer.state.batches, flush=True)


def announce(name, call):
    """Tells of each write before it happens."""

    def wrapped(*args, **kwargs):
        print("write", name, flush=True)
        time.sleep(float(sys.argv[3]))
        return call(*args, **kwargs)

    return wrapped


def main() -> None:
    folder = Path(sys.argv[1])
    for name in ("fsync", "replace"):
        setattr(files.os, name, announce(name, getattr(os, name)))
    where = {"resume": folder} if sys.argv[2] == "resume" else {"folder": folder}
    Trainer(
        program(epochs=3), compile_graph=interpreted, data=arrays(20), test=arrays(6),
        options=Options(save_every=2, callbacks=(Report(),), **where),
    ).run()  # fmt: skip


if __name__ == "__main__":
    main()
