"""A plan with its native code as an executable: arrays in, one native call, arrays out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlc.diagnostics.record import record
from dlc.graph import RangeCheck, SizeCheck, TensorType
from dlc.ops import NUMPY_DTYPES
from dlc.reference.feeds import bind_feeds, run_checks
from dlc.runtime import pool
from dlc.runtime.blocks import address_of, aligned_words, pack_bf16, unpack_bf16
from dlc.runtime.choice import Choice
from dlc.runtime.executable import Array, Port, Watch, new_version
from dlc.runtime.locks import Lock
from dlc.runtime.native import LOADER
from dlc.runtime.results import Results
from dlc.runtime.workspace import Sized, Workspace, size_plan
from dlc.schedule.plan import Plan, PlanPort, Row

BOUND_ROLES = ("param", "state", "slot")
KEPT_SHAPES = 8
"""How many combinations of shapes stay laid out."""


@record
class RowTime:
    """What one row of a plan took in a run, as the mean over the threads."""

    row: Row
    sizes: Mapping[str, int]
    """The run-time sizes of the run."""
    work_seconds: float
    wait_seconds: float


@dataclass(slots=True, eq=False)
class Entry:
    """What is kept for one combination of shapes."""

    sized: Sized
    choice: Choice


class NativeExecutable:
    """Runs a plan. Safe to call from several threads: each run owns its workspace.

    `objects` has the object of every kernel by its key. `threads` None follows the process's
    setting. With `fill_nan` the arena starts as NaN, so that reads of what nobody wrote show.
    """

    def __init__(
        self,
        plan: Plan,
        objects: Mapping[str, bytes],
        threads: int | None = None,
        *,
        fill_nan: bool = False,
    ) -> None:
        self.plan = plan
        self.threads = threads
        self.fill_nan = fill_nan
        self.inputs: tuple[Port, ...] = tuple(_port(p) for p in plan.inputs)
        self.outputs: tuple[Port, ...] = tuple(_port(p) for p in plan.outputs)
        self._addresses = {k: LOADER.address(objects[key]) for k, key in enumerate(plan.kernels)}
        self._constants = {
            k: np.frombuffer(b.data + bytes(64), np.uint8)
            for k, b in enumerate(plan.buffers)
            if b.place == "constant"
        }
        self._fed = tuple(p for p in plan.inputs if p.role not in BOUND_ROLES)
        self.fed_dtypes = tuple((p.name, np.dtype(NUMPY_DTYPES[p.dtype])) for p in self._fed)
        self._types = {p.name: TensorType(p.dtype, p.dims) for p in plan.inputs}
        self.result_dtypes = tuple((p.name, np.dtype(NUMPY_DTYPES[p.dtype])) for p in plan.outputs)
        self.half = {
            (is_output, port.name)
            for is_output, ports in ((False, plan.inputs), (True, plan.outputs))
            for port in ports
            if port.dtype == "bf16"
        }
        self.range_checks = [c for c in plan.checks if isinstance(c, RangeCheck)]
        self._size_checks = [c for c in plan.checks if isinstance(c, SizeCheck)]
        places = list(enumerate(plan.buffers))
        self._changing = [
            (k, b.place == "output", b.port) for k, b in places if b.place in ("input", "output")
        ]
        self._staying = [(k, b.port) for k, b in places if b.place == "bound"]
        self.results = Results()
        self.bound: dict[str, Array] = {}
        self.binding = aligned_words(1)
        """The number of the present binding, where native code reads it."""
        self.watch: Watch | None = None
        self._entries: OrderedDict[Any, Entry] = OrderedDict()
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"NativeExecutable({len(self.plan.rows)} rows, {len(self.plan.kernels)} kernels)"

    def bind(self, arrays: Mapping[str, Array], watch: Watch | None = None) -> None:
        """Keeps the arrays of params, states and slots; runs read and update them in place.

        The rows that prepare weights run again only when the token of `watch` is another one.

        Raises ValueError for one that is not C-contiguous or of another dtype or rank.
        """
        found = {}
        for port in self.plan.inputs:
            if port.role not in BOUND_ROLES or port.name not in arrays:
                continue
            array = arrays[port.name]
            _check_bound(port, array)
            found[port.name] = array
        self.bound = found
        self.watch = watch
        self.binding[0] = new_version()

    def run(
        self,
        feeds: Mapping[str, Array],
        sizes: Mapping[str, int] | None = None,
        out: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """One run; see `Executable.run`."""
        entry, arrays = self._enter(feeds, sizes)
        results = self._run(entry, arrays, out, None)
        return _given_back(results, out) if out else results

    def profile(
        self, feeds: Mapping[str, Array], sizes: Mapping[str, int] | None = None, runs: int = 1
    ) -> tuple[RowTime, ...]:
        """The mean times of the rows over some runs, in the order of the plan.

        Before each of them the program runs untimed. Rows that prepare weights are left out: they
        run once for all calls.
        """
        entry, arrays = self._enter(feeds, sizes)
        count = 1 if entry.choice.alone else self.threads or pool.threads()
        rows = self.plan.rows[self.plan.prepared :]
        table = np.zeros((count, len(rows), 2), np.int64)
        for _ in range(runs):
            self._run(entry, arrays, None, table)
        seconds = table.mean(axis=0) * 1e-9 / runs
        return tuple(
            RowTime(row, entry.sized.sizes, float(work), float(wait))
            for row, (work, wait) in zip(rows, seconds, strict=True)
        )

    def entry_of(self, feeds: Mapping[str, Array]) -> Entry | None:
        """What is kept for arrays like these; None where they are new or would be converted."""
        return self._known(feeds, None)[0]

    def _enter(
        self, feeds: Mapping[str, Array], sizes: Mapping[str, int] | None
    ) -> tuple[Entry, dict[str, Array]]:
        """The layout for these arrays, and the arrays as the kernels read them."""
        entry, arrays = self._known(feeds, sizes)
        if entry is None:
            entry, arrays = self._first(feeds, sizes)
        if self.range_checks:
            everything = {**self.bound, **arrays}
            run_checks(self.range_checks, everything, entry.sized.sizes)
        return entry, arrays

    def _known(
        self, feeds: Mapping[str, Array], sizes: Mapping[str, int] | None
    ) -> tuple[Entry | None, dict[str, Array]]:
        """The entry of shapes seen before, where no array needs to be converted."""
        if len(feeds) != len(self.fed_dtypes):
            return None, {}
        arrays: dict[str, Array] = {}
        shapes: list[Any] = [tuple(sizes.items())] if sizes else []
        for name, dtype in self.fed_dtypes:
            array = feeds.get(name)
            if type(array) is not np.ndarray or array.dtype != dtype:
                return None, {}
            if not array.flags.c_contiguous:
                return None, {}
            arrays[name] = array
            shapes.append(array.shape)
        return self._entries.get(tuple(shapes)), arrays

    def _first(
        self, feeds: Mapping[str, Array], sizes: Mapping[str, int] | None
    ) -> tuple[Entry, dict[str, Array]]:
        """Converts and checks everything. Raises DlcError for what does not fit."""
        given = dict(sizes or {})
        names = [p.name for p in self._fed]
        extra = [p.name for p in self.plan.inputs if p.role in BOUND_ROLES and p.name in feeds]
        names += extra
        ports = {name: self._types[name] for name in names}
        found = bind_feeds(ports, self.plan.symbols, self._size_checks, feeds, given)
        arrays = {name: np.ascontiguousarray(a) for name, a in found.arrays.items()}
        arrays = {name: a.reshape(found.arrays[name].shape) for name, a in arrays.items()}
        key: tuple[Any, ...] = (tuple(given.items()),) if given else ()
        key = (*key, *extra, *(arrays[name].shape for name in names))
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                sized = size_plan(
                    self.plan,
                    self._addresses,
                    self._constants,
                    found.sizes,
                    self.threads or pool.threads(),
                )
                entry = self._entries[key] = Entry(sized, Choice())
            self._entries.move_to_end(key)
            if len(self._entries) > KEPT_SHAPES:
                self._entries.popitem(last=False)
        return entry, arrays

    def _run(
        self,
        entry: Entry,
        arrays: Mapping[str, Array],
        out: Mapping[str, Array] | None,
        profile: Array | None,
    ) -> dict[str, Array]:
        results = self._outputs(entry.sized, arrays, out)
        native = self._packed(arrays, results) if self.half else {}
        work = entry.sized.take(fill_nan=self.fill_nan)
        try:
            self._place(work, entry.sized, arrays, results, native)
            if profile is not None:
                _run_timed(work, profile)
            else:
                plain = work.bound is self.bound
                work.begin(self.watch.version if self.watch and plain else 0)
                entry.choice.run(work, self.threads or pool.threads())
        finally:
            work.job.leave()
        self._unpack(native, arrays, results)
        return results

    def _packed(
        self, arrays: Mapping[str, Array], results: Mapping[str, Array]
    ) -> dict[tuple[bool, str], Array]:
        """bfloat16 ports as the kernels see them: NumPy holds their values in float32.

        By whether they are outputs, and name: an output may be called as an input.
        """
        held = {False: {**self.bound, **arrays}, True: results}
        return {(o, n): pack_bf16(held[o][n]) for o, n in self.half if n in held[o]}

    def _unpack(
        self,
        native: Mapping[tuple[bool, str], Array],
        arrays: Mapping[str, Array],
        results: Mapping[str, Array],
    ) -> None:
        for (is_output, name), bits in native.items():
            if is_output:
                unpack_bf16(bits, results[name])
            elif name in self.bound and name not in arrays:
                unpack_bf16(bits, self.bound[name])

    def _outputs(
        self, sized: Sized, arrays: Mapping[str, Array], out: Mapping[str, Array] | None
    ) -> dict[str, Array]:
        """An array for each output: those of `out` where the kernels can write into them."""
        results = {}
        for name, dtype in self.result_dtypes:
            shape = sized.shapes[name]
            wanted = out.get(name) if out else None
            if wanted is not None and _writable(wanted, dtype, shape, arrays):
                results[name] = wanted
            else:
                results[name] = self.results.array(name, shape, dtype)
        return results

    def _place(
        self,
        work: Workspace,
        sized: Sized,
        arrays: Mapping[str, Array],
        results: Mapping[str, Array],
        native: Mapping[tuple[bool, str], Array],
    ) -> None:
        """Writes the addresses of the caller's arrays into the workspace."""
        words = work.words
        for k, is_output, port in self._changing:
            array = native.get((is_output, port))
            if array is None:
                array = results[port] if is_output else arrays[port]
            address = address_of(array)
            for slot in sized.places[k]:
                words[slot] = address
        bound = self.bound
        if work.bound is bound and len(arrays) == len(self._fed) and not native:
            return
        work.bound, work.job.version = bound, 0
        for k, port in self._staying:
            array = native.get((False, port), arrays.get(port, bound.get(port)))
            if array is None:
                raise ValueError(f"{port} is not bound")
            if array is not bound.get(port):
                work.bound = None
            address = address_of(array)
            for slot in sized.places[k]:
                words[slot] = address


def _port(port: PlanPort) -> Port:
    return Port(port.name, port.role, TensorType(port.dtype, port.dims))


def _check_bound(port: PlanPort, array: Array) -> None:
    dtype = np.dtype(NUMPY_DTYPES[port.dtype])
    if array.dtype != dtype or array.ndim != len(port.dims) or not array.flags.c_contiguous:
        kind = TensorType(port.dtype, port.dims)
        raise ValueError(
            f"{port.name} is {kind}: a C-contiguous array of {dtype} is needed,"
            f" not {array.dtype}{list(array.shape)}"
        )


def _writable(
    array: Array, dtype: Any, shape: tuple[int, ...], inputs: Mapping[str, Array]
) -> bool:
    """Whether kernels may write into an array of the caller's while they read the inputs."""
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        return False
    return array.flags.writeable and not any(
        np.may_share_memory(array, given) for given in inputs.values()
    )


def _given_back(results: dict[str, Array], out: Mapping[str, Array]) -> dict[str, Array]:
    """The results in the caller's arrays; copies what the kernels could not write there."""
    for name, wanted in out.items():
        if name in results and results[name] is not wanted:
            wanted[...] = results[name]
            results[name] = wanted
    return results


def _run_timed(work: Workspace, profile: Array) -> None:
    """A run whose rows are timed, right after a whole one: its threads are awake."""
    version = new_version()
    work.begin(version)
    pool.run_job(work.job, len(profile))
    work.begin(version)
    work.job.set_profile(profile)
    pool.run_job(work.job, len(profile))
    work.job.set_profile(None)
    work.job.version = 0
