"""What the adviser asks of a method: its gradient at a temperature, and the hard loss of any θ."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from combdiff import _bridge
from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.oracle import Oracle
from combdiff.soft.arguments import HasStrength, SoftLoss
from combdiff.temperature import Adaptive
from combdiff_solvers.pools.cached import Cached
from combdiff_solvers.protocol import Sets

TaskLoss = Callable[..., Tensor]


def twin(module: nn.Module) -> Any:
    """A copy that shares all weights and values with a module, and whose attributes may be set without harm."""
    other = copy.copy(module)
    for part in ("_modules", "_parameters", "_buffers", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"):
        other.__dict__[part] = copy.copy(module.__dict__[part])
    return other.train()


class Probe(ABC):
    """A method on some rows of a batch.

    Attributes:
        rows: their numbers in the batch.
        theta: the rows of θ.
        estimates: how many independent gradients a call of `gradients` gives.
        samples: those of the method; None where it has none. `least`: how many it needs.
        judged: whether the task gives a hard loss.
        grows: whether the temperature is in units of θ, which grows in training.
    """

    estimates = 1
    samples: int | None = None
    least = 1
    judged = grows = True

    def __init__(self, theta: Tensor, rows: Tensor) -> None:
        self.rows, self.theta = rows, theta.detach()[rows]

    @abstractmethod
    def unit(self) -> float:
        """A guess of the scale of the temperature."""

    @abstractmethod
    def gradients(self, temperature: float) -> tuple[Tensor, float]:
        """∂L/∂θ, (estimates, rows, ...), under the same noise at each temperature; and how much of y moves."""

    @abstractmethod
    def hard_loss(self, theta: Tensor) -> float:
        """The loss of the hard answers where the rows have this θ."""

    def limit(self) -> Tensor | None:
        """The gradient in the limit of temperature 0, where it is known and not zero."""
        return None

    def spread(self) -> Tensor:
        """The root mean square of θ about its mean in each row, (rows, 1, ...)."""
        flat = self.theta.flatten(1)
        spread = flat.std(1, correction=0) if flat.shape[1] > 1 else flat.abs().mean(1)
        return spread.reshape(-1, *[1] * (self.theta.ndim - 1))


class Task:
    """A loss of the outputs of a whole batch, of which only some rows are computed.

    Args:
        outputs: hard outputs of the whole batch, which stand in for the rows that are not computed.
        loss: loss(y) or loss(y, target); None: Σ (y − target)².
        gradient: ∂L/∂y of the rows of the batch, where that is all that is known.
    """

    def __init__(self, outputs: Tensor, rows: Tensor, target: Any, loss: TaskLoss | None, gradient: Tensor | None):
        self.outputs, self.rows, self.target, self.loss = outputs, rows, target, loss
        self.known = loss is not None or target is not None or gradient is not None
        self.gradient = None if gradient is None else gradient[rows]
        if not self.known:  # any direction tells noise from signal, none tells what is better
            self.gradient = torch.randn(outputs[rows].shape, generator=torch.Generator().manual_seed(0)).to(outputs)

    def __call__(self, y: Tensor) -> Tensor:
        if self.gradient is not None:
            return (self.gradient * y).sum()
        whole = self.outputs.index_copy(0, self.rows, y)
        if self.loss is None:
            return (whole - self.target).square().sum()
        return self.loss(whole).sum() if self.target is None else self.loss(whole, self.target).sum()


class SolverProbe(Probe):
    """A layer with a task loss, or a Fenchel–Young loss of it with target solutions."""

    def __init__(
        self, method: Any, theta: Tensor, rows: Tensor, target: Any, loss: TaskLoss | None, gradient: Tensor | None,
        instances: Sets, solves: int,
    ) -> None:  # fmt: skip
        super().__init__(theta, rows)
        self.method = self.layer = self.smooth = twin(method)
        if hasattr(method, "layer"):  # a loss of a layer, or a layer that takes its gradient from another one
            self.smooth = self.method.layer = twin(method.layer)
        self.is_loss = not isinstance(method, SolverLayer)
        if self.is_loss:
            if target is None:
                raise ValueError(f"a {type(method).__name__} learns from target solutions: give target=")
            self.layer = self.smooth
            self.method.reduction = "sum"
        multiplicative = self.smooth.degree == 0 and isinstance(self.smooth, SmoothedLayer)
        self.grows = not (multiplicative or self.smooth.noise_sets_unit)
        self.instances = _bridge.take(instances, rows)
        self.samples = getattr(self.smooth, "samples", None)
        # a temperature that scales the noise leaves no two rungs a row in common, and looking rows up costs time
        differ = self.samples is not None and isinstance(self.smooth, SmoothedLayer)
        solver = self.layer.solver if differ else Cached(self.layer.solver)
        self.layer.oracle = Oracle(solver, on_failure="mask")
        self.estimates = 1 if self.samples is None else max(4, solves // self.samples)
        if self.samples is not None:
            self.least = 2 if getattr(self.smooth, "antithetic", False) else 1
            self.smooth.generator = torch.Generator(device=theta.device).manual_seed(0)
            self.smooth.sample_noise = _drawn_once(self.smooth)
        whole = theta.detach()
        hard = self._solve(whole, instances)
        if isinstance(target, Tensor) and loss is None:
            target = torch.nan_to_num(target).to(theta.dtype)  # NaN: of rows without a solution
        self.task = Task(hard, rows, target, loss, gradient)
        self.judged = self.task.known

    def unit(self) -> float:
        if not self.grows:
            return 0.1  # of log θ, or of noise of size 1
        if self.smooth.theta_sets_unit:
            return float(self.spread().mean()) or 1.0
        # λ · ∂L/∂y is to be of the size of θ: the mean of all costs counts for solutions of different sizes
        gradient = self._incoming(self.task.outputs[self.rows])
        theta, gradient = (one.square().mean().sqrt() for one in (self.theta, gradient))
        return (float(theta) or 1.0) / (float(gradient) or 1.0)

    def _incoming(self, y: Tensor) -> Tensor:
        y = y.clone().requires_grad_()
        return torch.autograd.grad(self.task(y), y)[0]

    def gradients(self, temperature: float) -> tuple[Tensor, float]:
        schedule = Adaptive(temperature, hold=True)
        self.layer.temperature = schedule
        copies = self.theta.expand(self.estimates, *self.theta.shape).clone().requires_grad_()
        given = _bridge.repeat(self.instances, self.estimates)
        if self.is_loss:
            target = self.task.target[self.rows].expand_as(copies)
            total = self.method(copies, target, given)
        else:
            y = self.layer(copies, given)
            total = torch.stack([self.task(torch.nan_to_num(one)) for one in y]).sum()
        (found,) = torch.autograd.grad(total, copies)
        return torch.nan_to_num(found), schedule.measured

    def hard_loss(self, theta: Tensor) -> float:
        return float(self.task(self._solve(theta, self.instances)))

    def limit(self) -> Tensor | None:
        if not self.is_loss:
            return None
        gradient = self.task.target[self.rows] - self.task.outputs[self.rows]
        return gradient * self.layer.solver.sense.sign

    def _solve(self, theta: Tensor, instances: Sets) -> Tensor:
        oracle = self.layer.oracle
        return oracle.solve(oracle.costs(theta), instances).y.reshape(theta.shape).to(theta.dtype)


class SoftProbe(Probe):
    """A soft operator with a task loss, or a loss made of soft operators with what it compares with."""

    def __init__(
        self, method: HasStrength, theta: Tensor, rows: Tensor, target: Any, loss: TaskLoss | None, mask: Tensor | None
    ) -> None:
        super().__init__(theta, rows)
        self.method = twin(method)
        self.method._parameters.pop("regularization_strength", None)
        self.method._told = None
        for hooks in (self.method._forward_pre_hooks, self.method._forward_pre_hooks_with_kwargs):
            hooks.clear()  # those of the original's schedule
        if getattr(method, "reduction", "sum") == "none":
            self.method.reduction = "sum"
        self.is_loss = isinstance(method, SoftLoss)
        self.mask = None if mask is None else mask.expand(theta.shape)[rows]
        if self.is_loss:
            self.target = [] if target is None else [target[rows]]
        else:
            hard = self.method.soften(theta.detach(), 0.0, mask)
            self.task = Task(hard, rows, target, loss, None)
            self.judged = self.task.known

    def unit(self) -> float:
        return float(self.spread().mean()) or 1.0

    def _loss(self, theta: Tensor) -> Tensor:
        if self.is_loss:
            return self.method(theta, *self.target, **({} if self.mask is None else {"mask": self.mask})).sum()
        return self.task(self.method.soften(theta, self.method.temperature, self.mask))

    def gradients(self, temperature: float) -> tuple[Tensor, float]:
        self.method.temperature = temperature
        theta = self.theta.clone().requires_grad_()
        (found,) = torch.autograd.grad(self._loss(theta), theta)
        return torch.nan_to_num(found)[None], self.method.share_moved(self.theta, self.mask)

    def hard_loss(self, theta: Tensor) -> float:
        self.method.temperature = 0.0
        return float(self._loss(theta) if self.is_loss else self.task(self.method.soften(theta, 0.0, self.mask)))


def _drawn_once(layer: Any) -> Callable[[Tensor], Tensor]:
    """`layer.sample_noise` that gives the same noise, and leaves the same state of its generator, in each call."""
    draw, kept = layer.sample_noise, list[tuple[Tensor, Tensor]]()

    def sample_noise(costs: Tensor) -> Tensor:
        if not kept:
            kept.append((draw(costs), layer.generator.get_state()))
        noise, state = kept[0]
        layer.generator.set_state(state)
        return noise

    return sample_noise


def probe_of(
    method: Any, theta: Tensor, rows: Tensor, target: Any, loss: TaskLoss | None, gradient: Tensor | None,
    instances: Sets, mask: Tensor | None, solves: int,
) -> Probe:  # fmt: skip
    """The probe of a method.

    Raises:
        TypeError: for what has no temperature.
    """
    if isinstance(method, HasStrength):
        return SoftProbe(method, theta, rows, target, loss, mask)
    layer = getattr(method, "layer", method)
    if not isinstance(layer, SolverLayer) or layer.temperature is None:
        raise TypeError(
            f"a {type(method).__name__} has no temperature to advise on: give a layer, a Fenchel–Young loss, or a soft "
            "operator or loss as a module"
        )
    return SolverProbe(method, theta, rows, target, loss, gradient, instances, solves)
