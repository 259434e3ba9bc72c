"""Vectors as values of kernel text: Numba types and the functions over them, built as LLVM IR."""
