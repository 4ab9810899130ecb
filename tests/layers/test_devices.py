"""Layers and losses take θ on a GPU: the same numbers as on the processor, and the gradient beside θ."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from combdiff import FenchelYoungLoss, Interpolation, Perturbed
from combdiff.noise import Gaussian
from combdiff.solvers import ShortestPath, TopK


class Recorded(Gaussian):
    """Noise that is drawn on the processor, so that both devices see the same."""

    def sample(self, shape: tuple[int, ...], like: Tensor, generator: Generator | None = None) -> Tensor:
        return torch.randn(shape, dtype=like.dtype, generator=Generator().manual_seed(3)).to(like.device)


def layer(mode: str = "additive") -> Perturbed:
    solver = ShortestPath.grid(4, 4, negative="clamp") if mode == "additive" else TopK(16, 3)
    return Perturbed(solver, 0.2, 4, Recorded(), mode)  # type: ignore[arg-type]


CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "perturbed": lambda theta: layer()(theta),
    "multiplicative": lambda theta: layer("multiplicative")(theta.flatten(1)),
    "interpolation": lambda theta: Interpolation(layer().solver, 5.0)(theta),
    "Fenchel-Young": lambda theta: FenchelYoungLoss(layer())(theta, theta.detach().round()),
    "half precision": lambda theta: Interpolation(layer().solver, 5.0)(theta.bfloat16()),
}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CALLS)
def test_a_gpu_gives_the_numbers_of_the_processor(name: str) -> None:
    theta = torch.rand(5, 4, 4, dtype=torch.float64, generator=Generator().manual_seed(0))
    got = []
    for device in ("cpu", "cuda"):
        here = theta.to(device).requires_grad_()
        y = CALLS[name](here)
        assert y.device == here.device
        weights = torch.linspace(1, 2, y.numel()).reshape(y.shape).to(y)
        (gradient,) = torch.autograd.grad(y, here, weights)
        got.append((y.detach().cpu(), gradient.cpu()))
    for on_cpu, on_gpu in zip(*got, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu)
