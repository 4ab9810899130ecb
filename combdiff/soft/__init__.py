"""Soft sorting, ranking and selection: differentiable, any dimension, masks and dtype.

By default all are O(n log n), but for permutation matrices, which are O(n²).
"""

from combdiff.soft.modules import (
    SoftArgmax,
    SoftArgquantile,
    SoftArgsort,
    SoftMedian,
    SoftPermutation,
    SoftQuantile,
    SoftRank,
    SoftSort,
    SoftTopK,
)
from combdiff.soft.operators.argmax import soft_argmax
from combdiff.soft.operators.argquantile import soft_argquantile
from combdiff.soft.operators.argsort import soft_argsort
from combdiff.soft.operators.permutation import soft_permutation
from combdiff.soft.operators.quantile import soft_median, soft_quantile
from combdiff.soft.operators.rank import soft_rank
from combdiff.soft.operators.sort import soft_sort
from combdiff.soft.operators.stochastic import gumbel_perturbed, stochastic
from combdiff.soft.operators.straight_through import straight_through
from combdiff.soft.operators.topk import soft_topk, soft_topk_log_mask, soft_topk_mask

__all__ = [
    "SoftArgmax",
    "SoftArgquantile",
    "SoftArgsort",
    "SoftMedian",
    "SoftPermutation",
    "SoftQuantile",
    "SoftRank",
    "SoftSort",
    "SoftTopK",
    "gumbel_perturbed",
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
    "stochastic",
    "straight_through",
]
