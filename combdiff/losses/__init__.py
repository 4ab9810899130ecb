"""Losses: one a file."""

from combdiff.losses.fenchel_young import FenchelYoungLoss
from combdiff.losses.soft_ndcg import SoftNDCGLoss
from combdiff.losses.soft_top_k import SoftTopKLoss
from combdiff.losses.spearman import SpearmanLoss
from combdiff.losses.trimmed import TrimmedLoss

__all__ = ["FenchelYoungLoss", "SoftNDCGLoss", "SoftTopKLoss", "SpearmanLoss", "TrimmedLoss"]
