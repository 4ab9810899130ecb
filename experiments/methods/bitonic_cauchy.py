"""The bitonic sorting network with Cauchy comparators (Petersen et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.ranking.relaxations import SoftPermutations


@dataclass
class BitonicCauchy(SoftPermutations):
    """The bitonic sorting network with Cauchy comparators (Petersen et al. 2022), for any number of items."""

    relaxation: ClassVar[str] = "bitonic_cauchy"
