"""Any combinatorial solver as a differentiable PyTorch layer."""

from combdiff import errors, metrics, solvers, temperature
from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.layers import Interpolation, Perturbed
from combdiff.losses import FenchelYoungLoss
from combdiff_solvers.protocol import Sense, Solutions, Solver, Status
from combdiff_solvers.wrap import wrap

__version__ = "0.1.0"

__all__ = [
    "FenchelYoungLoss",
    "Interpolation",
    "Perturbed",
    "Sense",
    "SmoothedLayer",
    "Solutions",
    "Solver",
    "SolverLayer",
    "Status",
    "errors",
    "metrics",
    "solvers",
    "temperature",
    "wrap",
]
