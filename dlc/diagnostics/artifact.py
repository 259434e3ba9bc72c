"""Mistakes with files: artifacts, runs, and what the environment refuses."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import Diagnostic, case


@case
class ArtifactDamaged(Diagnostic):
    """A `.dlm` file does not hold what was written into it.

    Every artifact ends with a hash of all its bytes. It does not fit here: the file was cut off
    while it was copied, changed by another program, or its disk is failing. Copy it again, or
    make it anew with `dlc compile`. The hash detects damage, not malice: load only artifacts
    that you trust as you would trust a program.
    """

    code = "E0901"
    exit_code = 5
    path: str
    reason: str

    @property
    def message(self) -> str:
        """Which file, and what is wrong."""
        return f"{self.path} is damaged: {self.reason}"

    @property
    def help(self) -> str:
        """How to get a whole one."""
        return "copy it again, or make it anew with `dlc compile`"


@case
class ArtifactForeign(Diagnostic):
    """A file that is no artifact of dlc was given where one is needed.

    Artifacts are made by `dlc compile MODEL.dl -o MODEL.dlm` and by training.
    """

    code = "E0902"
    exit_code = 5
    path: str
    reason: str

    @property
    def message(self) -> str:
        """Which file."""
        return f"{self.path} is not an artifact of dlc: {self.reason}"

    @property
    def help(self) -> str:
        """How artifacts are made."""
        return "artifacts are made with `dlc compile MODEL.dl -o MODEL.dlm`"


@case
class ArtifactNewer(Diagnostic):
    """An artifact was written by a later dlc, in a form that this one cannot read.

    Artifacts carry the version of their form. Later versions of dlc read earlier forms, not the
    reverse: install the dlc that wrote it or a later one.
    """

    code = "E0903"
    exit_code = 5
    path: str
    version: int
    known: int
    writer: str

    @property
    def message(self) -> str:
        """Both versions."""
        return (
            f"{self.path} has form {self.version}, written by dlc {self.writer}; "
            f"this dlc reads forms up to {self.known}"
        )

    @property
    def help(self) -> str:
        """What to install."""
        return f"install dlc {self.writer} or later"


@case
class FileUnreadable(Diagnostic):
    """A file or folder that was named cannot be read.

    It does not exist, is of the wrong kind, or its permissions forbid it.
    """

    code = "E0904"
    exit_code = 5
    path: str
    reason: str
    advice: str | None = None

    @property
    def message(self) -> str:
        """Which file, and why."""
        return f"cannot read {self.path}: {self.reason}"

    @property
    def help(self) -> str | None:
        """What would be readable, where that is known."""
        return self.advice


@case
class FileUnwritable(Diagnostic):
    """A result cannot be written.

    The disk is full, the folder does not exist, or its permissions forbid it. Files are written
    beside their place and then moved, so nothing that was there before is lost.
    """

    code = "E0905"
    exit_code = 5
    path: str
    reason: str

    @property
    def message(self) -> str:
        """Which file, and why."""
        return f"cannot write {self.path}: {self.reason}"


@case
class RunUnknown(Diagnostic):
    """A folder was given as a run, and holds no trained artifact.

    `dlc train FILE -o DIR` makes such a folder; it holds `model.dlm` once the first epoch is done.
    """

    code = "E0906"
    exit_code = 5
    path: str
    near: tuple[str, ...] = ()
    """Folders of runs that lie near."""

    @property
    def message(self) -> str:
        """Which folder."""
        return f"{self.path} is no run with a trained model"

    @property
    def help(self) -> str:
        """Which there are, or what makes one."""
        if self.near:
            return f"name a run, as {', '.join(self.near)}, or an artifact (.dlm)"
        return "name a folder that `dlc train` made, or an artifact (.dlm)"


@case
class PackageMissing(Diagnostic):
    """A task needs a package that is not installed.

    Numba comes with dlc, and compiles. An artifact's models run without it; it is needed where
    code must be made: for intermediate values and gradients of a loaded model, for a processor that
    the artifact has no code for, and for training. The interpreter needs neither: `interpret=True`
    in Python, `--interpret` in commands.
    """

    code = "E0907"
    exit_code = 5
    package: str
    purpose: str
    instead: str = ""

    @property
    def message(self) -> str:
        """Which package."""
        return f"{self.purpose} needs the package {self.package}"

    @property
    def help(self) -> str:
        """How to install it."""
        return "; ".join(filter(None, (f"pip install {self.package}", self.instead)))


@case
class FolderOccupied(Diagnostic):
    """A folder that must be empty holds files.

    `dlc new` never writes over anything: give it a new name or an empty folder.
    """

    code = "E0908"
    exit_code = 2
    path: str

    @property
    def message(self) -> str:
        """Which folder."""
        return f"{self.path} is not empty"

    @property
    def help(self) -> str:
        """What to do."""
        return "name an empty or a new folder: dlc new digits my-digits"
