"""Knapsacks whose values are generated (the generator of PyEPO; Tang & Khalil 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy import ndarray
from torch import Tensor

from combdiff.solvers import Knapsack, Sense, Solver
from experiments.decisions.examples import Decisions
from experiments.decisions.generated import TRAINING, Drawn, Generated
from experiments.harness.run import PRESETS

CAPACITY = 20.0  # in each dimension; items weigh 3 to 8


@dataclass(frozen=True)
class KnapsackDecisions(Decisions):
    """Decisions that are choices of items.

    Attributes:
        weights: (examples, dimensions, items), the same of all examples of a split.
    """

    weights: Float[Tensor, "examples d n"] | None = None


class Knapsacks(Generated):
    """Items whose weights are known, and whose values, whole numbers, are predicted from 5 features."""

    features: ClassVar[int] = 5
    sense: ClassVar[Sense] = Sense.MAX
    presets: ClassVar[dict[str, dict[str, Any]]] = dict.fromkeys(PRESETS, TRAINING)

    def describe(self) -> str:
        about = self.options
        sizes = f"{about.items} items and {about.dimensions} dimensions"
        return f"Knapsacks of {sizes}, degree {about.degree}, noise {about.noise}: test examples"

    def fixed(self, rng: np.random.RandomState) -> tuple[ndarray, ...]:
        about = self.options
        weights = rng.choice(range(300, 800), size=(about.dimensions, about.items)) / 100
        return weights, rng.binomial(1, 0.5, (about.items, self.features))

    def draw(self, rng: np.random.RandomState, fixed: tuple[ndarray, ...], count: int) -> Drawn:
        x, matrix = rng.normal(0, 1, (count, self.features)), fixed[1]
        size = (self.polynomial(x, matrix) + 1) * 5 / 3.5**self.options.degree
        values = np.ceil(size * self.noise(rng, size.shape)).astype(np.float32)
        return x, values, mean_ceiling(size, self.options.noise)

    def decider(self, fixed: tuple[ndarray, ...]) -> Solver:
        return Knapsack(fixed[0], np.full(len(fixed[0]), CAPACITY), threads=1)

    def examples(self, fixed: tuple[ndarray, ...], columns: list[Tensor]) -> Decisions:
        return KnapsackDecisions(*columns, weights=torch.from_numpy(fixed[0]).expand(len(columns[0]), -1, -1))

    def solver(self, examples: Decisions) -> Solver:
        assert isinstance(examples, KnapsackDecisions)
        assert examples.weights is not None
        return self.decider((examples.weights[0].numpy(),))


def mean_ceiling(size: Float64[ndarray, "*dims"], width: float) -> Float64[ndarray, "*dims"]:
    """E⌈size · ε⌉ for ε uniform between 1 − width and 1 + width.

    >>> mean_ceiling(np.array([1.0, 2.0, 0.2]), 0.5)  # from 0.5 to 1.5, from 1 to 3, below 1
    array([1.5, 2.5, 1. ])
    """

    def integral(end: Float64[ndarray, "*dims"]) -> Float64[ndarray, "*dims"]:
        """Of ⌈t⌉ from 0."""
        whole = np.floor(end)
        part: ndarray = whole * (whole + 1) / 2 + (end - whole) * (whole + 1)
        return part

    low, high = size * (1 - width), size * (1 + width)
    flat = high == low
    mean: ndarray = np.where(flat, np.ceil(size), (integral(high) - integral(low)) / np.where(flat, 1.0, high - low))
    return mean
