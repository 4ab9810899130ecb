"""How each method answers to the scale of θ: the declared degree is true, and a drift of the scale is told."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from combdiff import (
    AdaptiveImplicitMLE,
    FenchelYoungLoss,
    Identity,
    ImplicitMLE,
    Interpolation,
    LagrangianProximal,
    Perturbed,
    SolverLayer,
    StraightThrough,
)
from combdiff.testing import HYPERSIMPLEX, Enumerated

LAYERS: dict[str, Callable[[], SolverLayer]] = {
    "interpolation": lambda: Interpolation(Enumerated(HYPERSIMPLEX)),
    "identity": lambda: Identity(Enumerated(HYPERSIMPLEX)),
    "lagrangian-proximal": lambda: LagrangianProximal(Enumerated(HYPERSIMPLEX)),
    "straight-through": lambda: StraightThrough(Perturbed(Enumerated(HYPERSIMPLEX))),
    "implicit-mle": lambda: ImplicitMLE(Enumerated(HYPERSIMPLEX), samples=4),
    "adaptive-implicit-mle": lambda: AdaptiveImplicitMLE(Enumerated(HYPERSIMPLEX), samples=4),
    "additive": lambda: Perturbed(Enumerated(HYPERSIMPLEX), samples=4),
    "gumbel": lambda: Perturbed(Enumerated(HYPERSIMPLEX), samples=4, noise="gumbel"),
    "multiplicative": lambda: Perturbed(Enumerated(HYPERSIMPLEX), samples=4, mode="multiplicative"),
}
THETA = torch.rand(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
TARGET = torch.from_numpy(HYPERSIMPLEX[torch.arange(20) % 6])


def is_homogeneous(function: Callable[[Tensor], Tensor], degree: int) -> bool:
    """Whether f(aθ) = aᵏ f(θ) under the same noise."""
    values = []
    for factor in (1.0, 0.125, 4.0):
        torch.manual_seed(0)
        values.append(function(factor * THETA) / factor**degree)
    return all(torch.allclose(value, values[0], rtol=1e-12) for value in values)


@pytest.mark.parametrize("name", LAYERS)
def test_the_degree_is_as_declared(name: str) -> None:
    layer = LAYERS[name]()
    if layer.degree is None:
        assert not any(is_homogeneous(layer, degree) for degree in (-1, 0, 1, 2))
    else:
        assert is_homogeneous(layer, layer.degree)


@pytest.mark.parametrize("name", ["additive", "gumbel", "multiplicative"])
def test_the_degree_of_the_fenchel_young_loss_is_as_declared(name: str) -> None:
    layer = LAYERS[name]()
    assert isinstance(layer, Perturbed)
    loss = FenchelYoungLoss(layer, "none")
    if loss.degree is None:
        assert not any(is_homogeneous(lambda theta: loss(theta, TARGET), degree) for degree in (-1, 0, 1, 2))
    else:
        assert is_homogeneous(lambda theta: loss(theta, TARGET), loss.degree)


@pytest.mark.parametrize("factor", [0.09, 11.0])
@pytest.mark.parametrize("name", ["interpolation", "identity", "lagrangian-proximal", "multiplicative"])
def test_a_drifting_scale_is_told_once(name: str, factor: float) -> None:
    layer = LAYERS[name]()
    layer(1e9 * THETA)  # no gradient is asked for: not training
    start = THETA.clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for near in (1.0, 9.0, 0.12):
            layer(near * start)
    with pytest.warns(UserWarning, match=r"the mean of \|theta\| went from .* to .* in training.*homogeneous"):
        layer(factor * start)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(factor * start)


def test_a_fenchel_young_loss_tells_of_a_drifting_scale() -> None:
    layer = Perturbed(Enumerated(HYPERSIMPLEX), mode="multiplicative")
    loss = FenchelYoungLoss(layer)
    start = THETA.clone().requires_grad_()
    loss(start, TARGET)
    with pytest.warns(UserWarning, match="of degree 1"):
        loss(start / 20, TARGET)


@pytest.mark.parametrize("name", ["additive", "gumbel", "implicit-mle"])
def test_a_method_with_a_scale_of_its_own_stays_silent(name: str) -> None:
    layer, start = LAYERS[name](), THETA.clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for factor in (1.0, 100.0):
            layer(factor * start)
