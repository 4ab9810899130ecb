"""Each pair of a list under Cauchy noise on the scores: one that is far out of order counts little more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.methods.pairwise import Pairwise


@dataclass
class PairwiseCauchy(Pairwise):
    """−log of the chance that each pair is in order where its scores have Cauchy noise.

    Its gradient falls as 1/d for a pair that is out of order by d, where the logistic one is constant: an image that is
    misread, far from its place, does not outweigh the others.
    """

    def penalty(self, behind: Tensor) -> Tensor:
        return -(torch.atan2(torch.ones_like(behind), behind) / math.pi).log()  # ½ − arctan(t)/π, to the last digit
