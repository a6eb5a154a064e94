"""Kernels written once for both libraries, in what NumPy and CuPy have in common."""
