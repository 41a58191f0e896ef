"""Kernels in C for what torch has no good CPU kernel for: the library, and how to call it."""
