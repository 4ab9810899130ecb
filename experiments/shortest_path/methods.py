"""Ways to train the network: from its scores to costs, and from costs and labels to a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import mse_loss, softplus

import combdiff
from combdiff.layer import SolverLayer
from experiments.errors import InputError
from experiments.shortest_path.config import Config
from experiments.shortest_path.maps import Maps, grid_solver

Costs = Float[Tensor, "n rows cols"]
FLOOR = 1e-3  # costs stay positive


class Method(ABC):
    """One row of the table: what the scores of the network mean, and what is to be minimised."""

    layer: SolverLayer | None = None
    """the solver layer that the gradient passes, whose `stats` count its work"""

    @abstractmethod
    def costs(self, scores: Costs) -> Costs:
        """Positive costs, up to a factor for each map."""

    @abstractmethod
    def loss(self, scores: Costs, maps: Maps) -> Float[Tensor, ""]:
        """The loss, summed over the maps (so that λ does not depend on the size of a batch)."""


class Perturbed(Method):
    """Smoothed by noise on the costs; by default with the Fenchel–Young loss, which needs only the paths."""

    def __init__(self, config: Config, shape: tuple[int, int]) -> None:
        self._loss = config.loss or "fenchel-young"
        # pairs lower the variance of y, and raise that of the layer's own gradient
        pairs_help = self._loss == "fenchel-young"
        self.layer = combdiff.Perturbed(
            grid_solver(shape),
            sigma=config.sigma,
            samples=config.samples,
            noise=config.noise,
            mode=config.mode,
            antithetic=pairs_help and config.noise == "gaussian" and config.samples % 2 == 0,
        )
        self._fenchel_young = combdiff.FenchelYoungLoss(self.layer, reduction="sum")

    def costs(self, scores: Costs) -> Costs:
        return softplus(scores) + FLOOR

    def loss(self, scores: Costs, maps: Maps) -> Float[Tensor, ""]:
        costs, instances = self.costs(scores), maps.instances()
        if self._loss == "fenchel-young":
            value: Tensor = self._fenchel_young(costs, maps.paths, instances)
            return value
        return path_loss(self._loss, self.layer(costs, instances), maps.paths)


class Interpolation(Method):
    """The exact path forward, an interpolation backward. Costs are divided by their mean, else they collapse."""

    def __init__(self, config: Config, shape: tuple[int, int]) -> None:
        self.layer = combdiff.Interpolation(grid_solver(shape), lam=config.lam)
        self._loss = config.loss or "hamming"
        if self._loss == "fenchel-young":
            raise InputError("the loss 'fenchel-young' needs a smoothed layer (--method perturbed), not interpolation")

    def costs(self, scores: Costs) -> Costs:
        costs = softplus(scores) + FLOOR
        return costs / costs.mean((-2, -1), keepdim=True)

    def loss(self, scores: Costs, maps: Maps) -> Float[Tensor, ""]:
        return path_loss(self._loss, self.layer(self.costs(scores), maps.instances()), maps.paths)


class TwoStage(Method):
    """Regression on the true costs, which no other method sees: the upper reference."""

    def __init__(self, train: Maps) -> None:
        self.mean, self.scale = float(train.costs.mean()), float(train.costs.std())

    def costs(self, scores: Costs) -> Costs:
        return (scores * self.scale + self.mean).clamp(min=0.01 * self.mean)

    def loss(self, scores: Costs, maps: Maps) -> Float[Tensor, ""]:
        wanted = ((maps.costs - self.mean) / self.scale).to(scores.dtype)
        return len(maps) * mse_loss(scores, wanted)


def path_loss(name: str, y: Costs, path: Costs) -> Float[Tensor, ""]:
    """How far (a mean of) paths are from the labels, summed.

    "hamming" is Vlastelica's: ⟨y, 1 − ȳ⟩ + ⟨1 − y, ȳ⟩, for 0/1 vectors the number of cells in which they differ; its
    gradient is ±1 everywhere. "squared" is ‖y − ȳ‖², the same number, but with no gradient where they agree.

    >>> import torch
    >>> y, path = torch.tensor([[[1.0, 0.0, 1.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])
    >>> path_loss("hamming", y, path), path_loss("squared", y, path)
    (tensor(2.), tensor(2.))
    """
    if name == "hamming":
        return (y * (1 - path) + (1 - y) * path).sum()
    return (y - path).square().sum()


def make_method(name: str, config: Config, train: Maps) -> Method:
    """The method of that name; training maps are for the scale of two-stage regression only.

    Raises:
        InputError: for settings that exclude each other.
    """
    try:
        if name == "perturbed":
            return Perturbed(config, train.shape)
        if name == "interpolation":
            return Interpolation(config, train.shape)
    except ValueError as error:
        raise InputError(str(error)) from error
    return TwoStage(train)
