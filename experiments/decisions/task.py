"""Decisions: predict the costs of a decision from features, and judge the decision (predict, then optimise).

Trains one network by every way to learn from the decision: losses and layers that solve, losses over a pool of
solutions, losses without a solve, and two-stage regression, and writes one results folder: config.json, metrics.csv,
checkpoints, summary.csv and .json, regret.png, report.html. The regret is Σ (cost of the decision − least cost) / Σ
|least cost| on test examples; `expected costs` is that of the true means E[c|x], which no prediction beats on average.

examples:
  python -m experiments decisions
  python -m experiments decisions --splits 5
  python -m experiments decisions --method two-stage spo-plus lava --degree 6
  python -m experiments decisions --data knapsack --items 16
  python -m experiments decisions --data tsp --floor
  python -m experiments decisions --data energy:FOLDER --capacity 120 --splits 10
  python -m experiments decisions --data traffic:FOLDER --horizon 60 --splits 5
  python -m experiments decisions --data npz:FILE --model knapsack.lp
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import ClassVar, Literal

import torch
from torch import Tensor

from combdiff import metrics as measures
from combdiff.solvers import Solver
from experiments.decisions.energy import Energy
from experiments.decisions.examples import Decisions, Source
from experiments.decisions.grid_paths import GridPaths
from experiments.decisions.knapsack import Knapsacks
from experiments.decisions.own_data import OwnData
from experiments.decisions.traffic import Traffic
from experiments.decisions.tsp import RoundTrips
from experiments.harness.errors import InputError
from experiments.harness.options import option
from experiments.harness.report.intervals import Interval
from experiments.harness.source import SourceTask, named
from experiments.harness.table import Column, Row
from experiments.harness.task import Learned

SOURCES: dict[str, type[Source]] = {
    "sp5": GridPaths,
    "knapsack": Knapsacks,
    "tsp": RoundTrips,
    "energy": Energy,
    "traffic": Traffic,
    "npz": OwnData,
}
SAME = 1e-6
"""how far the entries of two equal solutions may be apart"""


@dataclass
class DecisionTask(SourceTask[Decisions, Source]):
    """Features, and the decision that their costs lead to."""

    sources: ClassVar[Mapping[str, type[Source]]] = SOURCES
    target: ClassVar[str] = "kept"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("regret", "regret", "{:.2%}"),
        Column("interval", "95 % interval", "± {:.2%}"),
        Column("optimal", "optimal", "{:.1%}"),
        Column("match", "as labelled", "{:.1%}"),
        Column("epoch", "an epoch", "{:.2f} ×"),
        Column("solves", "solves", "{:.1f}"),
    )

    data: str = option("sp5", named(SOURCES))
    degree: int = option(4, "of the polynomial that makes costs of features (sp5, knapsack, tsp)", least=1)
    noise: float = option(0.5, "half-width of the noise that multiplies costs (sp5, knapsack, tsp)")
    items: int = option(32, "of a knapsack", least=1)
    dimensions: int = option(2, "of a knapsack", least=1)
    cities: int = option(20, "of a round trip (tsp)", least=3)
    examples: int = option(1000, "training examples", least=1)
    test_examples: int = option(1000, "test examples", least=1)
    validation_examples: int = option(1000, "validation examples", least=1)
    capacity: int = option(60, "of the loads of a day, 240 in all (energy)", least=1)
    order: Literal["chronological", "shuffled"] = option(
        "chronological", "of the days before they are split; shuffled as published, by the split's number (energy)"
    )
    model: str | None = option(None, "a model file, or package.module:function that makes a solver (npz)")
    horizon: int = option(30, "minutes ahead, a multiple of 5 up to 720 (traffic)", least=5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise <= 1:
            raise InputError(f"noise={self.noise} must be from 0 to 1: costs are multiplied by 1 ± noise")
        if self.model is not None and not isinstance(self.source, OwnData):
            raise InputError(f"model={self.model!r} goes with data=npz:PATH: {self.data} has its own")

    @property
    def scores_are_costs(self) -> bool:
        return self.source.scores_are_costs

    def target_column(self) -> Column:
        return Column("kept", "1 − regret", "{:.2%}")

    def solver(self, backend: str, examples: Decisions) -> Solver:
        return self.source.solver(examples)

    def loss(self, y: Tensor, examples: Decisions) -> Tensor:
        """What the decisions cost more than the best ones."""
        return super().loss(y, examples) if examples.lacks(["true_costs"]) else self.losses(y, examples).sum()

    def losses(self, y: Tensor, examples: Decisions) -> Tensor:
        if examples.lacks(["true_costs"]):
            return super().losses(y, examples)
        entries = tuple(range(1 - examples.solutions.ndim, 0))
        return self.source.sense.sign * ((y - examples.solutions) * examples.true_costs).sum(entries)

    def score(self, solutions: Tensor, examples: Decisions, costs: Tensor | None = None) -> dict[str, float]:
        solver, best, true = self.source.solver(examples), examples.solutions, examples.true_costs
        if examples.lacks(["true_costs"]):
            same = float(((solutions - best).abs().flatten(1).amax(1) < SAME).double().mean())
            return {"regret": float("nan"), "optimal": float("nan"), "match": same, "kept": same}
        regret = measures.regret(solutions, best, true, solver)
        least = (best.double() * true.double()).flatten(1).sum(-1)
        relative = float(regret.sum() / least.abs().sum())
        optimal = measures.optimal_rate(solutions, best, true, solver)
        return {"regret": relative, "optimal": optimal, "kept": 1.0 - relative}

    def baselines(self, examples: Decisions) -> dict[str, Tensor]:
        known = () if examples.references is None else examples.references.unbind(1)
        found = {
            name: self.solve(costs, examples) for name, costs in zip(self.source.references, known, strict=bool(known))
        }
        if examples.mean_costs is not None:
            found["expected costs"] = self.solve(examples.mean_costs, examples)
        return {**found, "equal costs": self.solve(torch.ones_like(examples.solutions), examples)}

    def complete(self, rows: Sequence[Row], metrics: Sequence[Row]) -> None:
        ratios = epoch_ratios(metrics)
        for row in rows:
            row["epoch"] = ratios.get(row["method"])
            if row["split"] == "mean":
                same = [other["regret"] for other in rows if other["method"] == row["method"] and other is not row]
                row["interval"] = Interval.of(same).half
                row.pop("solves_std", None)  # the same number in all splits, or nearly

    def remarks(self, examples: Decisions, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        said = ", ".join(f"{name} {ratio:.2f}" for name, ratio in epoch_ratios(metrics).items())
        return [f"an epoch, as a multiple of two-stage's (median): {said}"] if said else []

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: Decisions, learned: Sequence[Learned]
    ) -> list[str]:
        from experiments.decisions.figures import draw_regret  # slow: trainings have no pictures

        draw_regret(folder / "regret.png", rows, epoch_ratios(metrics))
        return ["regret.png"]


def epoch_ratios(metrics: Sequence[Row]) -> dict[str, float]:
    """The median time of an epoch of each method over that of two-stage regression, the shortest first.

    It is empty where two-stage is not trained.
    """
    seconds: dict[str, list[float]] = {}
    for row in metrics:
        seconds.setdefault(row["method"], []).append(row["seconds"])
    if "two-stage" not in seconds:
        return {}
    one = median(seconds["two-stage"])
    return dict(sorted(((name, median(times) / one) for name, times in seconds.items()), key=lambda pair: pair[1]))
