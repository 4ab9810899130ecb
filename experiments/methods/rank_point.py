"""Pointwise learning to rank (Mandi et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.methods.rank_list import RankList


@dataclass
class RankPoint(RankList):
    """Squared errors of the values of the solutions of a pool (τ is ignored)."""

    kind: ClassVar[Any] = "point"
