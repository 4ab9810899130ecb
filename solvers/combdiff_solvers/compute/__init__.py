"""Compiled kernels, and threads that run them over the rows of a batch."""
