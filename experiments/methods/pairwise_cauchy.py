"""Each pair of a list by Cauchy comparators: one that is far out of order counts little more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.methods.pairwise import Pairwise


@dataclass
class PairwiseCauchy(Pairwise):
    """−log of the chance that each pair is in order where its scores have Cauchy noise."""

    options_of_loss: ClassVar[dict[str, Any]] = {"method": "cauchy"}
