"""Layers: one method a file."""

from combdiff.layers.interpolation import Interpolation
from combdiff.layers.perturbed import Perturbed

__all__ = ["Interpolation", "Perturbed"]
