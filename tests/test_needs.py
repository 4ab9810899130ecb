"""What methods declare is what they do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import combdiff
from combdiff import (
    AdaptiveImplicitMLE,
    FenchelYoungLoss,
    FrankWolfe,
    GumbelTopK,
    Identity,
    ImplicitMLE,
    Interpolation,
    LagrangianProximal,
    Perturbed,
    ScoreFunction,
    SmoothedLayer,
    SolverLayer,
    StraightThrough,
)
from combdiff.testing import HYPERSIMPLEX, Enumerated

SAMPLES = 4
LAYERS: dict[str, Callable[[Any], SolverLayer]] = {
    "Perturbed": lambda solver: Perturbed(solver, 3.0, SAMPLES),
    "Perturbed, multiplicative": lambda solver: Perturbed(solver, 3.0, SAMPLES, mode="multiplicative"),
    "Interpolation": lambda solver: Interpolation(solver, 9.0),
    "LagrangianProximal": lambda solver: LagrangianProximal(solver, 9.0),
    "LagrangianProximal, lower": lambda solver: LagrangianProximal(solver, 9.0, "lower"),
    "Identity": lambda solver: Identity(solver),
    "ImplicitMLE": lambda solver: ImplicitMLE(solver, 9.0, 3.0, SAMPLES),
    "AdaptiveImplicitMLE": lambda solver: AdaptiveImplicitMLE(solver, 9.0, 3.0, SAMPLES),
    "GumbelTopK": lambda solver: GumbelTopK(solver),
    "FrankWolfe": lambda solver: FrankWolfe(solver),
    "FrankWolfe, entropy": lambda solver: FrankWolfe(solver, 1.0, "entropy"),
    "ScoreFunction": lambda solver: ScoreFunction(solver, 3.0, SAMPLES),
    "StraightThrough": lambda solver: StraightThrough(Perturbed(solver, 3.0, SAMPLES)),
}
FORMULAS = {"0": 0, "1": 1, "2": 2, "M": SAMPLES, "1 + M": 1 + SAMPLES}


class Asked(Enumerated):
    """Remembers the least cost that it was asked for."""

    least = np.inf

    def solve_checked(self, theta: Any, instances: Any) -> Any:
        self.least = min(self.least, float(theta.min()))
        return super().solve_checked(theta, instances)


@pytest.mark.parametrize("name", LAYERS)
def test_solves_and_signs_of_costs_are_as_declared(name: str) -> None:
    torch.manual_seed(0)
    solver = Asked(HYPERSIMPLEX)
    layer = LAYERS[name](solver)
    theta = (torch.rand(50, 4, dtype=torch.float64) + 0.1).requires_grad_()
    y = layer(theta)
    forward, needs = layer.stats.solves, layer.needs
    y.backward(torch.randn(50, 4, dtype=torch.float64))
    backward = layer.stats.solves - forward
    if needs.forward in FORMULAS:
        assert forward == 50 * FORMULAS[needs.forward]
    else:
        assert needs.forward == "rounds"
    assert backward == 50 * FORMULAS[needs.backward]
    assert needs.negative == (solver.least < 0.0)
    assert needs.target == "task loss"


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_a_potential_or_is_refused_with_the_reason(name: str) -> None:
    layer: Any = LAYERS[name](Enumerated(HYPERSIMPLEX))
    assert isinstance(layer, SmoothedLayer) == (layer.needs.no_potential == "")
    if isinstance(layer, SmoothedLayer):
        assert FenchelYoungLoss(layer).needs.target == "solution"
    else:
        with pytest.raises(TypeError, match="has no potential") as caught:
            FenchelYoungLoss(layer)
        assert layer.needs.no_potential in str(caught.value)


def test_every_layer_and_loss_declares_its_needs() -> None:
    assert {name.split(",")[0] for name in LAYERS} == set(combdiff.layers.__all__)
    for name in combdiff.losses.__all__:
        kind = getattr(combdiff, name)
        assert kind.needs.target == ("solution" if name == "FenchelYoungLoss" else "labels"), name
