"""What stands in the way of native code on this machine: E0950 to E0959."""

from __future__ import annotations

from dlc.diagnostics.diagnostic import Diagnostic, case


@case
class MachineUnsupported(Diagnostic):
    """Native code is made for Linux on x86-64 and arm64 only, so far.

    Everything else of dlc works here: programs are checked, and `--interpret` runs them in NumPy,
    slowly.
    """

    code = "E0950"
    exit_code = 5
    system: str
    processor: str

    @property
    def message(self) -> str:
        """What this machine is."""
        return f"no native code for {self.system} on {self.processor}"

    @property
    def help(self) -> str:
        """What works."""
        return "run with --interpret, or on Linux on x86-64 or arm64"


@case
class LevelUnknown(Diagnostic):
    """The environment variable DLC_CPU_LEVEL names no level of processors of this machine.

    It forces code for an older processor than this one, which tests of portability use. Unset it
    to have the code that runs best.
    """

    code = "E0951"
    exit_code = 5
    given: str
    known: tuple[str, ...]

    @property
    def message(self) -> str:
        """What it says, and what it may say."""
        return f"DLC_CPU_LEVEL is {self.given}: it is one of {', '.join(self.known)}"
