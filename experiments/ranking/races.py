"""Races: predict the order of finish from what is known before the start.

Each race is a list of those who started. Only classified finishers are ranked, in training and in scores: who retires
is mostly chance, and the order asked for is that among the others. Retirements count in the features of later races.
The seasons are split in time: training up to four before `test_from`, then three for validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor, nn

from experiments.harness.errors import InputError
from experiments.harness.table import Column, Row
from experiments.harness.task import DataSet, Learned
from experiments.ranking.agreement import correlations, paired_test
from experiments.ranking.lists import Lists, Source, best_learned
from experiments.ranking.race_table import FEATURES, Race, features, read_races

HIDDEN = 32
DROPOUT = 0.2
VALIDATION_SEASONS = 3


class Races(Source):
    """Formula 1 races, from a table of starts."""

    takes_path: ClassVar[bool | None] = True
    methods: ClassVar[tuple[str, ...]] = ("plackett-luce", "pairwise", "lambda-rank", "soft-rank", "perturbed")
    target: ClassVar[str] = "spearman"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("spearman", "Spearman", "{:.3f}"),
        Column("kendall", "Kendall", "{:.3f}"),
        Column("winner", "winner", "{:.1%}"),
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "demo": {"epochs": 20, "batch": 16},
        "full": {"epochs": 40, "batch": 16},
    }

    def describe(self) -> str:
        seasons = sorted({race.season for race in self._races(self.options.test_from)})
        return f"Order of finish of the races of {seasons[0]} to {seasons[-1]}"

    @cached_property
    def _all(self) -> list[Race]:
        return read_races(self.path)

    def load(self, split: int) -> DataSet[Lists]:
        """The races by season; a split is another seed of network and training."""
        test_from = self.options.test_from
        starts = (self.options.train_from, test_from - VALIDATION_SEASONS, test_from)
        inputs, places = features(self._all), [classified(race) for race in self._all]
        most = max((len(places[i]) for i in self._between(starts[0], None)), default=0)
        parts = []
        for name, first, end in zip(("training", "validation", "test"), starts, (*starts[1:], None), strict=True):
            chosen = self._between(first, end)
            if not chosen:
                last = "the last" if end is None else end - 1
                raise InputError(
                    f"{self.path} has no races for {name} (season {first} to {last}): choose other "
                    "--train-from and --test-from"
                )
            parts.append(to_lists([inputs[i] for i in chosen], [places[i] for i in chosen], most))
        return DataSet(*parts)

    def _between(self, first: int, end: int | None) -> list[int]:
        """The numbers of the races of some seasons that have an order, two finishers at least."""
        return [
            number
            for number, race in enumerate(self._all)
            if first <= race.season < (end or race.season + 1) and (classified(race) > 0).sum() > 1
        ]

    def _races(self, first: int) -> list[Race]:
        return [self._all[number] for number in self._between(first, None)]

    def network(self, examples: Lists) -> nn.Module:
        return RaceNetwork(examples)

    def score(self, ranks: Tensor, examples: Lists) -> dict[str, float]:
        spearman, kendall = correlations(ranks, examples.solutions, examples.counted)
        first = ranks.masked_fill(~examples.counted, torch.inf).argmin(1, keepdim=True)
        winner = (examples.solutions.gather(1, first) == 1).double()
        return {"spearman": float(spearman.mean()), "kendall": float(kendall.mean()), "winner": float(winner.mean())}

    def baselines(self, examples: Lists) -> dict[str, Tensor]:
        names = {"grid": "grid", "qualifying": "qualifying gap", "driver's results": "driver's latest results"}
        return {name: examples.inputs[..., FEATURES.index(column)] for name, column in names.items()}

    def remarks(self, examples: Lists, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        finishers, starts = int(examples.counted.sum()), examples.inputs[..., -1].sum()
        said = [
            f"{len(examples)} test races: {finishers} classified finishers of {int(starts)} starts are ranked and "
            "scored; retirements count in the features of later races only"
        ]
        if learned:
            best = best_learned(metrics, learned, self.target)
            for name, test in zip(("Spearman", "Kendall"), self._compare(examples, best), strict=True):
                said.append(
                    f"{name} of {best.label()} (best on validation) less that of the grid, race by race: {test}"
                )
        return said

    def _compare(self, examples: Lists, one: Learned) -> list[Any]:
        grid = self.baselines(examples)["grid"]
        ours, theirs = (correlations(x, examples.solutions, examples.counted) for x in (one.solutions, grid))
        return [paired_test(a, b) for a, b in zip(ours, theirs, strict=True)]

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: Lists, learned: Sequence[Learned]
    ) -> list[str]:
        best, grid = best_learned(metrics, learned, self.target), self.baselines(examples)["grid"]
        ours, theirs = (correlations(x, examples.solutions, examples.counted)[0] for x in (best.solutions, grid))
        gains, races = (ours - theirs).numpy(), self._races(self.options.test_from)
        figure = Figure(figsize=(11, 5.5), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
        _draw_gains(left, gains, [race.season for race in races])
        left.set_title(
            f"{best.label()} over the grid, each test race\n{self._compare(examples, best)[0]}", loc="left", fontsize=9
        )
        shown = int(gains.argsort()[len(gains) // 2])
        counted = examples.counted[shown]
        _draw_orders(
            right,
            [start.driver for start, here in zip(races[shown].starts, counted.tolist(), strict=False) if here],
            {
                name: _ranks(values[shown][counted].double().numpy())
                for name, values in (("grid", grid), (best.label(), best.solutions), ("finish", examples.solutions))
            },
        )
        right.set_title(
            f"The median gain: {races[shown].circuit} {races[shown].season}, Spearman {theirs[shown]:.2f} (grid), "
            f"{ours[shown]:.2f}",
            loc="left",
            fontsize=9,
        )
        figure.savefig(folder / "races.png", dpi=150)
        return ["races.png"]


class RaceNetwork(nn.Module):
    """Features of each start to a score, (lists, n): a linear part, and a small network beside it.

    Each item is scored by itself: what it has of the others are features relative to the mean of the list.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, examples: Lists) -> None:
        super().__init__()
        here = examples.inputs[examples.inputs[..., -1] > 0]
        self.register_buffer("mean", here.mean(0))
        self.register_buffer("scale", here.std(0).clamp(min=1e-6))
        width = examples.inputs.shape[-1]
        self.linear = nn.Linear(width, 1)
        self.deep = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.ReLU(inplace=True), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, 1)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        x = (inputs - self.mean) / self.scale
        return (self.linear(x) + self.deep(x)).squeeze(-1)


def classified(race: Race) -> Float64[ndarray, " starts"]:
    """The rank of each start among the classified finishers, 1 for the winner; 0 for those that are not classified.

    Two finishers of one place, as shared drives of the fifties have them, share their mean rank.
    """
    places = np.array([start.finish if isinstance(start.finish, int) else np.inf for start in race.starts])
    below = (places[None, :] < places[:, None]).sum(1)
    tied = (places[None, :] == places[:, None]).sum(1)
    return np.where(np.isfinite(places), below + (tied + 1) / 2, 0.0)


def to_lists(inputs: Sequence[ndarray], ranks: Sequence[ndarray], n: int) -> Lists:
    """Padded lists: each start has its features, these less their mean over the race, and a one that padding lacks."""
    width = inputs[0].shape[1]
    padded = np.zeros((len(inputs), n, 2 * width + 1), dtype=np.float32)
    solutions = np.zeros((len(inputs), n), dtype=np.float32)
    for row, (x, rank) in enumerate(zip(inputs, ranks, strict=True)):
        padded[row, : len(x)] = np.concatenate([x, x - x.mean(0), np.ones((len(x), 1))], axis=1)
        solutions[row, : len(x)] = rank
    return Lists(torch.from_numpy(padded), torch.from_numpy(solutions), torch.from_numpy(solutions > 0))


def _ranks(values: ndarray) -> ndarray:
    return values.argsort(kind="stable").argsort() + 1


def _draw_gains(axis: Axes, gains: ndarray, seasons: Sequence[int]) -> None:
    colors = ["tab:blue" if gain >= 0 else "tab:red" for gain in gains]
    axis.bar(range(len(gains)), gains, color=colors)
    starts = [i for i, season in enumerate(seasons) if i == 0 or season != seasons[i - 1]]
    axis.set_xticks(starts, [str(seasons[i]) for i in starts])
    axis.axhline(0, color="0.3", linewidth=0.8)
    axis.axhline(float(gains.mean()), color="tab:blue", linestyle="--", linewidth=0.8)
    axis.set_ylabel("Spearman, less that of the grid")


def _draw_orders(axis: Axes, names: Sequence[str], orders: dict[str, ndarray]) -> None:
    places, finish = np.stack(list(orders.values()), axis=1), list(orders.values())[-1]
    for name, line, place in zip(names, places, finish, strict=True):
        wrong = abs(int(line[-2]) - int(place))
        axis.plot(
            line, color="tab:blue" if wrong <= 1 else "0.6" if wrong <= 3 else "tab:red", marker="o", markersize=3
        )
        axis.annotate(
            name, (len(orders) - 1, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7
        )
    axis.set_xticks(range(len(orders)), list(orders))
    axis.set_xlim(-0.1, len(orders) - 1 + 0.7)
    axis.invert_yaxis()
    axis.set_yticks(range(1, len(names) + 1))
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
