"""Lists of items and the order that is wanted, and what every kind of data says of itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from combdiff.solvers import RankingInstances
from experiments.harness import source
from experiments.harness.table import Column, Row
from experiments.harness.task import Examples, Learned


@dataclass(frozen=True)
class Lists(Examples):
    """Lists of up to n items; shorter ones are padded.

    Attributes:
        inputs: (lists, ...), what the network sees: each item, (lists, n, ...), or (lists, p) features of the list.
        solutions: (lists, n), the rank of each item, 1 for the smallest; ties share their mean rank; 0 for padding.
        mask: (lists, n), True where an item counts; None where all do.
        digits: (lists, n, places), the digits of each number, where the items are images of numbers.
        relevance: (lists, n), how relevant each item is, where the data say so; large ones have large ranks.
    """

    inputs: Shaped[Tensor, "lists ..."]
    solutions: Float[Tensor, "lists n"]
    mask: Bool[Tensor, "lists n"] | None = None
    digits: Int64[Tensor, "lists n places"] | None = None
    relevance: Float[Tensor, "lists n"] | None = None

    def instances(self) -> RankingInstances | None:
        """Which items count, for `Ranking`."""
        return None if self.mask is None else RankingInstances(mask=self.mask.cpu().numpy())

    @property
    def ranks(self) -> Float[Tensor, "lists n"]:
        """The solutions by the name that only rankings have: what a method needs that is of orders."""
        return self.solutions

    @property
    def counted(self) -> Bool[Tensor, "lists n"]:
        """The mask, where there is none as well."""
        return torch.ones_like(self.solutions, dtype=torch.bool) if self.mask is None else self.mask

    @property
    def strict_orders(self) -> Float[Tensor, "lists n"] | None:
        """The ranks, unless any list has ties: what a method needs that cannot learn from those."""
        n = self.solutions.shape[1]
        ends = self.counted.sum(1, keepdim=True)
        wanted = torch.arange(1 - n, 1, device=ends.device).add(ends).clamp(min=0)  # 0, ..., 0, 1, 2, ...
        return self.solutions if torch.equal(self.solutions.sort(1).values.double(), wanted.double()) else None


class Source(source.Source[Lists]):
    """One kind of data of the task: what `--data` names; its network has large scores (lists, n) for large ranks.

    Attributes:
        target: the score by which the best epoch is chosen; large is good.
        columns: the scores in the table.
    """

    target: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]

    @abstractmethod
    def score(self, ranks: Tensor, examples: Lists) -> dict[str, float]:
        """Scores of predicted ranks."""


def best_learned(metrics: Sequence[Row], learned: Sequence[Learned], target: str) -> Learned:
    """The training whose best epochs have the largest target on the validation lists, in the mean over the splits."""

    def validated(one: Learned) -> float:
        own = [row for row in metrics if (row["method"], row["solver"] or "") == (one.method, one.solver)]
        best = [max(row[f"validation_{target}"] for row in own if row["split"] == s) for s in {r["split"] for r in own}]
        return sum(best) / len(best)

    return max(learned, key=validated)
