"""What methods declare is what they do."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import (
    AdaptiveImplicitMLE,
    AdjacentVerticesLoss,
    ConeAlignedLoss,
    ContrastiveMAPLoss,
    FenchelYoungLoss,
    FrankWolfe,
    GumbelTopK,
    Identity,
    ImplicitMLE,
    Interpolation,
    LagrangianProximal,
    LearningToRankLoss,
    NoiseContrastiveLoss,
    PerturbationGradientLoss,
    Perturbed,
    PushforwardLoss,
    RegretLoss,
    ScoreFunction,
    SmoothedLayer,
    SolutionPool,
    SolverLayer,
    SPOPlusLoss,
    StraightThrough,
    StructuredHingeLoss,
    layers,
    losses,
)
from combdiff.needs import LEARNS_FROM
from combdiff.polyhedra import Neighbours
from combdiff.testing import HYPERSIMPLEX, Enumerated
from experiments.figures import methods

SAMPLES = 4
LAYERS: dict[str, Callable[[Any], SolverLayer]] = {
    "Perturbed": lambda solver: Perturbed(solver, 3.0, SAMPLES),
    "Perturbed, multiplicative": lambda solver: Perturbed(solver, 3.0, SAMPLES, mode="multiplicative"),
    "Interpolation": lambda solver: Interpolation(solver, 9.0),
    "LagrangianProximal": lambda solver: LagrangianProximal(solver, 9.0),
    "LagrangianProximal, lower": lambda solver: LagrangianProximal(solver, 9.0, "lower"),
    "Identity": lambda solver: Identity(solver),
    "Identity, mean": lambda solver: Identity(solver, "mean"),
    "ImplicitMLE": lambda solver: ImplicitMLE(solver, 9.0, 3.0, SAMPLES),
    "AdaptiveImplicitMLE": lambda solver: AdaptiveImplicitMLE(solver, 9.0, 3.0, SAMPLES),
    "GumbelTopK": lambda solver: GumbelTopK(solver),
    "FrankWolfe": lambda solver: FrankWolfe(solver),
    "FrankWolfe, entropy": lambda solver: FrankWolfe(solver, 1.0, "entropy"),
    "ScoreFunction": lambda solver: ScoreFunction(solver, 3.0, SAMPLES),
    "ScoreFunction, multiplicative": lambda solver: ScoreFunction(solver, 3.0, SAMPLES, mode="multiplicative"),
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


def pooled(kind: Any, *own: Any) -> Callable[[Any], Any]:
    """A loss over all that is feasible."""

    def make(solver: Any) -> Any:
        pool = SolutionPool(solver)
        pool.add(torch.from_numpy(HYPERSIMPLEX))
        return kind(pool, *own)

    return make


LOSSES: dict[str, Callable[[Any], Any]] = {
    "SPOPlusLoss": lambda solver: SPOPlusLoss(solver),
    "PerturbationGradientLoss": lambda solver: PerturbationGradientLoss(solver, 2.0),
    "StructuredHingeLoss": lambda solver: StructuredHingeLoss(solver, 1.0),
    "RegretLoss": lambda solver: RegretLoss(solver),
    "FenchelYoungLoss": lambda solver: FenchelYoungLoss(Perturbed(solver, 3.0, SAMPLES)),
    "FenchelYoungLoss, multiplicative": lambda solver: FenchelYoungLoss(
        Perturbed(solver, 3.0, SAMPLES, mode="multiplicative")
    ),
    "FenchelYoungLoss, FrankWolfe": lambda solver: FenchelYoungLoss(FrankWolfe(solver)),
    "PushforwardLoss": lambda solver: PushforwardLoss(
        Interpolation(solver, 900.0), lambda y, c_true: (y * (c_true - 0.6)).sum(-1)
    ),
    "NoiseContrastiveLoss": pooled(NoiseContrastiveLoss),
    "ContrastiveMAPLoss": pooled(ContrastiveMAPLoss),
    "LearningToRankLoss": pooled(LearningToRankLoss),
    "LearningToRankLoss, pair": pooled(LearningToRankLoss, "pair"),
    "LearningToRankLoss, point": pooled(LearningToRankLoss, "point"),
    "AdjacentVerticesLoss": lambda solver: AdjacentVerticesLoss(solver),
    "ConeAlignedLoss": lambda solver: ConeAlignedLoss(solver, "edges"),
}
THETA, C_TRUE = torch.rand(2, 50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
Y_TRUE = torch.from_numpy(Enumerated(HYPERSIMPLEX).solve(C_TRUE.numpy()).y)
GIVEN = {
    "c_true": C_TRUE,
    "y_true": Y_TRUE,
    "targets": C_TRUE,
    **dict.fromkeys(("edges", "cone"), Neighbours.among(torch.from_numpy(HYPERSIMPLEX), Y_TRUE, complete=True)),
}


def call(loss: Any, theta: Tensor, **instead: Any) -> Tensor:
    """The loss, of the targets that it has to be given."""
    given = {**GIVEN, **instead}
    parts = [given[name] for name in inspect.signature(loss.forward).parameters if name in required(loss)]
    found: Tensor = loss(theta, *parts)
    return found


def required(loss: Any) -> set[str]:
    """The names of the targets without which a loss cannot be called."""
    _, *rest = inspect.signature(loss.forward).parameters.values()
    names = {one.name for one in rest if one.default is one.empty}
    return {"y_true"} if isinstance(loss, FenchelYoungLoss) else names


@pytest.mark.parametrize("name", LOSSES)
def test_solves_and_signs_of_losses_are_as_declared(name: str) -> None:
    torch.manual_seed(0)
    solver = Asked(HYPERSIMPLEX)
    loss = LOSSES[name](solver)
    known = {"y_true": Y_TRUE} if isinstance(loss, SPOPlusLoss | RegretLoss) else {}  # else it is solved for
    theta = THETA.clone().requires_grad_()
    value = loss(theta, C_TRUE, **known) if known else call(loss, theta)
    stats = loss.layer.stats if isinstance(loss, FenchelYoungLoss) else loss.stats
    forward = stats.solves
    if value.requires_grad:
        value.backward()
    if loss.needs.forward in FORMULAS:
        assert forward == 50 * FORMULAS[loss.needs.forward]
    else:
        assert loss.needs.forward == "rounds"
    assert stats.solves - forward == 50 * FORMULAS[loss.needs.backward]
    assert loss.needs.negative == (solver.least < 0.0)


def gradient_at(make: Callable[[Any], Any], factor: float) -> Tensor | None:
    """That of a layer or loss at a multiple of θ, under the same noise; None where it has none."""
    torch.manual_seed(0)
    method = make(Enumerated(HYPERSIMPLEX))
    theta = (factor * THETA).requires_grad_()
    incoming = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    value = method(theta) if isinstance(method, SolverLayer) else call(method, theta)
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, theta, incoming if value.ndim else None)[0]


@pytest.mark.parametrize("name", [*LAYERS, *LOSSES])
def test_the_degree_of_the_gradient_is_as_declared(name: str) -> None:
    make = {**LAYERS, **LOSSES}[name]
    needs = make(Enumerated(HYPERSIMPLEX)).needs
    one, *others = [(gradient_at(make, factor), factor) for factor in (1.0, 0.125, 4.0)]
    if one[0] is None:
        assert needs.bias == "no gradient"
        return
    assert one[0].abs().sum() > 0
    for degree in (-2, -1, 0, 1):
        same = [gradient is not None and torch.allclose(gradient, a**degree * one[0]) for gradient, a in others]
        assert all(same) == (degree == needs.gradient_degree)


COSTS = "SPOPlusLoss", "PerturbationGradientLoss", "RegretLoss", "LearningToRankLoss"
KINDS: dict[str, Any] = {**methods.methods(layers), **methods.methods(losses)}


OTHERS = {"SatNet", "LinearConstraints", "FixAndDifferentiate"}  # of other inputs


def test_every_layer_and_loss_declares_its_needs() -> None:
    assert {name.split(",")[0] for name in LAYERS} == set(layers.__all__) - OTHERS
    judged = {name for name in methods.methods(losses) if KINDS[name].needs.target != "labels"}
    assert {name.split(",")[0] for name in LOSSES} == judged
    for name, kind in KINDS.items():
        needs = methods.needs_of(kind)
        if name in LAYERS and name != "StraightThrough":  # the page shows what a class does by default
            assert LAYERS[name](Enumerated(HYPERSIMPLEX)).needs.negative == needs.negative
        if name in judged - {"PushforwardLoss"}:
            assert needs.target == ("costs" if name in COSTS else "solution")
        assert needs.target in LEARNS_FROM


def test_the_page_of_methods_is_what_the_classes_declare() -> None:
    page = methods.PAGE.read_text()
    assert page == methods.page(), "run python -m experiments.figures.methods"
    assert all(f"| `{name}` |" in page for name in KINDS)


def test_bad_declarations_are_refused_by_name() -> None:
    class Silent(Perturbed):
        pass

    class Terse(Perturbed):
        needs = replace(Perturbed.needs, scale="", use="")

    with pytest.raises(TypeError, match="Silent has no attribute `needs` of its own"):
        methods.row(Silent)
    with pytest.raises(TypeError, match=r"Terse\.needs has no text for scale, use"):
        methods.row(Terse)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "PushforwardLoss"])
def test_a_bad_call_without_a_target_says_which(name: str) -> None:
    loss = LOSSES[name](Enumerated(HYPERSIMPLEX))
    for target in required(loss):
        with pytest.raises(TypeError, match=f"{target}.* is None, and {type(loss).__name__} needs it") as caught:
            call(loss, THETA, **{target: None})
        assert LEARNS_FROM[loss.needs.target] in str(caught.value)


def test_a_bad_call_of_a_cost_of_the_house_says_what_it_needs() -> None:
    with pytest.raises(TypeError, match="c_true is None, and PushforwardLoss needs it"):
        PushforwardLoss(Interpolation(Enumerated(HYPERSIMPLEX)))(THETA)


SOFT = [name for name, kind in KINDS.items() if kind.needs.target == "labels" and name != "TrimmedLoss"]


@pytest.mark.parametrize("name", SOFT)
def test_a_bad_call_of_a_soft_loss_without_labels_says_which(name: str) -> None:
    loss: Any = losses.SoftRecallLoss(2) if name == "SoftRecallLoss" else KINDS[name]()
    _, target = list(inspect.signature(loss.forward).parameters)[:2]
    with pytest.raises(TypeError, match=f"{target} is a NoneType, but must be a torch.Tensor"):
        loss(THETA, None)
