"""Batch solvers for linear objectives over combinatorial sets. Never imports torch."""

from combdiff_solvers.files import wrap_file
from combdiff_solvers.formulas.formula_solver import SatInstances
from combdiff_solvers.limits import Limits
from combdiff_solvers.models.mixed_integer import MixedInteger
from combdiff_solvers.models.mixed_integer_programs import MixedIntegerPrograms
from combdiff_solvers.pools.cached import Cached
from combdiff_solvers.pools.factory import Factory
from combdiff_solvers.pools.parallel import Parallel
from combdiff_solvers.pools.ray import OnRay
from combdiff_solvers.problems.assignment import Assignment, AssignmentInstances
from combdiff_solvers.problems.exact_cover import ExactCover
from combdiff_solvers.problems.k_subset import KSubset, KSubsetInstances, TopK
from combdiff_solvers.problems.knapsack import Knapsack, KnapsackInstances
from combdiff_solvers.problems.matching import Matching
from combdiff_solvers.problems.qubo import MaxCut, Qubo
from combdiff_solvers.problems.ranking import Ranking, RankingInstances
from combdiff_solvers.problems.shortest_path.graph import GraphInstances
from combdiff_solvers.problems.shortest_path.grid import GridInstances
from combdiff_solvers.problems.shortest_path.shortest_path import ShortestPath
from combdiff_solvers.problems.spanning_tree import SpanningTree, SpanningTreeInstances
from combdiff_solvers.problems.sudoku import Sudoku, SudokuInstances
from combdiff_solvers.problems.tsp.tsp import TravelingSalesman
from combdiff_solvers.protocol import Sense, Solutions, Solver, Status
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
    "MixedIntegerPrograms",
    "OnRay",
    "Parallel",
    "Qubo",
    "Ranking",
    "RankingInstances",
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
