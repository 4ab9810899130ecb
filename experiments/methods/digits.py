"""A classifier of digits with their true labels: the upper reference of sorting numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class Digits(Method):
    """Cross-entropy of every digit; a number's score is the value that its likeliest digits make."""

    needs: ClassVar[tuple[str, ...]] = ("digits",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        self._places = train.digits.shape[-1]

    def network(self, train: Any) -> nn.Module:
        network: nn.Module = self.task.source.classifier(train)  # type: ignore[attr-defined]
        return network

    def costs(self, scores: Tensor) -> Tensor:
        digits = scores.reshape(*scores.shape[:-1], self._places, 10).argmax(-1)
        return (digits * 10 ** torch.arange(self._places - 1, -1, -1, device=scores.device)).sum(-1).to(scores.dtype)

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        logits = scores.reshape(*scores.shape[:-1], self._places, 10)
        return cross_entropy(logits.flatten(0, 2), examples.digits.flatten(), reduction="sum")
