"""SoftSort (Prillo & Eisenschlos 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from experiments.ranking.relaxations import SoftPermutations


@dataclass
class SoftSort(SoftPermutations):
    """SoftSort (Prillo & Eisenschlos 2020)."""

    relaxation: ClassVar[str] = "softsort"
