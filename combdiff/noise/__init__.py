"""Noise on costs: what is drawn, its score, and how it perturbs.

`combdiff.Perturbed` takes any `Noise` and any `Perturbation`; "gaussian", "gumbel", "laplace", "logistic",
"sum-of-gamma", "additive" and "multiplicative" are short for the ones of this module.
"""

from combdiff.noise.distributions import NOISES, Gaussian, Gumbel, Laplace, Logistic, Name, SumOfGamma
from combdiff.noise.named import named, whole
from combdiff.noise.noise import Noise
from combdiff.noise.perturbations import PERTURBATIONS, Additive, Multiplicative, Perturbation

__all__ = [
    "NOISES",
    "PERTURBATIONS",
    "Additive",
    "Gaussian",
    "Gumbel",
    "Laplace",
    "Logistic",
    "Multiplicative",
    "Name",
    "Noise",
    "Perturbation",
    "SumOfGamma",
    "named",
    "whole",
]
