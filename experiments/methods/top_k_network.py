"""Top-k classification by a sorting network with Cauchy comparators (Petersen et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.top_k.objectives import TopKObjective


@dataclass
class TopKNetwork(TopKObjective):
    """Top-k classification by a sorting network with Cauchy comparators (Petersen et al. 2022)."""

    operator: ClassVar[dict[str, Any]] = {"method": "network_cauchy"}
