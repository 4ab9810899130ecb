"""A network that predicts the mask of the solution, without a solver (the baseline of Vlastelica et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from experiments.methods.entry_cross_entropy import EntryCrossEntropy


@dataclass
class MaskNetwork(EntryCrossEntropy):
    """Cross-entropy of every entry, by a network that sees the whole image; in the test, the likeliest solution."""

    needs: ClassVar[tuple[str, ...]] = ("binary_solutions", "images")

    def network(self, train: Any) -> nn.Module:
        network: nn.Module = self.task.mask_network(train)  # type: ignore[attr-defined]
        return network
