"""The solvers, for `from combdiff.solvers import ...`."""

from combdiff_solvers import *  # noqa: F403
from combdiff_solvers import __all__ as __all__
