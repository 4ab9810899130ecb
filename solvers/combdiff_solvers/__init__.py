"""Batch solvers for linear objectives over combinatorial sets. Never imports torch."""

from combdiff_solvers.protocol import Sense, Solutions, Solver, Status
from combdiff_solvers.ranking import Ranking
from combdiff_solvers.shortest_path import GraphInstances, GridInstances, ShortestPath
from combdiff_solvers.top_k import TopK
from combdiff_solvers.wrap import FunctionSolver, wrap

__all__ = [
    "FunctionSolver",
    "GraphInstances",
    "GridInstances",
    "Ranking",
    "Sense",
    "ShortestPath",
    "Solutions",
    "Solver",
    "Status",
    "TopK",
    "wrap",
]
