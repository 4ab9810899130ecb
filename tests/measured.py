"""What a method measures at a temperature, and methods to ask."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from combdiff import FenchelYoungLoss, Interpolation, Perturbed
from combdiff.soft import SoftRank
from combdiff.temperature import Adaptive
from combdiff.testing import HYPERSIMPLEX, Enumerated

ROWS = 64


def some_theta(seed: int = 0, n: int = 4) -> Tensor:
    return torch.randn(ROWS, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def told(method: nn.Module, temperature: float, call: Callable[[nn.Module], Any], signal: Any = "moves") -> float:
    """What a method measures at a temperature."""
    method.temperature = schedule = Adaptive(temperature, 0.4, signal, hold=True)  # type: ignore[assignment]
    torch.manual_seed(0)
    call(method)
    return schedule.measured


METHODS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Any]]] = {
    "perturbed": (lambda: Perturbed(Enumerated(HYPERSIMPLEX), samples=4), lambda layer: layer(some_theta())),
    "Fenchel–Young": (
        lambda: FenchelYoungLoss(Perturbed(Enumerated(HYPERSIMPLEX), samples=16)),
        lambda loss: loss(some_theta(), torch.from_numpy(HYPERSIMPLEX[:1]).expand(ROWS, 4)),
    ),
    "interpolation": (
        lambda: Interpolation(Enumerated(HYPERSIMPLEX)),
        lambda layer: layer(some_theta().requires_grad_()).backward(some_theta(1)),
    ),
    "soft rank": (SoftRank, lambda module: module(some_theta(0, 6))),
}
