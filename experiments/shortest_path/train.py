"""Training one method on one split, so that it can be broken off and gone on with after any epoch."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from experiments.shortest_path.config import METHODS, Config
from experiments.shortest_path.evaluate import Scores, score, solve
from experiments.shortest_path.maps import DataSet, Maps
from experiments.shortest_path.methods import make_method
from experiments.shortest_path.network import CostNetwork

EVALUATE_AT_ONCE = 100  # maps


class Training:
    """A network in training: all that a checkpoint has to keep is in `state()`.

    It draws from torch's global generator, seeded here by the run's seed, the split and the method, so that
    each method's numbers are the same whichever others are trained in the same run.

    Args:
        config: the settings of the run.
        name: of the method.
        split: of the data.
        data: the maps of that split.
    """

    def __init__(self, config: Config, name: str, split: int, data: DataSet) -> None:
        torch.manual_seed(1_000_003 * config.seed + 1_009 * split + METHODS.index(name))
        self.data = data
        self.batch = config.batch
        self.epochs = config.epochs
        self.steps = math.ceil(len(data.train) / config.batch)  # in an epoch
        self.method = make_method(name, config, data.train)
        self.network = CostNetwork(data.train.images.shape[1], data.tile)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        total = max(3, self.epochs * self.steps)  # OneCycleLR divides by zero where either phase has no step
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, config.learning_rate, total_steps=total, pct_start=max(0.1, 2 / total)
        )
        self.epoch = 0
        self.seconds = 0.0
        self.solver_seconds = 0.0
        self.best: dict[str, Any] = {"right": -1.0, "epoch": 0, "weights": {}}
        self.history: list[dict[str, float]] = []  # the figures of each epoch

    def run_epoch(self, on_step: Callable[[float, float], None] = lambda loss, share: None) -> None:
        """Train on all maps once, validate, and add the figures of the epoch to the history.

        Args:
            on_step: told after each step the mean loss of the epoch so far, and the solver's share of its time.
        """
        self.network.train()
        train, total = self.data.train, 0.0
        solver_before, began = self._solver_clock(), time.perf_counter()
        for number, index in enumerate(torch.split(torch.randperm(len(train)), self.batch), 1):
            maps = train.pick(index)
            loss = self.method.loss(self.network(self.data.augment(to_float(maps.images))), maps)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss / len(maps))
            self.optimizer.step()
            self.scheduler.step()
            total += loss.item() / len(maps)
            on_step(total / number, (self._solver_clock() - solver_before) / (time.perf_counter() - began))
        seconds, solver = time.perf_counter() - began, self._solver_clock() - solver_before
        self.seconds, self.solver_seconds = self.seconds + seconds, self.solver_seconds + solver
        self.epoch += 1
        found = self.evaluate(self.data.validation)
        if found.right >= self.best["right"]:
            weights = copy.deepcopy(self.network.state_dict())
            self.best = {"right": found.right, "epoch": self.epoch, "weights": weights}
        self.history.append(
            {
                "epoch": self.epoch,
                "loss": total / self.steps,
                "validation_right": found.right,
                "validation_ratio": found.ratio,
                "validation_spearman": found.spearman,
                "seconds": seconds,
                "solver_share": solver / seconds,
            }
        )

    def predict(self, images: UInt8[Tensor, "n channels height width"]) -> Float[Tensor, "n rows cols"]:
        """The costs that the network, as it is, learned to see in images."""
        self.network.eval()
        with torch.no_grad():
            parts = [self.method.costs(self.network(to_float(part))) for part in torch.split(images, EVALUATE_AT_ONCE)]
        return torch.cat(parts)

    def evaluate(self, maps: Maps) -> Scores:
        """How good the network is, as it is."""
        costs = self.predict(maps.images)
        return score(solve(costs, maps), maps, costs)

    def use_best(self) -> None:
        """Take the weights of the epoch that was best on the validation maps."""
        self.network.load_state_dict(self.best["weights"])

    def state(self) -> dict[str, Any]:
        """All that the following epochs depend on."""
        return {
            "epoch": self.epoch,
            "seconds": self.seconds,
            "solver_seconds": self.solver_seconds,
            "best": self.best,
            "history": self.history,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "generator": torch.get_rng_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.epoch, self.best, self.history = (
            int(state["epoch"]),
            dict(state["best"]),
            [dict(row) for row in state["history"]],
        )
        self.seconds, self.solver_seconds = float(state["seconds"]), float(state["solver_seconds"])
        self.use_best()  # a state without them is refused here, before the rest of the training is paid for
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scheduler"].keys() != self.scheduler.state_dict().keys():  # torch takes whatever it is given
            raise KeyError("scheduler")
        self.scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["generator"])

    def _solver_clock(self) -> float:
        return 0.0 if self.method.layer is None else self.method.layer.stats.seconds


def to_float(images: UInt8[Tensor, "*dims"]) -> Float[Tensor, "*dims"]:
    """Pixels from 0 to 1."""
    return images.float() / 255
