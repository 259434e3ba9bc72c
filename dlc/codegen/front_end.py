"""Kernel text to LLVM IR by Numba: typing and lowering alone, without its optimiser and loader."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba.core import types
from numba.core.codegen import CPUCodeLibrary
from numba.core.compiler import CompilerBase, Flags, compile_extra
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.cpu import CPUContext
from numba.core.errors import TypingError
from numba.core.interpreter import Interpreter
from numba.core.lowering import Lower
from numba.core.typed_passes import (
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.typing.context import Context
from numba.core.untyped_passes import (
    FixupArgs,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)

from dlc.codegen.machine import Machine
from dlc.codegen.vector.namespace import namespace

ENTRY = "kernel"
"""The function that a text defines, and the symbol of its object."""

_registered: Any = register_pass


class _Lower(Lower):
    """Takes operators as they were typed: finding them anew took a fifth of the time."""

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        """One operation of two operands."""
        load: Any = self.loadvar
        type_of: Any = self.typeof
        context, builder, signature = self.context, self.builder, self.fndesc.calltypes[expr]
        operands = [
            context.cast(builder, load(v.name), type_of(v.name), wanted)
            for v, wanted in zip((expr.lhs, expr.rhs), signature.args, strict=True)
        ]
        operator = context.typing_context.resolve_value_type(op)
        result = context.get_function(operator, signature)(builder, operands)
        return context.cast(builder, result, signature.return_type, resty)


@_registered(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """Needs no places where variables end, which takes another pass: they hold nothing to free."""

    @property
    def lowering_class(self) -> Any:
        """What lowers each statement."""
        return _Lower


class _Interpreter(Interpreter):
    """Kernel text has no exceptions, context managers or star arguments to look for."""

    def post_process(self, peepholes: Any, func_ir: Any) -> Any:
        """The function as it was read."""
        return func_ir

    def _end_try_blocks(self) -> None:
        pass


@_registered(mutates_CFG=True, analysis_only=False)
class _Reading(TranslateByteCode):
    """Bytecode to Numba's form of it."""

    def run_pass(self, state: Any) -> bool:
        """Called once."""
        make: Any = _Interpreter
        state["func_ir"] = make(state["func_id"]).interpret(state["bc"])
        return True


_PASSES: tuple[Any, ...] = (
    _Reading, FixupArgs, NopythonTypeInference, _Lowering, NoPythonBackend,
)  # fmt: skip
_SPLITTING: tuple[Any, ...] = (
    _Reading, FixupArgs, IRProcessing, ReconstructSSA, NopythonTypeInference,
    PreLowerStripPhis, _Lowering, NoPythonBackend,
)  # fmt: skip
"""As above, with a name for each assignment: for text that gives one name values of two types."""
_SIGNATURE = (types.intp, types.intp, types.intp)
_compile: Any = compile_extra


def llvm_text(text: str, machine: Machine) -> tuple[str, str]:
    """(LLVM IR, the name of the kernel's function in Numba's calling convention).

    Raises what Numba raises for text that is wrong. The caller holds Numba's compiler lock.
    """
    names = namespace(machine)
    exec(compile(text, "<kernel>", "exec"), names)
    try:
        return _lowered(names[ENTRY], _Pipeline)
    except TypingError:
        return _lowered(names[ENTRY], _SplittingPipeline)


def _lowered(function: Any, pipeline: type[CompilerBase]) -> tuple[str, str]:
    typing_context, target_context = _contexts()
    make: Any = _Library
    library = make(target_context.codegen(), ENTRY)
    flags = _flags(splits=pipeline is _SplittingPipeline)
    result = _compile(
        typing_context, target_context, function, _SIGNATURE, types.void, flags, {}, library,
        pipeline_class=pipeline,
    )  # fmt: skip
    return library.text(), result.fndesc.llvm_func_name


class _Library(CPUCodeLibrary):
    """Keeps the text of the module that lowering makes, and neither optimises nor loads it."""

    lowered: str = ""

    def add_ir_module(self, ir_module: Any) -> None:
        """Called once by lowering."""
        assert not self.lowered, "a kernel is one module"
        self.lowered = str(ir_module)

    def text(self) -> str:
        """The module. Kernel text calls only functions that are expanded in place."""
        others = {library.name for library in self._linking_libraries} - {"nrt"}
        assert not others, f"kernel text calls {others}"
        return self.lowered


class _Pipeline(CompilerBase):
    """What kernel text needs of Numba: half of the time goes into the other passes."""

    passes = _PASSES

    def define_pipelines(self) -> list[Any]:
        make: Any = PassManager
        manager = make(ENTRY)
        for one in self.passes:
            manager.add_pass(one, one.__name__)
        manager.finalize()
        return [manager]


class _SplittingPipeline(_Pipeline):
    passes = _SPLITTING


class _RememberingContext(Context):
    """Types each kind of call once: half the time of typing goes into finding the same rules."""

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        resolve: Any = super().resolve_function_type
        if kws:
            return resolve(func, args, kws)
        found, key = self.__dict__.setdefault("remembered", {}), (func, args)
        if key not in found:
            found[key] = resolve(func, args, kws)
        return found[key]


class _RememberingTarget(CPUContext):
    """Finds the code of each kind of call once."""

    def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
        """What makes the instructions of a call."""
        find: Any = super().get_function
        found, key = self.__dict__.setdefault("remembered", {}), (fn, sig)
        if key not in found:
            found[key] = find(fn, sig, _firstcall)
        return found[key]


@lru_cache(maxsize=1)
def _contexts() -> tuple[Any, Any]:
    """(typing, lowering) of this compiler alone."""
    typing: Any = _RememberingContext
    lowering: Any = _RememberingTarget
    typing_context = typing()
    target_context = lowering(typing_context, "cpu")
    typing_context.refresh()
    target_context.refresh()
    return typing_context, target_context


@lru_cache(maxsize=2)
def _flags(*, splits: bool) -> Any:
    make: Any = Flags
    flags = make()
    flags.enable_ssa = splits
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.nrt = False
    flags.boundscheck = False
    flags.error_model = "numpy"
    flags.enable_looplift = False
    flags.enable_pyobject = False
    flags.force_pyobject = False
    return flags
