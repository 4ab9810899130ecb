"""Top-k classification by projection onto the k-subsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.top_k.objectives import TopKObjective


@dataclass
class TopKL2(TopKObjective):
    """Top-k classification by projection onto the k-subsets."""

    operator: ClassVar[dict[str, Any]] = {"regularization": "l2", "method": "pav"}
