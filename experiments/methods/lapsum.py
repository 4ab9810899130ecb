"""Soft ranks by sums of Laplace distributions (Struski et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.ranking.relaxations import SoftRanks


@dataclass
class LapSum(SoftRanks):
    """Soft ranks by sums of Laplace distributions (Struski et al. 2025)."""

    options_of_soft_rank: ClassVar[dict[str, Any]] = {"method": "lapsum"}
