"""Soft ranks, by entropic projection onto the permutahedron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.ranking.relaxations import SoftRanks


@dataclass
class SoftRankKL(SoftRanks):
    """Soft ranks, by entropic projection onto the permutahedron."""

    options_of_soft_rank: ClassVar[dict[str, Any]] = {"regularization": "kl"}
