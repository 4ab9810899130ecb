"""The parity of a string of bits, learned from that of whole strings: the second benchmark of SATNet's authors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.layers import SatNet
from combdiff.solvers import KSubset, Solver
from experiments.harness.table import Column
from experiments.harness.task import DataSet, Examples
from experiments.sat.source import Source

CLAUSES, HIDDEN, PROX = 4, 4, 0.1  # as in the authors' code


@dataclass(frozen=True)
class Strings(Examples):
    """Strings of bits.

    Attributes:
        inputs: (strings, length), 0 or 1.
        completion: (strings, 1), 1 where the number of ones is odd.
    """

    inputs: Float[Tensor, "strings length"]
    completion: Float[Tensor, "strings 1"]


class Chain(nn.Module):
    """One small `SatNet` for every step: from the bit so far and the next bit of the string to the next bit so far.

    Between steps the bit is rounded, which no gradient passes, as in the authors' code: the last step alone trains.

    >>> Chain()(torch.zeros(3, 5)).shape
    torch.Size([3, 1])
    """

    def __init__(self) -> None:
        super().__init__()
        self.step = SatNet(3, CLAUSES, HIDDEN, prox=PROX)

    def forward(self, inputs: Float[Tensor, "strings length"]) -> Float[Tensor, "strings 1"]:
        given = torch.tensor([[True, True, False]]).expand(len(inputs), 3)
        bit = inputs[:, 0]
        for following in inputs.T[1:]:
            bit = self.step(torch.stack([bit.round().detach(), following, torch.zeros_like(bit)], dim=1), given)[:, 2]
        return bit[:, None]


class Parity(Source):
    """Random strings of one length."""

    methods: ClassVar[tuple[str, ...]] = ("satnet",)
    target: ClassVar[str] = "right"
    columns: ClassVar[tuple[Column, ...]] = (Column("right", "right", "{:.1%}"),)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        name: {"epochs": epochs, "boards": 9000, "batch": 100, "learning_rate": 0.1, "weight_decay": 0.0}
        for name, epochs in (("demo", 10), ("full", 20))
    }

    def describe(self) -> str:
        return f"The parity of {self.options.length} bits: test strings"

    def load(self, split: int) -> DataSet[Strings]:
        generator = torch.Generator().manual_seed(split)
        counts = self.options.boards, self.options.test_boards, self.options.test_boards
        bits = torch.randint(2, (sum(counts), self.options.length), generator=generator).float()
        train, validation, test = (
            Strings(part, part.sum(1, keepdim=True) % 2) for part in torch.split(bits, list(counts))
        )
        return DataSet(train, validation, test)

    def network(self, examples: Strings) -> nn.Module:
        return Chain()

    def solver(self, backend: str, examples: Strings) -> Solver:
        return KSubset(1, 1)  # which nothing asks

    def solve(self, costs: Tensor, examples: Strings) -> Tensor:
        return costs.round()

    def score(self, solutions: Tensor, examples: Strings, costs: Tensor | None) -> dict[str, float]:
        return {"right": float((solutions == examples.completion).double().mean())}
