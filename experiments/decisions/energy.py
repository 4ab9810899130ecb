"""Which half-hours of a day to sell energy in, by forecasts of a day: a knapsack of real prices (Mandi et al. 2020)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy import ndarray
from torch import Tensor, nn

from combdiff.solvers import Knapsack, Sense, Solver
from experiments.decisions.examples import Decisions, Source
from experiments.decisions.real_data import data_file
from experiments.harness.arrays import expect_shape, read_arrays
from experiments.harness.errors import InputError
from experiments.harness.run import PRESETS
from experiments.harness.task import DataSet

SLOTS = 48  # half-hours of a day
FORECASTS = slice(5, 9)  # columns of the file: wind, load, price and emissions; those before are the calendar
CHRONOLOGICAL = 452, 100, 237  # days for training, validation and test
SHUFFLED = 550, 100, 139
RIDGE = 1.0
SETTINGS: dict[str, Any] = {
    "epochs": 20,
    "batch": 32,
    "learning_rate": 1e-2,
    "weight_decay": 0.0,
    "schedule": "constant",
}


class Energy(Source):
    """789 days of 48 values, real prices times loads of 3, 5 or 7; the loads of what is sold are limited.

    Values are in units of their mean over the training days.

    Attributes:
        loads: (48,), what each half-hour weighs; there after `load`.
    """

    takes_path: ClassVar[bool | None] = None
    sense: ClassVar[Sense] = Sense.MAX
    scores_are_costs: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("mean profile", "ridge")
    methods: ClassVar[tuple[str, ...]] = (
        *("two-stage", "spo-plus", "perturbation-gradient", "perturbed", "perturbed-layer", "interpolation"),
        *("structured-hinge", "noise-contrastive", "contrastive-map", "rank-list", "rank-pair", "rank-point"),
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = dict.fromkeys(PRESETS, SETTINGS)
    loads: Int64[ndarray, " 48"]

    def describe(self) -> str:
        about = self.options
        return f"Energy prices, capacity {about.capacity}, days {about.order}: test days"

    def load(self, split: int) -> DataSet[Decisions]:
        """The days in order, or in the order that the published benchmark shuffles them to with the seed `split`."""
        forecasts, values = self._read()
        days, counts = np.arange(len(values)), CHRONOLOGICAL
        if self.options.order == "shuffled":
            np.random.RandomState(split).shuffle(days)
            counts = SHUFFLED
        train, validation, test = np.split(days, np.cumsum(counts)[:-1])
        before = np.concatenate([train, validation])  # what a baseline without an epoch to choose may see
        values = values / values[train].mean()
        profile = np.broadcast_to(values[before].mean(0), values.shape)
        references = np.stack([profile, ridge(forecasts[before], values[before], forecasts)], 1)
        deviations = forecasts[..., FORECASTS] - forecasts[train][..., FORECASTS].mean(0)
        inputs = deviations / deviations[train].std((0, 1))
        solutions = self.solver().solve(values).y
        columns = [torch.from_numpy(np.ascontiguousarray(one)).float() for one in (inputs, values, solutions)]
        known = torch.from_numpy(references).float()
        return DataSet(
            *(Decisions(*(one[part] for one in columns), references=known[part]) for part in (train, validation, test))
        )

    def solver(self, examples: Decisions | None = None) -> Solver:
        return Knapsack(self.loads, [float(self.options.capacity)], threads=1)

    def network(self, examples: Decisions) -> nn.Module:
        return Prices(examples.true_costs.mean(0), torch.from_numpy(self.loads).float(), examples.inputs.shape[-1])

    def _read(self) -> tuple[Float64[ndarray, "days 48 columns"], Float64[ndarray, "days 48"]]:
        """The columns of the file and the values of all days, in order."""
        file = data_file(self.path, "energy", "energy_knapsack", "Data.npz")
        arrays = read_arrays(file)
        if missing := [
            name for name in ("X_1gtrain", "X_1gtest", "y_train", "y_test", "weights") if name not in arrays
        ]:
            raise InputError(f"{file} has no array {missing[0]}")
        self.loads = arrays["weights"]
        forecasts = np.concatenate([arrays["X_1gtrain"], arrays["X_1gtest"]])
        values = np.concatenate([arrays["y_train"], arrays["y_test"]])
        expect_shape(f"weights of {file}", self.loads, (SLOTS,))
        expect_shape(f"X_1gtrain and X_1gtest of {file}", forecasts, (SLOTS * sum(CHRONOLOGICAL), 9))
        expect_shape(f"y_train and y_test of {file}", values, (SLOTS * sum(CHRONOLOGICAL),))
        return forecasts.reshape(-1, SLOTS, 9), values.reshape(-1, SLOTS)


class Prices(nn.Module):
    """The mean price of each half-hour, and a linear response to how its forecasts deviate from theirs; times the load.

    It begins as the mean profile of the training days.

    Args:
        profile: (48,) mean values.
        loads: (48,).
        forecasts: how many each half-hour has.
    """

    def __init__(self, profile: Float[Tensor, " n"], loads: Float[Tensor, " n"], forecasts: int) -> None:
        super().__init__()
        self.loads = nn.Buffer(loads / loads.mean())
        self.profile = nn.Parameter(profile / self.loads)
        self.response = nn.Linear(forecasts, 1, bias=False)
        nn.init.zeros_(self.response.weight)

    def forward(self, inputs: Float[Tensor, "days n forecasts"]) -> Float[Tensor, "days n"]:
        prices: Tensor = (self.profile + self.response(inputs).squeeze(-1)) * self.loads
        return prices


def ridge(
    x: Float64[ndarray, "days n p"], values: Float64[ndarray, "days n"], ask: Float64[ndarray, "asked n p"]
) -> Float64[ndarray, "asked n"]:
    """The published two-stage model: one ridge regression for every half-hour, on all columns but the first."""
    mean, scale = x[..., 1:].mean((0, 1)), x[..., 1:].std((0, 1))

    def rows(part: ndarray) -> Float64[ndarray, "rows q"]:
        z = ((part[..., 1:] - mean) / scale).reshape(-1, part.shape[-1] - 1)
        return np.concatenate([z, np.ones((len(z), 1))], 1)

    known = rows(x)
    weights = np.linalg.solve(known.T @ known + RIDGE * np.eye(known.shape[1]), known.T @ values.ravel())
    return (rows(ask) @ weights).reshape(len(ask), -1)
