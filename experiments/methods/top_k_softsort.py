"""Top-k classification by SoftSort (Petersen et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.top_k.objectives import TopKObjective


@dataclass
class TopKSoftSort(TopKObjective):
    """Top-k classification by SoftSort (Petersen et al. 2022)."""

    operator: ClassVar[dict[str, Any]] = {"method": "softsort"}
