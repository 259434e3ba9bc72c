"""Kernels to native code: the vector functions of kernel text, and its compilation."""
