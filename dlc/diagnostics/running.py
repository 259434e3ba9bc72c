"""What stops a training run: a loss that is not finite, folders, checkpoints, weights."""

from __future__ import annotations

from typing import ClassVar

from dlc.diagnostics.data import listed
from dlc.diagnostics.diagnostic import Diagnostic, Label, Severity, case
from dlc.diagnostics.placed import similar
from dlc.diagnostics.span import Span


class RunMistake(Diagnostic):
    """Anything that stops a run; the process ends with exit code 4."""

    exit_code: ClassVar[int] = 4


@case
class LossNotFinite(RunMistake):
    """The loss became NaN or infinite, so training stopped.

    From here on every weight would be NaN. The batch is saved in the run's folder, and the last
    checkpoint holds the weights from before. Common causes: a learning rate that is too high, the
    logarithm or root of 0, a division by 0, inputs that are not scaled (`image / 255`).
    `clip_norm=1.0` in the optimiser bounds the size of a step.
    """

    code = "E0801"
    step: str
    value: str
    epoch: int
    batch: int
    saved: str
    at: Span | None = None

    @property
    def message(self) -> str:
        """Which step, when, and its value."""
        return f"the loss of {self.step} is {self.value} in epoch {self.epoch}, batch {self.batch}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The minimize."""
        return (Label(self.at, f"this was {self.value}"),) if self.at else ()

    @property
    def help(self) -> str:
        """Where the batch is and what to try."""
        kept = f"the batch is in {self.saved}; " if self.saved else ""
        return f"{kept}try a smaller learning rate, clip_norm=1.0, or scaled inputs"


@case
class FolderExists(RunMistake):
    """The folder for a run exists already; a run never overwrites another.

    Give another folder, or continue the run in it with `--resume FOLDER`.
    """

    code = "E0802"
    exit_code = 2
    path: str

    @property
    def message(self) -> str:
        """The folder."""
        return f"{self.path} exists already; a run's folder is never overwritten"

    @property
    def help(self) -> str:
        """The two ways out."""
        return f"give another folder, or continue this run: --resume {self.path}"


@case
class FolderLocked(RunMistake):
    """Another process is training in this folder.

    Two trainings in one folder would destroy each other's checkpoints. Wait for the other one, or
    stop it; the lock goes with its process.
    """

    code = "E0803"
    exit_code = 2
    path: str

    @property
    def message(self) -> str:
        """The folder."""
        return f"another process is training in {self.path}"

    @property
    def help(self) -> str | None:
        """What to do."""
        return "wait until it ends, stop it, or train in another folder: `-o FOLDER`"


@case
class CannotWrite(RunMistake):
    """The run's folder cannot be written: the disk is full, or it is read-only.

    Nothing that was saved is lost: every file is written under another name first and renamed
    when it is whole. Make room and continue with `--resume`.
    """

    code = "E0804"
    path: str
    reason: str
    advice: str = ""

    @property
    def message(self) -> str:
        """The path and the system's words."""
        return f"cannot write {self.path}: {self.reason}"

    @property
    def help(self) -> str | None:
        """How to go on."""
        return self.advice or None


@case
class NothingToResume(RunMistake):
    """The folder given to `--resume` is not the folder of a run.

    A run's folder holds `manifest.json` and `checkpoints/`. Its path stands in the last line that
    the interrupted training printed, as `runs/lenet-3`.
    """

    code = "E0805"
    exit_code = 2
    path: str
    reason: str
    near: tuple[str, ...] = ()
    """Folders of runs that lie near."""

    @property
    def message(self) -> str:
        """The folder and what it lacks."""
        return f"{self.path} cannot be resumed: {self.reason}"

    @property
    def help(self) -> str:
        """Which there are, or how one begins."""
        if self.near:
            return f"name the folder of a run, as {', '.join(self.near)}"
        return "give the folder that the interrupted training printed, such as `runs/lenet-3`"


@case
class SourceChanged(RunMistake):
    """A `.dl` file changed since the run began, so the run cannot be continued.

    A resumed run gives the bits that it would have given without the interruption; with another
    program that has no meaning. Restore the file (its text is in the run's `manifest.json`), or
    start a new run from the old weights with `--weights FOLDER`.
    """

    code = "E0806"
    path: str
    folder: str

    @property
    def message(self) -> str:
        """The file."""
        return f"{self.path} changed since the run in {self.folder} began"

    @property
    def help(self) -> str:
        """The two ways out."""
        return f"restore it, or start a new run from these weights: --weights {self.folder}"


@case
class DataChanged(RunMistake):
    """The data changed since the run began, so the run cannot be continued.

    A resumed run gives the bits that it would have given without the interruption; with other data
    that has no meaning. Restore the file, or start a new run from the old weights.
    """

    code = "E0807"
    path: str
    folder: str

    @property
    def message(self) -> str:
        """The file or column."""
        return f"the data {self.path} is not what the run in {self.folder} began with"

    @property
    def help(self) -> str:
        """The two ways out."""
        return f"restore it, or start a new run from these weights: --weights {self.folder}"


@case
class SettingChanged(RunMistake):
    """A setting differs from the one with which the run began.

    On `--resume` the seed, the hypers and the recipe are those of the run; only `--epochs`,
    `--threads` and what is shown may be given anew.
    """

    code = "E0808"
    exit_code = 2
    setting: str
    was: str
    now: str

    @property
    def message(self) -> str:
        """Both values."""
        return f"{self.setting} was {self.was} in this run, and {self.now} is asked for now"

    @property
    def help(self) -> str:
        """What fits."""
        return f"resume with {self.setting} = {self.was}, or start a new run"


@case
class CheckpointsDamaged(RunMistake):
    """No checkpoint of the run can be read.

    Each checkpoint carries a checksum; all of them are damaged. Start a new run.
    """

    code = "E0809"
    path: str
    reason: str

    @property
    def message(self) -> str:
        """The folder and the newest one's fault."""
        return f"every checkpoint in {self.path} is damaged: {self.reason}"


@case
class MonitorUnknown(RunMistake):
    """The metric that chooses the best checkpoint does not exist.

    `monitor` names a metric of a step (`loss`, `accuracy`; with several steps `critic.loss`). With
    a validation split its value there counts.
    """

    code = "E0810"
    exit_code = 1
    name: str
    available: tuple[str, ...]
    at: Span | None = None

    @property
    def message(self) -> str:
        """The name and what there is."""
        return f"no metric {self.name!r} to monitor; there are {listed(self.available)}"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The recipe."""
        return (Label(self.at, "has no such metric"),) if self.at else ()

    @property
    def help(self) -> str | None:
        """The nearest name."""
        return f"did you mean {near}?" if (near := similar(self.name, self.available)) else None


@case
class NothingMatched(RunMistake):
    """No tensor of the given weights fits a parameter of the program.

    Weights are matched by the path of the parameter (`LeNet.conv_0.weight`) and its shape. The
    model or a layer was renamed, or the weights are of another program.
    """

    code = "E0811"
    path: str
    examples: tuple[str, ...]
    expected: tuple[str, ...]

    @property
    def message(self) -> str:
        """What is in the file and what is wanted."""
        return (
            f"nothing in {self.path} fits this program: it has {listed(self.examples, 4)}; "
            f"the program has {listed(self.expected, 4)}"
        )

    @property
    def help(self) -> str:
        """How to make them fit."""
        return (
            "give the weights of this program, call model and layers as the weights do, or save "
            "the arrays under the program's paths: numpy.savez"
        )


@case
class RecipeUnknown(RunMistake):
    """The program has no `train` block of this name, or several and none was named.

    `dlc train FILE RECIPE` names one.
    """

    code = "E0813"
    exit_code = 2
    name: str | None
    available: tuple[str, ...]
    path: str

    @property
    def message(self) -> str:
        """The name and what there is."""
        if not self.available:
            return f"{self.path} has no train block"
        found = listed(self.available)
        if self.name is None:
            return f"{self.path} has several train blocks, name one: {found}"
        return f"{self.path} has no train block {self.name!r}; it has {found}"

    @property
    def help(self) -> str | None:
        """The fix."""
        return "name it: `dlc train FILE RECIPE`" if self.available else "write one: `train fit:`"


@case
class BrokenOff(RunMistake):
    """A training that was broken off within a batch cannot go on.

    Some parameters of that batch are updated, others are not: after a second Ctrl-C, or where the
    loss was not finite. Nothing of it is saved; the last checkpoint is whole, so resume from it.
    """

    code = "E0814"
    folder: str | None

    @property
    def message(self) -> str:
        """What happened."""
        return "this training was broken off within a batch, its parameters are not whole"

    @property
    def help(self) -> str:
        """Where to go on from."""
        return f"resume from {self.folder}" if self.folder else "begin a new training"


@case
class CheckpointSkipped(RunMistake):
    """The newest checkpoint is damaged, so an older one is used.

    Its checksum does not match: the disk failed, or something else wrote into the file. The run
    continues from the one before; what was trained after it is trained again, with the same result.
    """

    code = "W0080"
    severity: ClassVar[Severity] = "warning"
    path: str
    reason: str

    @property
    def message(self) -> str:
        """The file and why."""
        return f"{self.path} is damaged ({self.reason}); using the one before"


@case
class VersionChanged(RunMistake):
    """A run is continued with another version of dlc than it began with.

    It continues, but its last bits may differ from those of an uninterrupted run: another version
    may order sums differently.
    """

    code = "W0081"
    severity: ClassVar[Severity] = "warning"
    was: str
    now: str

    @property
    def message(self) -> str:
        """Both versions."""
        return f"this run began with dlc {self.was}, this is {self.now}: bits may differ"


@case
class ScheduleOver(RunMistake):
    """Training goes on for longer than the schedule of a learning rate.

    `cosine(lr, steps=1000)` is 0 from the 1,001st run of its step on: the parameters stay as they
    are, whatever is trained. Let `steps` be the number of runs, batches times epochs (`every 2`
    halves it), give the schedule a `floor`, or train for fewer epochs.
    """

    code = "W0082"
    severity: ClassVar[Severity] = "warning"
    step: str
    first: int
    runs: int
    at: Span

    @property
    def message(self) -> str:
        """From where on, and how many runs there are."""
        return (
            f"{self.step} learns nothing from its run {self.first:,} on; training has "
            f"{self.runs:,} runs of it"
        )

    @property
    def labels(self) -> tuple[Label, ...]:
        """The optimizer."""
        return (Label(self.at, "its updates are 0 from there on"),)

    @property
    def help(self) -> str:
        """The number that fits."""
        return f"let the schedule go on for {self.runs} steps, or train for fewer epochs"
