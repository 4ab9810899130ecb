"""Layers: one method a file."""

from combdiff.layers.interpolation import Interpolation
from combdiff.layers.perturbed import Perturbed
from combdiff.layers.satnet import SatNet

__all__ = ["Interpolation", "Perturbed", "SatNet"]
