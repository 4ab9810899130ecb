"""Top-k classification: does a loss that asks for the first k places help where labels are wrong?

Trains one network on handwritten digits whose labels are partly replaced by others, by cross-entropy and by the soft
top-k losses, and writes one results folder: config.json, metrics.csv, checkpoints, summary.csv and .json, report.html.
Labels for validation are as noisy as those for training; the test labels are true. The question is that of Petersen et
al. (2022), "Differentiable top-k classification learning", on another data set.

examples:
  python -m experiments top-k
  python -m experiments top-k --noise 0.5 --k 3 --splits 5
  python -m experiments top-k --method cross-entropy top-k-lapsum --epsilon 0.5
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from combdiff.solvers import KSubset, Solver
from experiments.digits import Pool, pools, scans
from experiments.harness.errors import InputError
from experiments.harness.options import option
from experiments.harness.table import Column
from experiments.harness.task import DataSet, Examples, Task

CLASSES = 10


@dataclass(frozen=True)
class Labelled(Examples):
    """Digits and their labels, of which some may be wrong."""

    inputs: Float[Tensor, "examples 1 side side"]
    labels: Int64[Tensor, " examples"]

    @property
    def classes(self) -> Int64[Tensor, " examples"]:
        """The labels by the name that only classes have: what a method needs that is of them."""
        return self.labels


@dataclass
class TopKClassification(Task[Labelled]):
    """Digits with label noise; a prediction is the k likeliest classes."""

    methods: ClassVar[tuple[str, ...]] = (
        *("cross-entropy", "top-k-l2", "top-k-kl", "top-k-lapsum"),
        *("top-k-neuralsort", "top-k-softsort", "top-k-network", "gumbel-top-k"),
    )
    target: ClassVar[str] = "top_1"
    shift_invariant: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column("top_1", "top-1", "{:.1%}"),
        Column("top_k", "top-k", "{:.1%}"),
    )

    k: int = option(2, "classes of a prediction", least=1)
    noise: float = option(0.4, "share of the labels that are replaced by another one")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k >= CLASSES:
            raise InputError(f"k={self.k} must be below the number of classes, {CLASSES}")
        if not 0 <= self.noise < 1:
            raise InputError(f"noise={self.noise} must be at least 0 and below 1: a share of the labels")

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"epochs": 20 if name == "demo" else 60, "batch": 100}

    def describe(self) -> str:
        return f"scikit-learn's digits, {self.noise:.0%} of the labels wrong, k = {self.k}: true test labels"

    def load(self, split: int) -> DataSet[Labelled]:
        train, validation, test = pools(*scans(), split)
        return DataSet(
            labelled(train, self.noise, (split, 0)),
            labelled(validation, self.noise, (split, 1)),
            labelled(test, 0.0, (split, 2)),
        )

    def network(self, examples: Labelled) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * (examples.inputs.shape[-1] // 2) ** 2, 64),
            nn.ReLU(inplace=True),
            nn.Linear(64, CLASSES),
        )

    def solver(self, backend: str, examples: Labelled) -> Solver:
        return KSubset(CLASSES, self.k, sense="max")

    def score(self, solutions: Tensor, examples: Labelled, costs: Tensor | None = None) -> dict[str, float]:
        label = examples.labels[:, None]
        first = float("nan") if costs is None else float((costs.argmax(1, keepdim=True) == label).double().mean())
        return {"top_1": first, "top_k": float(solutions.gather(1, label).double().mean())}


def labelled(pool: Pool, noise: float, seed: tuple[int, ...]) -> Labelled:
    """The digits of a pool; a share of the labels is replaced by another class, each as likely."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(pool.labels)) < noise
    labels = np.where(wrong, (pool.labels + rng.integers(1, CLASSES, len(pool.labels))) % CLASSES, pool.labels)
    return Labelled(torch.from_numpy(pool.images).float()[:, None] / 255, torch.from_numpy(labels))
