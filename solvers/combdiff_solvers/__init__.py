"""Batch solvers for linear objectives over combinatorial sets. Never imports torch."""

from combdiff_solvers.assignment import Assignment, AssignmentInstances
from combdiff_solvers.cached import Cached
from combdiff_solvers.exact_cover import ExactCover
from combdiff_solvers.factory import Factory
from combdiff_solvers.files import wrap_file
from combdiff_solvers.k_subset import KSubset, KSubsetInstances
from combdiff_solvers.knapsack import Knapsack, KnapsackInstances
from combdiff_solvers.limits import Limits
from combdiff_solvers.matching import Matching
from combdiff_solvers.mixed_integer import MixedInteger
from combdiff_solvers.parallel import Parallel
from combdiff_solvers.protocol import Sense, Solutions, Solver, Status
from combdiff_solvers.qubo import MaxCut, Qubo
from combdiff_solvers.ranking import Ranking
from combdiff_solvers.ray import OnRay
from combdiff_solvers.sat import SatInstances
from combdiff_solvers.shortest_path import GraphInstances, GridInstances, ShortestPath
from combdiff_solvers.spanning_tree import SpanningTree, SpanningTreeInstances
from combdiff_solvers.sudoku import Sudoku, SudokuInstances
from combdiff_solvers.top_k import TopK
from combdiff_solvers.tsp import TravelingSalesman
from combdiff_solvers.wrap import FunctionSolver, wrap

__all__ = [
    "Assignment",
    "AssignmentInstances",
    "Cached",
    "ExactCover",
    "Factory",
    "FunctionSolver",
    "GraphInstances",
    "GridInstances",
    "KSubset",
    "KSubsetInstances",
    "Knapsack",
    "KnapsackInstances",
    "Limits",
    "Matching",
    "MaxCut",
    "MixedInteger",
    "OnRay",
    "Parallel",
    "Qubo",
    "Ranking",
    "SatInstances",
    "Sense",
    "ShortestPath",
    "Solutions",
    "Solver",
    "SpanningTree",
    "SpanningTreeInstances",
    "Status",
    "Sudoku",
    "SudokuInstances",
    "TopK",
    "TravelingSalesman",
    "wrap",
    "wrap_file",
]
