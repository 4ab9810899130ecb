"""Sorting by optimal transport (Cuturi et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.ranking.relaxations import SoftPermutations


@dataclass
class Sinkhorn(SoftPermutations):
    """Sorting by optimal transport (Cuturi et al. 2019)."""

    relaxation: ClassVar[str] = "sinkhorn"
