"""LapSum's soft permutations (Struski et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.ranking.relaxations import SoftPermutations


@dataclass
class LapSumPermutation(SoftPermutations):
    """LapSum's soft permutations (Struski et al. 2025)."""

    relaxation: ClassVar[str] = "lapsum"
