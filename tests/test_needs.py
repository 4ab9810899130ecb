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
    PerturbationGradientLoss,
    Perturbed,
    PushforwardLoss,
    RegretLoss,
    ScoreFunction,
    SmoothedLayer,
    SolverLayer,
    SPOPlusLoss,
    StraightThrough,
    StructuredHingeLoss,
)
from combdiff.losses import DecisionLoss
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


LOSSES: dict[str, Callable[[Any], Any]] = {
    "SPOPlusLoss": lambda solver: SPOPlusLoss(solver),
    "PerturbationGradientLoss": lambda solver: PerturbationGradientLoss(solver, 2.0),
    "StructuredHingeLoss": lambda solver: StructuredHingeLoss(solver, 9.0),
    "RegretLoss": lambda solver: RegretLoss(solver),
}


@pytest.mark.parametrize("name", LOSSES)
def test_solves_and_signs_of_losses_are_as_declared(name: str) -> None:
    solver = Asked(HYPERSIMPLEX)
    loss = LOSSES[name](solver)
    theta, c_true = torch.rand(2, 50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    y_true = loss.solve(c_true)
    before, targets = loss.stats.solves, [c_true, y_true] if loss.needs.target == "costs" else [y_true]
    value = loss(theta.requires_grad_(), *targets)
    if value.requires_grad:
        value.backward()
    assert loss.stats.solves - before == 50 * FORMULAS[loss.needs.forward]
    assert loss.needs.negative == (solver.least < 0.0)


COSTS = "SPOPlusLoss", "PerturbationGradientLoss", "RegretLoss", "LearningToRankLoss"


def test_every_layer_and_loss_declares_its_needs() -> None:
    other = {"SatNet", "LinearConstraints", "FixAndDifferentiate"}  # their inputs are not θ alone
    assert {name.split(",")[0] for name in LAYERS} == set(combdiff.layers.__all__) - other
    for name in combdiff.losses.__all__:
        kind = getattr(combdiff.losses, name)
        if name == "PushforwardLoss":
            assert PushforwardLoss(Interpolation(Enumerated(HYPERSIMPLEX))).needs.backward == "1"
        elif name in COSTS:
            assert kind.needs.target == "costs", name
        else:
            solved = issubclass(kind, DecisionLoss | FenchelYoungLoss)
            assert kind.needs.target == ("solution" if solved else "labels"), name
