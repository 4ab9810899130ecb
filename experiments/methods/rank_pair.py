"""Pairwise learning to rank (Mandi et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.methods.rank_list import RankList


@dataclass
class RankPair(RankList):
    """The best of a pool has to lead the others by a margin."""

    kind: ClassVar[Any] = "pair"
