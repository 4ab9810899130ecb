"""Losses: one a file."""

from combdiff.losses.adjacent_vertices import AdjacentVerticesLoss
from combdiff.losses.cone_aligned import ConeAlignedLoss
from combdiff.losses.contrastive_map import ContrastiveMAPLoss
from combdiff.losses.decision import DecisionLoss
from combdiff.losses.fenchel_young import FenchelYoungLoss
from combdiff.losses.learning_to_rank import LearningToRankLoss
from combdiff.losses.noise_contrastive import NoiseContrastiveLoss
from combdiff.losses.pairwise import PairwiseLoss
from combdiff.losses.perturbation_gradient import PerturbationGradientLoss
from combdiff.losses.pushforward import PushforwardLoss
from combdiff.losses.regret import RegretLoss
from combdiff.losses.soft_map import SoftMAPLoss
from combdiff.losses.soft_ndcg import SoftNDCGLoss
from combdiff.losses.soft_rank_fenchel_young import SoftRankFenchelYoungLoss
from combdiff.losses.soft_recall import SoftRecallLoss
from combdiff.losses.soft_top_k import SoftTopKLoss
from combdiff.losses.spearman import SpearmanLoss
from combdiff.losses.spo_plus import SPOPlusLoss
from combdiff.losses.structured_hinge import StructuredHingeLoss
from combdiff.losses.trimmed import TrimmedLoss

__all__ = [
    "AdjacentVerticesLoss",
    "ConeAlignedLoss",
    "ContrastiveMAPLoss",
    "DecisionLoss",
    "FenchelYoungLoss",
    "LearningToRankLoss",
    "NoiseContrastiveLoss",
    "PairwiseLoss",
    "PerturbationGradientLoss",
    "PushforwardLoss",
    "RegretLoss",
    "SPOPlusLoss",
    "SoftMAPLoss",
    "SoftNDCGLoss",
    "SoftRankFenchelYoungLoss",
    "SoftRecallLoss",
    "SoftTopKLoss",
    "SpearmanLoss",
    "StructuredHingeLoss",
    "TrimmedLoss",
]
