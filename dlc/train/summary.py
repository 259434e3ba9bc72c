"""What is about to be trained, as a table of layers and a few lines."""

from __future__ import annotations

from dataclasses import dataclass

from dlc.graph import ITEM_BYTES
from dlc.semantics.program import ParamInfo, Program
from dlc.train.loop import Trainer

MOST_ROWS = 40


@dataclass(slots=True)
class Layer:
    """An instance that owns tensors."""

    path: str
    kind: str
    shapes: list[str]
    params: int = 0
    states: int = 0


def summary(trainer: Trainer) -> str:
    """The layers with their parameters, the data, and the settings."""
    program, data = trainer.program, trainer.data
    lines = [f"{program.source.path}, recipe {trainer.recipe.name}", *_table(program)]
    rows = [f"{len(data.train_rows):,} rows to train on"]
    if len(data.validation_rows):
        rows.append(f"{len(data.validation_rows):,} to validate")
    if data.test is not None:
        rows.append(f"{data.test.rows:,} to test")
    lines.append(f"data: {', '.join(rows)}; {trainer.batches:,} batches of {data.batch:,}")
    settings = [f"seed {trainer.seed}", f"{trainer.epochs} epochs"]
    settings += [f"{name} = {hyper.value}" for name, hyper in program.hypers.items()]
    lines.append(", ".join(settings))
    if trainer.weights is not None:
        lines.append(f"weights: {trainer.weights.report}")
    if trainer.state.batches:
        place = f"epoch {trainer.state.epoch + 1}, batch {trainer.state.position + 1}"
        lines.append(f"resumed at {place}")
    if trainer.folder is not None:
        lines.append(f"saving in {trainer.folder}")
    return "\n".join(lines)


def layers(program: Program) -> list[Layer]:
    """The instances that own params or states, in the order of the program."""
    found: dict[str, Layer] = {}
    for info in program.params.values():
        layer = found.setdefault(info.instance, Layer(info.instance, info.layer, []))
        count = info.type.elements.constant or 0
        if info.role == "param":
            layer.params += count
            layer.shapes.append(_shape(info))
        else:
            layer.states += count
    return list(found.values())


def _table(program: Program) -> list[str]:
    rows = layers(program)
    width = max((len(row.path) for row in rows[:MOST_ROWS]), default=0)
    kinds = max((len(row.kind) for row in rows[:MOST_ROWS]), default=0)
    lines = [
        f"  {row.path:<{width}}  {row.kind:<{kinds}}  {row.params:>12,}  {'  '.join(row.shapes)}"
        for row in rows[:MOST_ROWS]
    ]
    if len(rows) > MOST_ROWS:
        lines.append(f"  ... and {len(rows) - MOST_ROWS} more")
    states = sum(row.states for row in rows)
    size = sum(
        (info.type.elements.constant or 0) * ITEM_BYTES[info.type.dtype]
        for info in program.params.values()
    )
    beside = f" and {states:,} numbers of state" if states else ""
    total = sum(row.params for row in rows)
    return [*lines, f"  {total:,} parameters{beside}, {_size(size)}"]


def _shape(info: ParamInfo) -> str:
    name = info.path.rpartition(".")[2]
    dims = ", ".join(f"{axis.name}={size}" for axis, size in info.type.dims)
    return f"{name}[{dims}]"


def _size(bytes: int) -> str:
    if bytes < 10_000:
        return f"{bytes:,} bytes"
    return f"{bytes / 1e3:,.0f} kB" if bytes < 10_000_000 else f"{bytes / 1e6:,.1f} MB"
