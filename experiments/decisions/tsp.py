"""Round trips over cities whose distances are generated (the generator of PyEPO; Tang & Khalil 2024)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from combdiff.solvers import Solver, TravelingSalesman
from experiments.decisions.examples import Decisions
from experiments.decisions.generated import TRAINING, Drawn, Generated
from experiments.harness.run import PRESETS

SETTINGS: dict[str, Any] = {**TRAINING, "epochs": 10, "validation_examples": 200}


class RoundTrips(Generated):
    """The distance of each pair of cities in the plane, and what 10 features add to it."""

    features: ClassVar[int] = 10
    presets: ClassVar[dict[str, dict[str, Any]]] = dict.fromkeys(PRESETS, SETTINGS)

    def describe(self) -> str:
        about = self.options
        return f"Round trips over {about.cities} cities, degree {about.degree}, noise {about.noise}: test examples"

    def fixed(self, rng: np.random.RandomState) -> tuple[ndarray, ...]:
        cities = self.options.cities
        places = np.concatenate([rng.uniform(-2, 2, (cities // 2, 2)), rng.normal(0, 1, (cities - cities // 2, 2))])
        low, high = np.triu_indices(cities, 1)
        size = (len(low), self.features)
        matrix = rng.binomial(1, 0.5, size) * rng.uniform(-2, 2, size)
        return np.sqrt(np.square(places[low] - places[high]).sum(1)), matrix

    def draw(self, rng: np.random.RandomState, fixed: tuple[ndarray, ...], count: int) -> Drawn:
        distance, matrix = fixed
        x = rng.normal(0, 1, (count, self.features))
        more = self.polynomial(x, matrix) / 3 ** (self.options.degree - 1)
        costs = np.around(distance + more * self.noise(rng, more.shape), decimals=4).astype(np.float32)
        return x, costs, distance + more  # the rounding moves a mean by less than 0.00005

    def decider(self, fixed: tuple[ndarray, ...]) -> Solver:
        return TravelingSalesman(self.options.cities, threads=1)

    def solver(self, examples: Decisions) -> Solver:
        return self.decider(())
