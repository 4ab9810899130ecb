"""The neighbours in the order of a list by Cauchy comparators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.methods.pairwise import Pairwise


@dataclass
class AdjacentCauchy(Pairwise):
    """−log of the chance that each item is above the next one below where their scores have Cauchy noise."""

    options_of_loss: ClassVar[dict[str, Any]] = {"method": "cauchy", "pairs": "adjacent"}
