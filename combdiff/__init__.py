"""Any combinatorial solver as a differentiable PyTorch layer."""

from typing import Any

from combdiff import compute, errors, metrics, noise, soft, solvers, temperature
from combdiff.collate import collate
from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.layers import (
    AdaptiveImplicitMLE,
    FixAndDifferentiate,
    FrankWolfe,
    GumbelTopK,
    Identity,
    ImplicitMLE,
    Interpolation,
    LagrangianProximal,
    LinearConstraints,
    Perturbed,
    ScoreFunction,
    StraightThrough,
)
from combdiff.losses import (
    AdjacentVerticesLoss,
    ConeAlignedLoss,
    ContrastiveMAPLoss,
    FenchelYoungLoss,
    LearningToRankLoss,
    NoiseContrastiveLoss,
    PairwiseLoss,
    PerturbationGradientLoss,
    PushforwardLoss,
    RegretLoss,
    SoftMAPLoss,
    SoftNDCGLoss,
    SoftRankFenchelYoungLoss,
    SoftRecallLoss,
    SoftTopKLoss,
    SpearmanLoss,
    SPOPlusLoss,
    StructuredHingeLoss,
    TrimmedLoss,
)
from combdiff.soft import (
    soft_argmax,
    soft_argquantile,
    soft_argsort,
    soft_median,
    soft_permutation,
    soft_quantile,
    soft_rank,
    soft_sort,
    soft_topk,
    soft_topk_log_mask,
    soft_topk_mask,
)
from combdiff.solution_pool import SolutionPool
from combdiff_solvers.protocol import Sense, Solutions, Solver, Status
from combdiff_solvers.wrap import wrap

__all__ = [
    "AdaptiveImplicitMLE",
    "AdjacentVerticesLoss",
    "ConeAlignedLoss",
    "ContrastiveMAPLoss",
    "FenchelYoungLoss",
    "FixAndDifferentiate",
    "FrankWolfe",
    "GumbelTopK",
    "Identity",
    "ImplicitMLE",
    "Interpolation",
    "LagrangianProximal",
    "LearningToRankLoss",
    "LinearConstraints",
    "NoiseContrastiveLoss",
    "PairwiseLoss",
    "PerturbationGradientLoss",
    "Perturbed",
    "PushforwardLoss",
    "RegretLoss",
    "SPOPlusLoss",
    "ScoreFunction",
    "Sense",
    "SmoothedLayer",
    "SoftMAPLoss",
    "SoftNDCGLoss",
    "SoftRankFenchelYoungLoss",
    "SoftRecallLoss",
    "SoftTopKLoss",
    "SolutionPool",
    "Solutions",
    "Solver",
    "SolverLayer",
    "SpearmanLoss",
    "Status",
    "StraightThrough",
    "StructuredHingeLoss",
    "TrimmedLoss",
    "collate",
    "compute",
    "errors",
    "metrics",
    "noise",
    "soft",
    "soft_argmax",
    "soft_argquantile",
    "soft_argsort",
    "soft_median",
    "soft_permutation",
    "soft_quantile",
    "soft_rank",
    "soft_sort",
    "soft_topk",
    "soft_topk_log_mask",
    "soft_topk_mask",
    "solvers",
    "temperature",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":  # kept in pyproject.toml alone
        from importlib.metadata import version

        return version("combdiff")
    if name == "diagnostics":  # loaded where it is used
        from importlib import import_module

        return import_module("combdiff.diagnostics")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
