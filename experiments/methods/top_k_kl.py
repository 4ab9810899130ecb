"""Top-k classification by entropic projection onto the k-subsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from experiments.top_k.objectives import TopKObjective


@dataclass
class TopKKL(TopKObjective):
    """Top-k classification by entropic projection onto the k-subsets."""

    operator: ClassVar[dict[str, Any]] = {"regularization": "kl", "method": "pav"}
