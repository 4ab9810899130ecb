"""Perturbed costs, with a loss on the mean solution and the layer's own gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments.harness.options import option
from experiments.methods.perturbed import Perturbed


@dataclass
class PerturbedLayer(Perturbed):
    """Berthet et al. (2020), section 3.2: the Monte Carlo Jacobian, instead of the Fenchel–Young loss."""

    loss: Literal["fenchel-young", "hamming", "squared", "task"] | None = option("task", "on the mean solution")
