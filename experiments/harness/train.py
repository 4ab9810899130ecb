"""One training: a method on a split by a solver, so that it can be broken off and gone on with after any epoch."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from combdiff.diagnostics import advise
from combdiff.temperature import Adaptive
from experiments.harness.errors import InputError
from experiments.harness.run import Job, Run
from experiments.harness.task import DataSet

EVALUATE_AT_ONCE = 16  # examples: more leave the caches
ADVISED_ROWS = 64  # examples


class Training:
    """A network in training: all that a checkpoint has to keep is in `state()`.

    It draws from torch's global generator, seeded here by the run's seed and the names of task, method and split, so
    that each method's numbers are the same whichever others there are; every solver gets the same network and noise.

    Args:
        run: the settings.
        job: which method, split and solver.
        data: the examples of that split.

    Raises:
        InputError: for options that exclude each other.
    """

    def __init__(self, run: Run, job: Job, data: DataSet[Any]) -> None:
        name = run.methods[job.method].seeded_as or job.method
        torch.manual_seed(stable_seed(run.task_name, name, job.split, run.settings.seed))
        self.task, self.data, self.settings = run.task, data, run.settings
        self.steps = math.ceil(len(data.train) / self.settings.batch)  # in an epoch
        self.total = self.settings.epochs * self.steps
        self.method, self._backend = copy.copy(run.methods[job.method]), job.solver or run.task.backends[0]
        self.method.task = run.task
        self._option = self.method.temperature_option()
        own: Any = getattr(self.method, self._option) if self._option else None
        heat = own if job.temperature is None else job.temperature
        word, _, start = heat.partition(":") if isinstance(heat, str) else ("", "", "")
        if self._option and isinstance(own, str):  # the method has no number of its own
            own = self.method.options()[self._option].default
        self.schedule = Adaptive(float(start or own)) if word == "adaptive" else None
        self._set_temperature(own if word == "auto" else self.schedule or heat)
        self.network = self.method.network(data.train).to(self.settings.device)
        self.advised: float | None = None  # a temperature, measured once
        if word:
            examples = data.train.pick(slice(ADVISED_ROWS)).to(self.settings.device)
            began = time.perf_counter()
            asked = self.advice_arguments(examples)
            if word == "auto":
                self.advised = advise(**asked).temperature
                self._set_temperature(self.advised)
            self.advice_seconds = time.perf_counter() - began
        rate = self.settings.learning_rate
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=rate, weight_decay=self.settings.weight_decay, fused=True
        )
        total = max(3, self.total)  # OneCycleLR divides by zero where either phase has no step
        self.scheduler: torch.optim.lr_scheduler.LRScheduler = (
            torch.optim.lr_scheduler.ConstantLR(self.optimizer, 1.0, total_iters=0)
            if self.settings.schedule == "constant"
            else torch.optim.lr_scheduler.OneCycleLR(
                self.optimizer, rate, total_steps=total, pct_start=max(0.1, 2 / total)
            )
        )
        self.epoch = 0
        self.clocks = {"seconds": 0.0, "solver_seconds": 0.0, "solves": 0.0}
        self.best: dict[str, Any] = {"score": -math.inf, "epoch": 0, "weights": {}}
        self.history: list[dict[str, float]] = []  # the figures of each epoch

    def advice_arguments(self, examples: Any) -> dict[str, Any]:
        """What `advise` has to know of a batch and the network as it is, for the gradient of a step of the training."""
        with torch.random.fork_rng(), torch.no_grad():
            scores = copy.deepcopy(self.network)(examples.inputs)  # a copy: a batch norm would move
            asked = self.method.advice_arguments(scores, examples)
        if "loss" in asked:  # of a sum over the examples, whose mean over a batch is what a step follows
            whole, batch = asked["loss"], self.settings.batch
            asked["loss"] = lambda *y: whole(*y) / batch
        return asked

    def _set_temperature(self, heat: Any) -> None:
        if self._option is not None:
            setattr(self.method, self._option, heat)
        try:
            self.method.setup(self.task.solver(self._backend, self.data.train), self.data.train)
        except InputError:
            raise
        except (ValueError, ImportError) as error:
            raise InputError(str(error)) from error

    def run_epoch(self, on_step: Callable[[int, str], None] = lambda done, figures: None) -> None:
        """Train on all examples once, validate, and add the figures of the epoch to the history.

        Args:
            on_step: told after each step how many are done, and the figures of the moment.
        """
        self.network.train()
        train, total = self.data.train, 0.0
        before, began = self._solver_clocks(), time.perf_counter()
        for number, index in enumerate(torch.split(torch.randperm(len(train)), self.settings.batch), 1):
            batch = train.pick(index).to(self.settings.device)
            loss = self.method.objective(self.network(self.data.augment(batch.inputs)), batch)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss / len(batch))
            self.optimizer.step()
            self.scheduler.step()
            if self.schedule is not None:
                self.schedule.step()
            total += loss.item() / len(batch)
            share = (self._solver_clocks()[0] - before[0]) / (time.perf_counter() - began)
            on_step(self.epoch * self.steps + number, f"loss {total / number:.3g} · solver {share:.1%}")
        passed = [time.perf_counter() - began, *(b - a for a, b in zip(before, self._solver_clocks(), strict=True))]
        for name, more in zip(self.clocks, passed, strict=True):
            self.clocks[name] += more
        self.epoch += 1
        found, *_ = self.evaluate(self.data.validation)
        if not found[self.task.target] < self.best["score"]:
            weights = copy.deepcopy(self.network.state_dict())
            self.best = {"score": found[self.task.target], "epoch": self.epoch, "weights": weights}
        validation = {f"validation_{name}": value for name, value in found.items()}
        times = {"seconds": passed[0], "solver_share": passed[1] / passed[0]}
        self.history.append({"epoch": self.epoch, "loss": total / self.steps, **validation, **times})

    def predict(self, examples: Any) -> Tensor:
        """The costs that the network, as it is, sees in the inputs."""
        self.network.eval()
        starts = range(0, len(examples), EVALUATE_AT_ONCE)
        parts = (examples.pick(slice(start, start + EVALUATE_AT_ONCE)).to(self.settings.device) for start in starts)
        with torch.no_grad():
            return torch.cat([self.method.costs(self.network(part.inputs)) for part in parts]).cpu()

    def evaluate(self, examples: Any) -> tuple[dict[str, float], Tensor, Tensor]:
        """How good the network is, as it is: the scores, the costs that it predicts, and the solutions for these."""
        costs = self.predict(examples)
        solutions = self.task.solve(costs, examples)
        return self.task.score(solutions, examples, costs), costs, solutions

    def effort(self) -> dict[str, Any]:
        """What the training took."""
        seconds, solver, solves = self.clocks.values()
        best = {"best_epoch": self.best["epoch"], "validation": self.best["score"]}
        solve_ms = 1000 * solver / solves if solves else None
        seen = self.epoch * len(self.data.train)
        counts = {"solve_ms": solve_ms, "solves": None if self.method.layer is None else solves / seen}
        effort = {**best, "seconds": seconds, "solver_share": solver / seconds, **counts}
        if self.schedule is None and self.advised is None:
            return effort
        return {**effort, "settled": self.advised or float(self.schedule or 0), "advice_seconds": self.advice_seconds}

    def use_best(self) -> None:
        """Take the weights of the epoch that was best on the validation examples."""
        self.network.load_state_dict(self.best["weights"])

    def state(self) -> dict[str, Any]:
        """All that the following epochs depend on."""
        figures = {name: getattr(self, name) for name in ("epoch", "clocks", "best", "history", "advised")}
        if self.schedule is not None:
            figures["schedule"] = self.schedule.state_dict()
        parts = {name: getattr(self, name).state_dict() for name in ("network", "optimizer", "scheduler")}
        if (device := torch.device(self.settings.device)).type == "cuda":
            parts["cuda_generator"] = torch.cuda.get_rng_state(device)
        return {**figures, **parts, "generator": torch.get_rng_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.epoch, self.best = int(state["epoch"]), dict(state["best"])
        self.history = [dict(row) for row in state["history"]]
        self.clocks = {name: float(state["clocks"][name]) for name in self.clocks}
        self.use_best()  # a state without them is refused here, before the rest of the training is paid for
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scheduler"].keys() != self.scheduler.state_dict().keys():  # torch takes whatever it is given
            raise KeyError("scheduler")
        self.scheduler.load_state_dict(state["scheduler"])
        if self.advised is not None:
            self.advised = float(state["advised"])
            self._set_temperature(self.advised)
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["generator"])
        if "cuda_generator" in state:
            torch.cuda.set_rng_state(state["cuda_generator"], self.settings.device)

    def _solver_clocks(self) -> tuple[float, int]:
        stats = None if self.method.layer is None else self.method.layer.stats
        return (0.0, 0) if stats is None else (stats.seconds, stats.solves)


def stable_seed(*parts: object) -> int:
    """A seed that depends on the names alone, the same in every process and on every machine.

    >>> stable_seed("shortest-path", "perturbed", 0, 0)
    13334636997774782
    """
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:7])
