"""How this package runs a compiled kernel over the rows of a batch, for kernels outside of it."""

from combdiff_solvers._rows import for_rows as for_rows

__all__ = ["for_rows"]
