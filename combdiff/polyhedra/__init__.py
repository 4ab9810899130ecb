"""Cones of a feasible set at a solution: adjacent vertices, binding constraints, projections."""

from combdiff.polyhedra.binding import binding_normals
from combdiff.polyhedra.cones import project
from combdiff.polyhedra.model_constraints import constraints_of
from combdiff.polyhedra.neighbours import Neighbours

__all__ = ["Neighbours", "binding_normals", "constraints_of", "project"]
