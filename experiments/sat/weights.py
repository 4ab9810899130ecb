"""Weighted formulas: the weights of soft clauses, from examples of the best assignments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

import combdiff
from combdiff.solvers import SatInstances, Solver
from experiments.harness.errors import InputError
from experiments.harness.table import Column, Row
from experiments.harness.task import DataSet, Examples, Learned
from experiments.ranking.agreement import correlations
from experiments.sat.figures import draw_scatters
from experiments.sat.source import Source
from experiments.sat.wishes import Table, Wishes, configuration, read_wishes

HELD_OUT = 100
"""assignments that are ranked"""
FEWEST = 10
"""with fewer there is no score"""
SAMPLED = "perturbed", "perturbed-layer", "straight-through", "score-function", "implicit-mle", "adaptive-implicit-mle"
SAMPLES = {f"{method}.samples": 4 for method in SAMPLED}


@dataclass(frozen=True)
class Choices(Examples):
    """Best assignments of one formula under weights that depend on features.

    Attributes:
        inputs: (choices, features), the last one is 1.
        solutions: (choices, soft), which soft clauses hold under the assignment that was chosen.
        true_costs: (choices, soft), the weights; those of the choice have noise beside them.
        best: (choices, soft), `solutions` without the noise.
        split: (choices,), of the formula.
        given: (choices, k), literals that must hold.
        held_out: (choices, others, soft), for each the same assignments, which are nobody's choice in training; None
            in training.
    """

    inputs: Float[Tensor, "choices features"]
    solutions: Float[Tensor, "choices soft"]
    true_costs: Float[Tensor, "choices soft"]
    best: Float[Tensor, "choices soft"]
    split: Int64[Tensor, " choices"]
    given: Int64[Tensor, "choices k"]
    held_out: Float[Tensor, "choices others soft"] | None = None

    def instances(self) -> SatInstances | None:
        return SatInstances(literals=self.given.numpy()) if self.given.shape[1] else None


class Weights(Source):
    """A product that customers configure, or a formula of a file."""

    takes_path = None
    methods: ClassVar[tuple[str, ...]] = (
        *("perturbed", "frank-wolfe", "perturbed-layer", "straight-through", "score-function"),
        *("identity", "interpolation", "lagrangian-proximal", "implicit-mle", "adaptive-implicit-mle"),
        *("structured-hinge", "spo-plus", "perturbation-gradient", "entry-cross-entropy", "two-stage"),
    )
    target: ClassVar[str] = "same"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("rank", "Spearman", "{:.3f}"),
        Column("same", "best found", "{:.1%}"),
        Column("regret", "regret, σ", "{:.3f}"),
    )
    shift_invariant = False
    backends = "auto", "table"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "demo": {"epochs": 8, "learning_rate": 0.05, **SAMPLES},
        "full": {"epochs": 12, "learning_rate": 0.05, "examples": 1000, **SAMPLES},
    }

    def __init__(self, options: Any, path: str) -> None:
        super().__init__(options, path)
        self.from_file = bool(path)
        if options.label_noise < 0:
            raise InputError(f"label_noise={options.label_noise} must be at least 0")
        self.wishes = cache(self._wishes)
        self.solver_of = cache(self._solver)

    def describe(self) -> str:
        of = f"of {self.path.name}" if self.from_file else "of a product's configurations"
        return f"Weights of soft clauses {of}, learned from best assignments: test examples"

    def _wishes(self, split: int) -> Wishes:
        if self.from_file:
            return read_wishes(self.path, self.options.soft, split)
        rng = np.random.default_rng(split)
        return Wishes.of("the configuration", configuration(rng), self.options.soft, rng).checked()

    def _solver(self, backend: str, split: int) -> Solver:
        wishes = self.wishes(split)
        return Table(wishes) if backend == "table" else combdiff.wrap(wishes.formula, price="clauses")

    def load(self, split: int) -> DataSet[Choices]:
        own, wishes = self.options, self.wishes(split)
        rng, soft = np.random.default_rng((split, 1)), wishes.truth.shape[1]
        if own.given > wishes.formula.variables:
            raise InputError(f"given={own.given}, but {wishes.name} has {wishes.formula.variables} variables")
        solver: Solver = self.solver_of("auto", split)
        maker = rng.normal(size=(own.features + 1, soft))
        maker[:-1] /= max(1, own.features) ** 0.5

        def draw(count: int, noise: float) -> Choices:
            inputs = np.column_stack([rng.normal(size=(count, own.features)), np.ones(count)])
            weights = inputs @ maker
            known = wishes.models[rng.integers(len(wishes.models), size=count)]
            which = rng.permuted(np.tile(np.arange(known.shape[1]), (count, 1)), axis=1)[:, : own.given]
            literals = (1 + which) * np.where(np.take_along_axis(known, which, 1), 1, -1)
            parts = inputs.astype(np.float32), weights, literals, np.full(count, split)
            x, w, held, of = (torch.from_numpy(part) for part in parts)
            fixed = SatInstances(literals=literals) if own.given else None
            best = torch.from_numpy(solver.solve(weights, fixed).y)
            if not noise:
                return Choices(x, best.float(), w, best, of, held)
            chosen = solver.solve(weights + noise * rng.normal(size=weights.shape), fixed).y
            return Choices(x, torch.from_numpy(chosen).float(), w, best, of, held)

        train, validation = draw(own.examples, own.label_noise), draw(own.test_examples, own.label_noise)
        test = draw(own.test_examples, 0.0)
        seen = {row.tobytes() for part in (train, validation) for row in part.solutions.numpy() > 0.5}
        others = [row for row in rng.permutation(np.unique(wishes.truth, axis=0)) if row.tobytes() not in seen]
        if len(others) < FEWEST:
            raise InputError(
                f"{wishes.name}: of {len(wishes.models)} assignments that were drawn, {len(others)} are the best of no "
                f"example, and {FEWEST} are to be ranked: take a formula with more models"
            )
        held_out = torch.from_numpy(np.stack(others[:HELD_OUT]).astype(np.float32))
        ranked = [replace(one, held_out=held_out.expand(len(one), *held_out.shape)) for one in (validation, test)]
        return DataSet(train, *ranked)

    def network(self, examples: Choices) -> nn.Module:
        return nn.Linear(examples.inputs.shape[1], examples.solutions.shape[1], bias=False)

    def solver(self, backend: str, examples: Choices) -> Solver:
        found: Solver = self.solver_of(backend, int(examples.split[0]))
        return found

    def solve(self, costs: Tensor, examples: Choices) -> Tensor:
        rows = costs.detach().double().numpy()
        return torch.from_numpy(self.solver("auto", examples).solve(rows, examples.instances()).y)

    def score(self, solutions: Tensor, examples: Choices, costs: Tensor | None) -> dict[str, float]:
        true, best = examples.true_costs, examples.best
        scores = {"rank": float("nan"), "same": float((solutions == examples.solutions).all(1).double().mean())}
        if examples.held_out is None:
            return scores
        worth = (examples.held_out.double() @ true[:, :, None]).squeeze(-1)
        if costs is not None:
            guess = (examples.held_out.double() @ costs.double()[:, :, None]).squeeze(-1)
            spearman, _ = correlations(guess, worth, torch.ones_like(worth, dtype=torch.bool))
            scores["rank"] = float(spearman.nan_to_num().mean())
        lost = (true * (best - solutions)).sum(1)
        return {**scores, "regret": float(lost.mean() / worth.std(1).mean())}

    def baselines(self, examples: Choices) -> dict[str, Tensor]:
        return {"equal weights": self.solve(torch.ones_like(examples.true_costs), examples)}

    def remarks(self, examples: Choices, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        equal = torch.ones_like(examples.true_costs)
        rank = self.score(examples.best, examples, equal)["rank"]
        wishes, others = self.wishes(int(examples.split[0])), examples.held_out
        assert others is not None
        size = f"{wishes.formula.variables} variables, {wishes.truth.shape[1]} soft clauses"
        return [
            f"Equal weights rank the {others.shape[1]} assignments held out with Spearman {rank:.3f}. "
            f"First formula: {wishes.name}, {size}; "
            "weights are known up to a factor for each example, and to what no two assignments differ in."
        ]

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: Choices, learned: Sequence[Learned]
    ) -> list[str]:
        assert examples.held_out is not None
        shown = examples.held_out[:, :30].double()
        true = examples.true_costs
        weights = {one.label(): (true, one.costs.double()) for one in learned}

        def centred(truth: Tensor, weights: Tensor) -> Tensor:
            total = (truth @ weights[:, :, None]).squeeze(-1)
            return total - total.mean(1, keepdim=True)

        totals = {name: (centred(shown, true), centred(shown, found)) for name, (_, found) in weights.items()}
        draw_scatters(folder / "weights.png", weights, "weights of soft clauses")
        draw_scatters(folder / "ranking.png", totals, "total weights of assignments held out")
        return ["weights.png", "ranking.png"]
