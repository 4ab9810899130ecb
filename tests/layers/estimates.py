"""Estimates of a layer and their standard errors, for tests against an absolute truth."""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor

from combdiff import SolverLayer

L = TypeVar("L", bound=SolverLayer)


def same_noise_in_every_row(layer: L) -> L:
    """The layer with fixed noise, the same in each row and call."""
    drawn = type(layer).sample_noise  # type: ignore[attr-defined]

    def frozen(costs: Tensor) -> Tensor:
        state = torch.random.get_rng_state()
        torch.manual_seed(11)
        noise = drawn(layer, costs.new_zeros(1, costs.shape[-1], dtype=torch.float64))
        torch.random.set_rng_state(state)
        return noise.to(costs.dtype).expand(-1, len(costs), -1)

    layer.sample_noise = frozen
    return layer


def standard_errors(estimates: Tensor, truth: Any) -> Tensor:
    """How many standard errors the mean of repeated estimates (first axis) is away from the truth."""
    error = estimates.std(0) / math.sqrt(len(estimates))
    return (estimates.mean(0) - truth).abs() / error.clamp_min(1e-12)


def repeated(layer: SolverLayer, theta: Tensor, times: int) -> tuple[Tensor, Tensor]:
    """Independent estimates of y and of the Jacobian, (times, n) and (times, n, n) with [., i, j] = dy_i/dθ_j."""
    n = theta.shape[-1]
    rows = theta.detach().expand(times, n).clone().requires_grad_()
    y = layer(rows)
    jacobian = [torch.autograd.grad(y[:, i].sum(), rows, retain_graph=True)[0] for i in range(n)]
    return y.detach(), torch.stack(jacobian, dim=1)


def gradients(layer: SolverLayer, theta: Tensor, incoming: Tensor, times: int) -> Tensor:
    """Independent estimates of the gradient for one incoming gradient, (times, n)."""
    rows = theta.detach().expand(times, *theta.shape).clone().requires_grad_()
    return torch.autograd.grad(layer(rows), rows, incoming.expand_as(rows))[0]
