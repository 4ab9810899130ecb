"""Layers: one method a file."""

from combdiff.layers.adaptive_implicit_mle import AdaptiveImplicitMLE
from combdiff.layers.fix_and_differentiate import FixAndDifferentiate
from combdiff.layers.frank_wolfe import FrankWolfe
from combdiff.layers.gumbel_top_k import GumbelTopK
from combdiff.layers.identity import Identity
from combdiff.layers.implicit_mle import ImplicitMLE
from combdiff.layers.interpolation import Interpolation
from combdiff.layers.lagrangian_proximal import LagrangianProximal
from combdiff.layers.linear_constraints import LinearConstraints
from combdiff.layers.perturbed import Perturbed
from combdiff.layers.satnet import SatNet
from combdiff.layers.score_function import ScoreFunction
from combdiff.layers.straight_through import StraightThrough

__all__ = [
    "AdaptiveImplicitMLE",
    "FixAndDifferentiate",
    "FrankWolfe",
    "GumbelTopK",
    "Identity",
    "ImplicitMLE",
    "Interpolation",
    "LagrangianProximal",
    "LinearConstraints",
    "Perturbed",
    "SatNet",
    "ScoreFunction",
    "StraightThrough",
]
