"""The plan of a program: its buffers, its kernels with their arguments in order, its checks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Literal

from dlc.diagnostics import Source, Span
from dlc.diagnostics.record import contents_of, record, replaced
from dlc.graph import Axis, DType, RangeCheck, Size, SizeCheck, parse_size, product
from dlc.graph.graph import Role

Place = Literal["arena", "input", "output", "bound", "constant"]
PARTS = 8
"""In so many parts a large sum is cut, whatever the threads."""
FORM = 5
"""The version of the JSON form."""


@record
class Buffer:
    """One array in memory.

    arena: laid out by the rows [first, last] in which it lives; zeroed: private to itself for
    the life of a workspace and zeroed when that is made; with `slab` only a chain of rows knows it,
    and there is room for some slabs alone. input: the caller's array; output: one
    that the call returns; bound: that of a param, state or slot; constant: `data`.
    """

    name: str
    dtype: DType
    elements: Size
    place: Place
    port: str = ""
    """The name of the input or output it belongs to."""
    first: int = 0
    last: int = 0
    zeroed: bool = False
    data: bytes = b""
    """The elements of a constant, as the kernels read them."""
    slab: int = 0
    """Elements that a slab has, or a band."""
    kept: bool = False
    """Private to itself as if it were zeroed: rows that prepare weights write it, not every run."""
    banded: bool = False
    """Whether only an inner chain knows it, and there is room for some bands alone."""


@record
class BufferRef:
    """An argument: the address of a buffer."""

    index: int


Argument = BufferRef | Size
"""What a kernel reads from its table of arguments: an address or a number."""


@record
class Line:
    """A line of a source, and the operations of a row that come from it."""

    file: str
    line: int
    flops: Size


@record
class Work:
    """What a row has to do, whatever way it does it: see `dlc.schedule.work`."""

    flops: Size = field(default_factory=Size)
    bytes: Size = field(default_factory=Size)
    """Of the elements of its buffers that it reads and writes, each once."""
    lines: tuple[Line, ...] = ()
    """Where it comes from, in the user's own files."""


@record
class Slab:
    """Of a row in a chain: the rows of the chain from this one on, and its units in a slab.

    A row that sums over the axis in parts has these units for each part; the arguments at `begin`
    and `extent` tell it which values of the axis to add.
    """

    rows: int
    units: int
    height: int
    """Values of the axis in a slab."""
    parts: int = 0
    begin: int = 0
    extent: int = 0
    inner: int = 0
    """The rows of an inner chain from this one on; 0 where it is in none."""
    bands: int = 1
    """The bands of a slab."""


@record
class Row:
    """One kernel run over its units of work."""

    kernel: int
    """Its place in `Plan.kernels`."""
    args: tuple[Argument, ...]
    units: Size
    barrier: bool = True
    """Whether all threads wait after this row before they begin the next."""
    label: str = ""
    work: Work = field(default_factory=Work)
    slab: Slab | None = None
    run: int = 1
    """Units side by side that are cheaper when one call computes them."""


@record
class PlanPort:
    """An input or output of the program."""

    name: str
    role: Role
    dtype: DType
    dims: tuple[tuple[Axis, Size], ...] = ()

    @property
    def elements(self) -> Size:
        """How many elements it has."""
        return product([n for _, n in self.dims])


@record
class Plan:
    """Everything that a run needs but the native code, which it names by key."""

    symbols: tuple[str, ...]
    """The run-time sizes."""
    inputs: tuple[PlanPort, ...]
    outputs: tuple[PlanPort, ...]
    """What a call returns; updates of bound arrays are no outputs."""
    buffers: tuple[Buffer, ...]
    kernels: tuple[str, ...]
    rows: tuple[Row, ...]
    checks: tuple[SizeCheck | RangeCheck, ...] = ()
    prepared: int = 0
    """The first rows that read bound arrays alone, which no row writes: they prepare weights."""

    def with_sizes(self, sizes: Mapping[str, Size]) -> Plan:
        """The plan for such sizes, which its checks do not name."""
        if not sizes:
            return self

        def ports(old: tuple[PlanPort, ...]) -> tuple[PlanPort, ...]:
            return tuple(
                replaced(p, dims=tuple((a, n.substitute(sizes)) for a, n in p.dims)) for p in old
            )

        return replaced(
            self,
            symbols=tuple(name for name in self.symbols if name not in sizes),
            inputs=ports(self.inputs),
            outputs=ports(self.outputs),
            buffers=tuple(replaced(b, elements=b.elements.substitute(sizes)) for b in self.buffers),
            rows=tuple(_row_with(row, sizes) for row in self.rows),
        )

    def to_json(self) -> str:
        """The plan as text; equal plans give equal texts."""
        return json.dumps(_encode(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Plan:
        """The plan that `to_json` wrote. Raises ValueError for other text."""
        try:
            return _decode(json.loads(text))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"not a plan: {error!r}") from error


def _row_with(row: Row, sizes: Mapping[str, Size]) -> Row:
    work = row.work
    lines = tuple(replaced(line, flops=line.flops.substitute(sizes)) for line in work.lines)
    return replaced(
        row,
        args=tuple(a.substitute(sizes) if isinstance(a, Size) else a for a in row.args),
        units=row.units.substitute(sizes),
        work=Work(work.flops.substitute(sizes), work.bytes.substitute(sizes), lines),
    )


def _encode(plan: Plan) -> dict[str, Any]:
    sources = {s.source.path: s.source.text for c in plan.checks for s in c.spans}
    return {
        "form": FORM,
        "symbols": plan.symbols,
        "inputs": [_port(p) for p in plan.inputs],
        "outputs": [_port(p) for p in plan.outputs],
        "buffers": [_buffer(b) for b in plan.buffers],
        "kernels": plan.kernels,
        "rows": [_row(r) for r in plan.rows],
        "checks": [_check(c) for c in plan.checks],
        "sources": sources,
        "prepared": plan.prepared,
    }


def _port(port: PlanPort) -> list[Any]:
    dims = [[a.name, a.scope, str(n)] for a, n in port.dims]
    return [port.name, port.role, port.dtype, dims]


def _buffer(b: Buffer) -> list[Any]:
    data = base64.b64encode(b.data).decode()
    return [
        b.name,
        b.dtype,
        str(b.elements),
        b.place,
        b.port,
        b.first,
        b.last,
        b.zeroed,
        data,
        b.slab,
        b.kept,
        b.banded,
    ]


def _row(r: Row) -> list[Any]:
    args = [a.index if isinstance(a, BufferRef) else str(a) for a in r.args]
    lines = [[place.file, place.line, str(place.flops)] for place in r.work.lines]
    work = [str(r.work.flops), str(r.work.bytes), lines]
    slab = list(contents_of(r.slab)) if r.slab else None
    return [r.kernel, args, str(r.units), r.barrier, r.label, work, slab, r.run]


def _check(c: SizeCheck | RangeCheck) -> list[Any]:
    spans = [[s.source.path, s.start, s.end] for s in c.spans]
    if isinstance(c, RangeCheck):
        return ["range", c.input, str(c.size), c.axis.name, c.axis.scope, spans]
    return ["size", str(c.left), c.relation, str(c.right), c.message, spans]


def _decode(data: Mapping[str, Any]) -> Plan:
    if data["form"] != FORM:
        raise ValueError(f"a plan of form {data['form']}, not {FORM}")
    sources = {path: Source(path, text) for path, text in data["sources"].items()}
    return Plan(
        tuple(data["symbols"]),
        tuple(_decode_port(*p) for p in data["inputs"]),
        tuple(_decode_port(*p) for p in data["outputs"]),
        tuple(_decode_buffer(*b) for b in data["buffers"]),
        tuple(data["kernels"]),
        tuple(_decode_row(*r) for r in data["rows"]),
        tuple(_decode_check(c, sources) for c in data["checks"]),
        data["prepared"],
    )


def _decode_port(name: str, role: Role, dtype: DType, dims: Iterable[Any]) -> PlanPort:
    axes = tuple((Axis(axis, scope), parse_size(n)) for axis, scope, n in dims)
    return PlanPort(name, role, dtype, axes)


def _decode_buffer(name: str, dtype: DType, elements: str, *rest: Any) -> Buffer:
    place, port, first, last, zeroed, data, *others = rest
    size, content = parse_size(elements), base64.b64decode(data)
    return Buffer(name, dtype, size, place, port, first, last, zeroed, content, *others)


def _decode_row(kernel: int, args: Iterable[Any], units: str, *rest: Any) -> Row:
    barrier, label, (flops, moved, lines), slab, run = rest
    values = tuple(BufferRef(a) if isinstance(a, int) else parse_size(a) for a in args)
    places = tuple(Line(file, line, parse_size(count)) for file, line, count in lines)
    work = Work(parse_size(flops), parse_size(moved), places)
    return Row(kernel, values, parse_size(units), barrier, label, work, slab and Slab(*slab), run)


def _decode_check(c: list[Any], sources: Mapping[str, Source]) -> SizeCheck | RangeCheck:
    spans = tuple(Span(sources[path], start, end) for path, start, end in c[-1])
    if c[0] == "range":
        return RangeCheck(c[1], parse_size(c[2]), Axis(c[3], c[4]), spans)
    return SizeCheck(parse_size(c[1]), c[2], parse_size(c[3]), c[4], spans)
