"""Models written in other libraries: each file reads one kind as a `LinearModel`, or runs its library's own engine."""

import contextlib

with contextlib.suppress(ImportError):  # before a front end imports PuLP: see `shadowed_highs`
    import ortools.math_opt.python.mathopt  # noqa: F401
