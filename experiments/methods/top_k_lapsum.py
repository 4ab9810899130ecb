"""Top-k classification by LapSum (Struski et al. 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.top_k.objectives import TopKObjective


@dataclass
class TopKLapSum(TopKObjective):
    """Top-k classification by LapSum (Struski et al. 2025)."""

    operator: ClassVar[dict[str, Any]] = {"method": "lapsum"}
