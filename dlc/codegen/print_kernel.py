"""A kernel of the IR as text."""

from __future__ import annotations

from dlc.codegen.contraction import ContractionPrinter
from dlc.codegen.printer import Printed, Printer
from dlc.schedule.collapse import is_flat
from dlc.schedule.kernel import Kernel


def print_kernel(kernel: Kernel, lanes: int) -> Printed:
    """The text of a kernel for vectors of `lanes` elements."""
    if kernel.blocks is not None:
        contraction = ContractionPrinter(kernel, lanes)
        contraction.units()
        return contraction.finish()
    printer = Printer(kernel, lanes, flat=is_flat(kernel) and kernel.lane is not None)
    if kernel.template == "sort":
        printer.sort()
    elif kernel.template == "turn":
        printer.turn()
    else:
        printer.units()
    return printer.finish()
