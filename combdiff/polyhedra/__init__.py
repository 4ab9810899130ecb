"""Cones of a feasible set at a solution: adjacent vertices, binding constraints, projections."""

from combdiff.polyhedra.binding import binding_normals
from combdiff.polyhedra.cones import project
from combdiff.polyhedra.neighbours import Neighbours

__all__ = ["Neighbours", "binding_normals", "project"]
