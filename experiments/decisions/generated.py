"""Data that are generated: normal features, costs of a polynomial of them, and noise."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from torch import Tensor

from combdiff.solvers import Solver
from experiments.decisions.examples import Decisions, Source
from experiments.harness.task import DataSet

FIRST_SEED = 42  # of the data of split 0
METHODS = (
    *("two-stage", "spo-plus", "perturbation-gradient", "perturbed", "perturbed-layer", "interpolation", "identity"),
    *("straight-through", "implicit-mle", "adaptive-implicit-mle", "lagrangian-proximal"),
    *("score-function", "structured-hinge", "noise-contrastive", "contrastive-map"),
    *("rank-list", "rank-pair", "rank-point"),
)
"""what is trained on all data; `frank-wolfe` takes minutes where active sets grow large, as those of round trips"""
TRAINING: dict[str, Any] = {
    "epochs": 20,
    "batch": 32,
    "learning_rate": 1e-2,
    "weight_decay": 0.0,
    "schedule": "constant",
    "perturbed.sigma": 1.0,
    **{f"{name}.samples": 3 for name in ("perturbed", "perturbed-layer", "straight-through", "score-function")},
    **{f"{name}.samples": 3 for name in ("implicit-mle", "adaptive-implicit-mle")},
}
"""the training of PyEPO's notebooks"""
Drawn = tuple[Float64[ndarray, "count p"], ndarray, Float64[ndarray, "count n"]]
"""features, costs in single precision, and the expected costs given the features"""


class Generated(Source):
    """Examples that are drawn by PyEPO's generators, in the same order: its data, bit for bit.

    Attributes:
        features: how many an example has.
    """

    features: ClassVar[int]
    methods: ClassVar[tuple[str, ...]] = METHODS

    @abstractmethod
    def fixed(self, rng: np.random.RandomState) -> tuple[ndarray, ...]:
        """What all examples of a split share; it is drawn first."""

    @abstractmethod
    def draw(self, rng: np.random.RandomState, fixed: tuple[ndarray, ...], count: int) -> Drawn:
        """Some examples."""

    @abstractmethod
    def decider(self, fixed: tuple[ndarray, ...]) -> Solver:
        """What decides in a split."""

    def examples(self, fixed: tuple[ndarray, ...], columns: list[Tensor]) -> Decisions:
        """The examples of inputs, costs, solutions and expected costs."""
        return Decisions(*columns)

    def load(self, split: int) -> DataSet[Decisions]:
        """The examples of the data seed 42 + split.

        Those for training and for the test are the ones of one call of the published generator; those for validation
        are drawn after them, with the same matrix.
        """
        about = self.options
        counts = about.examples, about.test_examples, about.validation_examples
        rng = np.random.RandomState(FIRST_SEED + split)  # its stream of draws is the benchmark's
        fixed = self.fixed(rng)
        parts = [self.draw(rng, fixed, count) for count in (counts[0] + counts[1], counts[2])]
        inputs, costs, means = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        solutions = self.decider(fixed).solve(costs.astype(np.float64)).y
        columns = [torch.from_numpy(column).float() for column in (inputs, costs, solutions, means)]
        places = torch.split(torch.arange(sum(counts)), list(counts))
        whole = self.examples(fixed, columns)
        train, test, validation = (whole.pick(place) for place in places)
        return DataSet(train, validation, test)

    def polynomial(self, x: Float64[ndarray, "count p"], matrix: ndarray) -> Float64[ndarray, "count n"]:
        """(⟨b, x⟩/√p + 3)^degree for each row b of the matrix."""
        powers: ndarray = (x @ matrix.T / np.sqrt(matrix.shape[1]) + 3) ** self.options.degree
        return powers

    def noise(self, rng: np.random.RandomState, shape: tuple[int, ...]) -> Float64[ndarray, "count n"]:
        """What costs are multiplied by."""
        return rng.uniform(1 - self.options.noise, 1 + self.options.noise, shape)
