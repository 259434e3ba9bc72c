"""The training loop: epochs of batches, validation, checkpoints."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dlc.diagnostics import Diagnostic, Span, fail
from dlc.diagnostics.running import BrokenOff, CheckpointSkipped, LossNotFinite
from dlc.runtime.executable import Factory
from dlc.runtime.weights import Match
from dlc.semantics.program import Program, Recipe, StepProgram
from dlc.train import checkpoint
from dlc.train.chunks import Chunks
from dlc.train.data.dataset import Dataset
from dlc.train.folder import RunFolder, create, read_manifest, reopen
from dlc.train.monitor import Monitor
from dlc.train.options import Callback, End, Interrupted, Options, Run
from dlc.train.order import epoch_batches
from dlc.train.programs import Programs, StepRunner
from dlc.train.schedules import schedules_over
from dlc.train.setup import (
    Data,
    Given,
    check_unchanged,
    initial_state,
    manifest_of,
    read_data,
    recipe_of,
    take_weights,
)
from dlc.train.signals import Signals
from dlc.train.state import EpochRecord, Metrics, TrainState

Array = np.ndarray[Any, Any]
ARTIFACT = "model.dlm"


class Trainer:
    """One training of one recipe. Iterate over it for an epoch at a time, or `run` it through.

        for record in trainer:
            print(record.epoch, record.train["loss"])

    Making one reads and checks the data and makes the run's folder; the first epoch compiles.
    Raises DlcError: E07xx for data, E0802 to E0813 for folders, resuming and weights.
    """

    def __init__(
        self,
        program: Program,
        recipe: str | None = None,
        *,
        compile_graph: Factory,
        data: Given | None = None,
        validation: Given | None = None,
        test: Given | None = None,
        options: Options | None = None,
    ) -> None:
        self.program = program
        self.options = options or Options()
        self.recipe: Recipe = recipe_of(program, recipe)
        old = read_manifest(self.options.resume) if self.options.resume else None
        was = {"seed": self.recipe.seed, "epochs": self.recipe.epochs}
        if old is not None:
            was = {"seed": old["seed"], "epochs": old["settings"]["epochs"]}
        self.seed = was["seed"] if self.options.seed is None else self.options.seed
        self.epochs = was["epochs"] if self.options.epochs is None else self.options.epochs
        self.data: Data = read_data(
            program, self.recipe, self.seed, data=data, validation=validation, test=test
        )
        self.monitor = Monitor(self.recipe, self.options.better)
        self.weights: Match | None = None
        """What matched of `Options.weights`."""
        self._stop = False
        self._whole = True
        """False from within a batch: some params are updated, others not."""
        self._lines: list[Mapping[str, Any]] = []
        """Metrics that are not yet in the folder."""
        self._artifact_due = old is not None
        """Whether the artifact may be older than the checkpoint: a killed run left it so."""
        self.manifest = manifest_of(
            program, self.recipe, self.data, self.seed, self.epochs, self.options.version
        )
        self.run_folder: RunFolder | None = None
        try:
            self.state: TrainState = self._start() if old is None else self._resume()
        except BaseException:
            self.close()
            raise
        self._programs = Programs(
            program, self.recipe.steps, self.data.rows_axis, compile_graph, self.state
        )
        self._chunks: Chunks | None = None
        self._tell(lambda callback: callback.on_start(self))
        for warning in schedules_over(program, self.recipe, self.seed, self.epochs, self.batches):
            self._warn(warning)

    # ------------------------------------------------------------ what the user sees

    def __repr__(self) -> str:
        done = f"epoch {self.state.epoch}/{self.epochs} done"
        return f"Trainer({self.recipe.name} of {self.program.source.path}, {done})"

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """The epochs so far."""
        return tuple(self.state.history)

    @property
    def folder(self) -> Path | None:
        """The run's folder; None if nothing is saved."""
        return self.run_folder.path if self.run_folder else None

    @property
    def params(self) -> dict[str, Array]:
        """Params and states by path: the arrays that training updates in place."""
        return {path: self.state.arrays[path] for path in self.program.params}

    @property
    def batches(self) -> int:
        """How many batches an epoch has."""
        rows, size = len(self.data.train_rows), self.data.batch
        return rows // size if self.recipe.settings.get("drop_last") else -(-rows // size)

    def running(self) -> Metrics:
        """The metrics of the epoch that runs, over its batches so far."""
        return self._programs.named(self._programs.training, self.state.accumulators)

    def stop(self) -> None:
        """Ends training after the epoch that runs."""
        self._stop = True

    def save(self) -> Path | None:
        """Writes a checkpoint now; gives its path. Raises DlcError (E0804, E0814)."""
        if self.run_folder is None:
            return None
        self._check_whole()
        if self._lines:
            state = self.state
            state.metrics_bytes = self.run_folder.append(self._lines, state.metrics_bytes)
            self._lines.clear()
        return checkpoint.save(self.run_folder.checkpoints, self.state)

    def close(self) -> None:
        """Gives the folder free for others; training can go on only by resuming."""
        if self.run_folder is not None:
            self.run_folder.close()

    def evaluate(self, which: str = "validation") -> Metrics:
        """The metrics over `validation` or `test` rows with the params as they are now.

        Raises KeyError if the recipe has none.
        """
        data = {"validation": self.data.validation, "test": self.data.test}[which]
        if data is None:
            raise KeyError(which)
        rows = self.data.validation_rows if which == "validation" else np.arange(data.rows)
        return self._programs.evaluate(data, rows, self.data.batch, {}, self._tick)

    # ------------------------------------------------------------ running

    def __iter__(self) -> Iterator[EpochRecord]:
        """Trains epoch by epoch; afterwards the test rows are evaluated once.

        Raises Interrupted after Ctrl-C or SIGTERM, when all is saved; DlcError (E0801) where the
        loss is not finite.
        """
        while not self._over():
            self._prepare()
            with Signals() as signals, self._telling():
                record = self._epoch(signals)
            yield record
        with Signals() as signals, self._telling():
            self._finish(signals)

    def run(self) -> Run:
        """Trains to the end, or to an interruption; the run is then partial."""
        try:
            for _ in self:
                pass
        except Interrupted as stop:
            return self._result("interrupted", int(stop.signal))
        finally:
            self.close()
        early = self.monitor.over(self.state) and self.state.epoch < self.epochs
        return self._result("stopped early" if early else "stopped" if self._stop else "done", None)

    def _result(self, end: End, number: int | None) -> Run:
        last = self.state.history[-1].metrics if self.state.history else {}
        params = {path: np.array(value) for path, value in self.monitor.chosen(self.params).items()}
        run = Run(end, self.history, params, dict(last), self.state.test, self.folder, number)
        self._tell(lambda callback: callback.on_end(self, run))
        return run

    def _over(self) -> bool:
        if self.state.position:  # in the middle of an epoch
            return False
        return self._stop or self.state.epoch >= self.epochs or self.monitor.over(self.state)

    def _prepare(self) -> None:
        self._check_whole()
        if self.run_folder is not None:
            self.run_folder.relock()
        if self._chunks is not None:
            return
        with self._telling():
            try:
                self._programs.prepare()
            except KeyboardInterrupt as error:  # nothing has changed, nothing needs saving
                self.close()
                raise Interrupted(signal.SIGINT, self.folder) from error
        asked = any(type(c).on_batch is not Callback.on_batch for c in self.options.callbacks)
        self._chunks = Chunks(
            self._programs.training, self.data.train, self.state, allowed=not asked
        )
        self._tell(lambda callback: callback.on_ready(self))

    def _epoch(self, signals: Signals) -> EpochRecord:
        state, number = self.state, self.state.epoch + 1
        parts = epoch_batches(
            self.data.train_rows, self.data.batch, self.seed, number,
            drop_last=bool(self.recipe.settings.get("drop_last")),
        )  # fmt: skip
        while state.position < len(parts):
            self._interrupt(signals)
            count = self._chunk(parts, number) or self._single(parts[state.position], number)
            self._tell_batches(count)
            every = self.options.save_every
            if every and state.position % every == 0 and state.position < len(parts):
                self.save()
        return self._end_epoch(number, signals)

    def _interrupt(self, signals: Signals) -> None:
        if signals.received is not None:
            self.save()
            self.close()
            raise Interrupted(signals.received, self.folder)

    def _evaluate(
        self, data: Dataset, rows: Array, arrays: Mapping[str, Array], signals: Signals
    ) -> Metrics:
        def tick(done: int, total: int) -> None:
            self._tick(done, total)
            if signals.received is not None:
                raise Interrupted(signals.received, self.folder)

        try:
            return self._programs.evaluate(data, rows, self.data.batch, arrays, tick)
        except Interrupted:  # the params are the state's own again
            self._interrupt(signals)
            raise

    def _chunk(self, parts: Sequence[Array], epoch: int) -> int:
        """Trains on the next batches in one call, if that can be; on how many."""
        assert self._chunks is not None
        state, every = self.state, self.options.save_every
        whole = len(parts) - (len(parts[-1]) < self.data.batch)
        left = whole - state.position
        count = self._chunks.count(min(left, every - state.position % every) if every else left)
        if count == 0:
            return 0
        self._whole = False
        done = self._chunks.run(np.stack(parts[state.position : state.position + count]), epoch)
        self._whole = True
        state.position += count if done else 0
        return count if done else 0

    def _single(self, rows: Array, epoch: int) -> int:
        """Trains on one batch."""
        assert self._chunks is not None
        start = time.perf_counter()
        self._batch(rows, epoch)
        if len(rows) == self.data.batch:
            self._chunks.told(time.perf_counter() - start)
        self.state.position += 1
        self._tell(lambda callback: callback.on_batch(self))
        return 1

    def _batch(self, rows: Array, epoch: int) -> None:
        state = self.state
        number = state.batches + 1
        self._whole = False
        for runner in self._programs.training:
            step = runner.step
            if number % step.every:
                continue
            feeds = self.data.train.batch(step.name, rows)
            clocks = {"seed": self.seed, "step": state.counters[step.name] + 1, "epoch": epoch}
            outputs = runner.run(feeds, len(rows), clocks)
            bad = runner.metrics.bad_loss(outputs)
            if bad is not None:
                self._fail(runner, feeds, rows, epoch, bad)
            state.counters[step.name] += 1
            runner.metrics.add(state.accumulators, outputs)
        state.batches = number
        self._whole = True

    def _check_whole(self) -> None:
        if not self._whole:
            raise fail(BrokenOff(str(self.folder) if self.folder else None))

    def _fail(
        self, runner: StepRunner, feeds: Mapping[str, Array], rows: Array, epoch: int, value: float
    ) -> None:
        arrays = {**feeds, "rows": rows}
        saved = self.run_folder.save_batch(arrays) if self.run_folder else ""
        batch = self.state.position + 1
        span = _loss_span(runner.step)
        raise fail(LossNotFinite(runner.step.name, str(value), epoch, batch, saved, span))

    # ------------------------------------------------------------ the end of an epoch

    def _end_epoch(self, number: int, signals: Signals) -> EpochRecord:
        state = self.state
        train = self.running()
        held = None
        if self.data.validation is not None:
            held = self._evaluate(self.data.validation, self.data.validation_rows, {}, signals)
        record = EpochRecord(number, train, held)
        state.history.append(record)
        state.epoch, state.position, state.accumulators = number, 0, {}
        self.monitor.judge(state, record, self.params)
        self._save_epoch(record.plain())
        self._tell(lambda callback: callback.on_epoch(self, record))
        if signals.received is not None and not self._over():
            self.close()
            raise Interrupted(signals.received, self.folder)
        return record

    def _save_epoch(self, line: Mapping[str, Any]) -> None:
        if self.run_folder is None:
            return
        self._lines.append(line)
        self.save()
        self._save_artifact()

    def _save_artifact(self) -> None:
        write = self.options.save_artifact
        if write is None or self.run_folder is None:
            return
        facts = {
            "recipe": self.recipe.name,
            "seed": self.seed,
            "epochs": self.state.epoch,
            "classes": self.manifest["classes"],
        }
        write(self.run_folder.path / ARTIFACT, self.monitor.chosen(self.params), facts)
        self._artifact_due = False

    def _finish(self, signals: Signals) -> None:
        if not self.state.finished:
            self._test(signals)
        if self._artifact_due:
            self._save_artifact()

    def _test(self, signals: Signals) -> None:
        """Evaluates the test rows, once, with the params that are the result."""
        state = self.state
        if self.data.test is None:
            state.finished = True
            self.save()
            return
        rows = np.arange(self.data.test.rows)
        state.test = self._evaluate(self.data.test, rows, self.monitor.chosen(self.params), signals)
        state.finished = True
        self._save_epoch({"test": state.test})

    # ------------------------------------------------------------ the beginning

    def _start(self) -> TrainState:
        state = initial_state(self.program, self.recipe, self.seed)
        if self.options.weights is not None:
            self.weights = take_weights(self.program, state, self.options.weights)
        if self.options.keep:
            self.run_folder = create(self.options.folder, Path(self.program.source.path).stem)
            checkpoint.save(self.run_folder.checkpoints, state)
            self.run_folder.write_manifest(self.manifest)  # last: from here on it can be resumed
        return state

    def _resume(self) -> TrainState:
        assert self.options.resume is not None
        folder = self.options.resume
        self.run_folder = reopen(folder)
        check_unchanged(self.run_folder.manifest, self.manifest, folder, self._warn)
        settings = self.run_folder.manifest["settings"]
        if settings["epochs"] != self.epochs:
            new = {**settings, "epochs": self.epochs}
            self.run_folder.write_manifest({**self.run_folder.manifest, "settings": new})
        found = checkpoint.newest(self.run_folder.checkpoints, self._warn)
        state = found or initial_state(self.program, self.recipe, self.seed)
        self.run_folder.truncate_metrics(state.metrics_bytes)
        if state.epoch < self.epochs:  # more epochs are asked for than before
            state.finished = state.finished and self.monitor.over(state)
        if self.monitor.chooses and state.best is not None:
            self.monitor.best = self._load_best(state, state.best.epoch)
        return state

    def _load_best(self, state: TrainState, epoch: int) -> dict[str, Array] | None:
        assert self.run_folder is not None
        path = self.run_folder.checkpoints / checkpoint.name_of(epoch, 0)
        try:
            arrays = checkpoint.load(path).arrays
        except checkpoint.Damaged as error:
            self._warn(CheckpointSkipped(str(path), str(error)))
            state.best = None
            return None
        return {name: arrays[name] for name in self.program.params}

    # ------------------------------------------------------------ callbacks

    def _tick(self, done: int, total: int) -> None:
        self._tell(lambda callback: callback.on_validation(self, done, total))

    def _tell_batches(self, count: int) -> None:
        self._tell(lambda callback: callback.on_batches(self, count))

    def _compiling(self, kernels: int) -> None:
        self._tell(lambda callback: callback.on_compile(self, kernels))

    def _warn(self, warning: Diagnostic) -> None:
        self._tell(lambda callback: callback.on_warning(self, warning))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tells the callbacks if training ends by an exception."""
        try:
            yield
        except BaseException:
            self._tell(lambda callback: callback.on_failure(self))
            raise

    def _tell(self, event: Callable[[Callback], None]) -> None:
        for callback in self.options.callbacks:
            event(callback)


def _loss_span(step: StepProgram) -> Span | None:
    """The place of what is minimized."""
    node = step.graph.outputs.get("metric:loss")
    return node.spans[0] if node is not None and node.spans else step.span
