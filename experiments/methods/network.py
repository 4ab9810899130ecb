"""The odd-even sorting network, relaxed (Petersen et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.ranking.relaxations import SoftPermutations


@dataclass
class Network(SoftPermutations):
    """The odd-even sorting network, relaxed (Petersen et al. 2021)."""

    relaxation: ClassVar[str] = "network"
