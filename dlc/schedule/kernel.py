"""The kernel IR: nests of accumulations under shared outer loops, a lane axis, a register tile.

Every value is a vector over the kernel's lane axis; a value that does not vary with it is the
same in all lanes. A contraction is a reduction whose kernel holds a tile of its free axes in
registers, so there is one form for maps, reductions and contractions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dlc.diagnostics import Span
from dlc.graph import Axis, DType, Node, Size
from dlc.schedule.index import Affine, Iter

ONE = Size.of(1)

Place = Literal["arena", "input", "output", "bound", "constant", "scratch"]


@dataclass(slots=True, eq=False)
class Buffer:
    """Memory of one tensor: where an element lies, and what surrounds it."""

    name: str
    dtype: DType
    order: tuple[Axis, ...]
    sizes: dict[Axis, Size]
    place: Place
    port: str = ""
    """Of an input, output or bound buffer: the name of the graph's input or output."""
    halo: dict[Axis, tuple[Size, Size]] = field(default_factory=dict)
    """Zeros before and after an axis, so that windows read them without a test."""
    padded: bool = False
    """The innermost axis has room for whole vectors; its padding holds anything."""
    strides: dict[Axis, Size] = field(default_factory=dict)
    base: Size = field(default_factory=Size)
    elements: Size = field(default_factory=Size)
    table: object = None
    panel: int = 0
    """The innermost axis is cut in panels of so many elements, which are the outermost."""
    panel_stride: Size = field(default_factory=Size)

    @property
    def near(self) -> int | None:
        """The place in the order of the innermost axis of more than one element."""
        wide = [a in self.halo or self.sizes[a] != ONE for a in self.order]
        return max((place for place, is_wide in enumerate(wide) if is_wide), default=None)

    def row(self) -> Size | None:
        """How far apart rows of the innermost axis lie; None where there is one alone."""
        return self.strides[self.order[self.near - 1]] if self.near else None

    def offset(self, env: dict[Axis, Affine]) -> Affine:
        """The element at an index."""
        where = Affine(const=self.base)
        for axis in self.order:
            where = where + env[axis] * self.strides[axis]
        if self.panel:
            inner = env[self.order[-1]]
            where = where - inner + inner % self.panel + inner // self.panel * self.panel_stride
        return where


@dataclass(frozen=True, slots=True)
class Test:
    """0 <= index < size."""

    index: Affine
    size: Size


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """A value; equal operations on equal operands are one object in a kernel.

    op: `load` (buffer, offset, tests: the load happens where they hold, else 0), `const` (value),
    `index` (offset: the number itself), `uniform` (offset: the
    element's number, value: (place, word), args: seed, step),
    `ref` (value: the accumulator), `inside` (tests), or the code of a map over `args`.
    """

    op: str
    dtype: DType
    args: tuple[Expr, ...] = ()
    buffer: Buffer | None = None
    offset: Affine = field(default_factory=Affine)
    tests: tuple[Test, ...] = ()
    value: object = None
    deps: frozenset[Iter] = frozenset()
    cost: int = 0
    zeros: tuple[Test, ...] = ()
    """Of a load: where one of these does not hold it gives 0, from zeros around its buffer."""


@dataclass(frozen=True, slots=True, eq=False)
class Accumulate:
    """`name = f(name, expr)`; f: sum, max, min, argmax, argmin (`position` numbers the element)."""

    name: str
    f: str
    expr: Expr
    position: Expr | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """`buffer[offset] = expr`, or `+=`, in the iteration it stands in; only where `tests` hold."""

    buffer: Buffer
    offset: Affine
    expr: Expr
    add: bool = False
    node: Node | None = None


@dataclass(slots=True, eq=False)
class Nest:
    """for free: (accumulators at neutral; for reduced: body; then `after`), in the outer loops."""

    free: list[Iter]
    reduced: list[Iter]
    body: list[Accumulate | Store]
    after: list[Store] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """An operand of which each unit copies what a chunk needs into memory of its own."""

    load: Expr
    copy: Expr
    """The load of the same element from the copy."""
    along: Iter
    """The loop whose neighbours are copied as a vector; the lanes are cut to panels."""
    loops: tuple[Iter, ...]
    """The others, outermost first."""


@dataclass(slots=True, eq=False)
class Blocks:
    """How a unit of work of a contraction goes through its loops.

        for chunks of the reduced loops:
            stage
            for tiles of the unit: accumulate in registers, add to `sums`
        for the elements of the unit: what follows the sum

    Without chunks the sums stay in registers.
    """

    extent: dict[Iter, int]
    """Elements of each outer loop in one unit: multiples of its tile."""
    even: tuple[Iter, ...]
    """Run-time loops whose units have no more elements than that, and about the same number."""
    remainder: dict[Iter, int]
    """Rows of the smaller tile that does what whole tiles leave of an axis."""
    chunks: dict[Iter, int]
    """Reduced loops that run outside of the tiles, and their steps."""
    starts: dict[Iter, Iter]
    """Where the unit, or the chunk, begins in each loop."""
    sums: Buffer | None = None
    """The unit's sums, in the thread's own memory."""
    sums_at: Affine = field(default_factory=Affine)
    staged: tuple[Staged, ...] = ()
    last: int = 0
    """Elements along the lanes in the tile behind the whole ones; 0: nothing is left for one."""
    run: int = 1
    """Units side by side along the lanes that share staged rows; they are then neighbours."""
    known: dict[Iter, int] = field(default_factory=dict)
    """The rows of the tile that does what whole ones leave of a run-time axis, over other axes."""
    alone: int = 0
    """Elements along the lanes in the tile of a last row that is left alone; 0: none is wider."""
    alone_last: int = 0
    """Elements in the last of these tiles; 0: it is whole."""
    ahead: tuple[Expr, ...] = ()
    """Operands that are asked for some steps ahead: nobody has read these lines before."""
    within: Iter | None = None
    """Parts of a run-time axis begin and end within its values, along this reduced loop."""

    def lonely(self) -> Iter | None:
        """The loop whose last row may be left alone."""
        return next(iter(self.remainder)) if self.alone else None


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Kernels that go through a run-time axis together, slab by slab; see `slabs`."""

    rows: int
    """Values of the axis in a slab."""
    kernels: int
    size: Size
    """Of the axis."""
    read: frozenset[Buffer]
    """What its kernels read: it is to stay in the caches."""

    @property
    def slabs(self) -> Size:
        """How many slabs the axis has."""
        return (self.size + (self.rows - 1)) // self.rows


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    """Kernels of a chain that go through a slab together, band by band; see `slabs`."""

    bands: int
    """Of a value of the chain's axis."""


@dataclass(frozen=True, slots=True)
class Bound:
    """An argument of a kernel that sums in a chain: where a slab begins, or how long it is.

    Without slabs it is called once for the whole axis.
    """

    what: Literal["begin", "rows"]


@dataclass(slots=True, eq=False)
class Kernel:
    """One native function: `units` are spread over threads, `serial` loops run inside one unit."""

    name: str
    members: list[Node]
    outer: list[Iter]
    nests: list[Nest] = field(default_factory=list)
    lane: Iter | None = None
    tile: dict[Iter, int] = field(default_factory=dict)
    units: list[Iter] = field(default_factory=list)
    serial: list[Iter] = field(default_factory=list)
    parts: dict[Iter, Iter] = field(default_factory=dict)
    """Reduced loops of which each unit runs through one part, and the loop over parts."""
    around: dict[Iter, int] = field(default_factory=dict)
    """Reduced loops outside of the serial ones, and their steps: sums go to memory in between."""
    taps: dict[Iter, tuple[Iter, Affine]] = field(default_factory=dict)
    """Reduced loops that end where the phase of a stride says: the loop over phases, the end."""
    blocks: Blocks | None = None
    """Of a contraction."""
    contraction: bool = False
    template: Literal["nests", "sort", "turn"] = "nests"
    """`turn`: one store of one load, whose neighbours lie along the last two loops of `units`."""
    bands: tuple[Iter, ...] = ()
    """Loops of which a unit has one place, so that a chain can go along bands of them."""
    chain: Chain | None = None
    """The chain it is part of; its run-time axis is then the first of `units`."""
    inner: Inner | None = None
    """The inner chain it is part of; the loop that it cuts is then the second of `units`."""
    folds: tuple[Iter, ...] = ()
    """Outer loops that later nests reduce: the tile of a contraction holds all of them."""
    spans: tuple[Span, ...] = ()

    @property
    def single(self) -> set[Iter]:
        """Outer loops of which a unit of a contraction has one value."""
        return {*self.parts.values(), *(phase for phase, _ in self.taps.values()), *self.bands}

    @property
    def run(self) -> int:
        """Units side by side along the lanes, which a call computes as one; 1 where it does not."""
        return self.blocks.run if self.blocks is not None else 1

    def step(self, iter: Iter, lanes: int) -> int:
        """How far an outer loop over `iter` moves at once."""
        return max(self.tile.get(iter, 1), lanes if iter == self.lane else 1)
