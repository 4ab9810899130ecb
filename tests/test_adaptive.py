"""Schedules that hold what a layer measures, or follow it from the advice on."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from combdiff import FenchelYoungLoss, Interpolation, Perturbed
from combdiff.diagnostics import advise
from combdiff.soft import SoftTopK
from combdiff.solvers import ShortestPath, TopK
from combdiff.temperature import Adaptive
from combdiff.testing import HYPERSIMPLEX, Enumerated
from tests.measured import METHODS, ROWS, some_theta, told


def finds(
    method: nn.Module, start: float, call: Callable[[nn.Module], Any], target: float = 0.4, steps: int = 120
) -> float:
    """Where a schedule that holds a target ends: the geometric mean of the last third."""
    method.temperature = schedule = Adaptive(start, target, hold=True)  # type: ignore[assignment]
    torch.manual_seed(1)
    logs = []
    for _ in range(steps):
        call(method)
        schedule.step()
        logs.append(math.log(float(schedule)))
    return math.exp(sum(logs[-50:]) / 50)


@pytest.mark.parametrize("name", METHODS)
def test_a_start_wrong_by_a_hundred_ends_at_the_target(name: str) -> None:
    make, call = METHODS[name]
    target = 0.1 if name == "interpolation" else 0.4
    place = finds(make(), 1.0, call, target)
    for found in (place, *(finds(make(), factor * place, call, target) for factor in (100.0, 0.01))):
        assert told(make(), found, call) == pytest.approx(target, rel=0.25)


def test_right_answers_do_not_heat() -> None:
    """A gradient that is zero, or moves nothing, since the answer is right says nothing of the smoothing."""
    theta = some_theta()
    loss = FenchelYoungLoss(Perturbed(Enumerated(HYPERSIMPLEX), samples=4))
    right = torch.from_numpy(Enumerated(HYPERSIMPLEX).solve(theta.numpy()).y)
    places = [finds(loss, 1.0, lambda loss, y=y: loss(theta, y)) for y in (right, 1.0 - right)]
    assert places[0] == pytest.approx(places[1], rel=0.1)

    hamming = 1.0 - 2.0 * right  # the gradient of the Hamming loss at a right answer: no λ moves it
    layer = Interpolation(Enumerated(HYPERSIMPLEX))
    schedule = layer.lam = Adaptive(1.0, hold=True)
    layer(theta.requires_grad_()).backward(hamming)
    assert math.isnan(schedule.measured)
    schedule.step()
    assert float(schedule) == 1.0


def train(
    method: nn.Module, sigma: Adaptive, loss: Callable[[nn.Module, Tensor, Tensor], Tensor], steps: int = 50
) -> list[float]:
    """σ after each step, as a linear model learns the top 3 of ten scores with noise."""
    generator = torch.Generator().manual_seed(3)
    x, noise = (torch.randn(256, 10, size, generator=generator) for size in (6, 1))
    scores = (x @ torch.full((6, 1), 0.4) + 1.5 * noise).squeeze(-1)
    y = torch.zeros_like(scores).scatter(1, scores.topk(3).indices, 1.0)
    torch.manual_seed(3)
    model = nn.Linear(6, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    method.temperature = sigma  # type: ignore[assignment]
    values = []
    for step in range(steps):
        rows = slice(32 * step % 256, 32 * step % 256 + 32)
        optimizer.zero_grad()
        value = loss(method, model(x[rows]).squeeze(-1), y[rows])
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        sigma.step()
        values.append(float(sigma))
    return values


TRAININGS: dict[str, tuple[Callable[[], nn.Module], Callable[..., Tensor]]] = {
    "Fenchel–Young": (
        lambda: FenchelYoungLoss(Perturbed(TopK(10, 3), samples=8)),
        lambda loss, theta, y: loss(theta, y),
    ),
    "squared": (
        lambda: Perturbed(TopK(10, 3), samples=8),
        lambda layer, theta, y: (layer(theta) - y).square().sum(-1).mean(),
    ),
    "interpolation": (
        lambda: Interpolation(TopK(10, 3)),
        lambda layer, theta, y: (layer(theta) - y).square().sum(-1).mean(),
    ),
    "soft top-k": (
        lambda: SoftTopK(3),
        lambda top, theta, y: (top(theta)[0] - y.sum(-1, keepdim=True)).square().mean(),
    ),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_is_the_same_from_any_start(name: str) -> None:
    """It begins at the advice, is not pulled to 0 by θ, and stays as long as the signal is there."""
    make, loss = TRAININGS[name]
    one = train(make(), sigma := Adaptive(), loss)
    for start in (0.01, 100.0):
        assert train(make(), other := Adaptive(start), loss, steps=5) == one[:5]
        assert other.start == sigma.start  # so all that `state_dict` keeps is the same from there on
    assert min(one) == one[0]
    assert max(one) < 2.0 * one[0]


@pytest.mark.parametrize("make", [lambda solver: Perturbed(solver, samples=4), Interpolation])
@pytest.mark.parametrize("batch", [(ROWS,), (2, ROWS // 2)])
def test_a_temperature_is_chosen_in_the_backward_pass_of_a_grid(make: Callable[..., Any], batch: tuple[int]) -> None:
    """By the adviser's answer to the same θ and ∂L/∂y."""
    layer = make(ShortestPath.grid(3, negative="clamp"))
    layer.temperature = "auto"
    theta, gradient = (some_theta(seed, 9).reshape(*batch, 3, 3) for seed in (0, 1))
    layer(theta.abs().requires_grad_()).backward(gradient)
    expected = advise(make(layer.solver), theta.abs(), gradient=gradient).temperature
    assert float(layer.temperature) == expected


@pytest.mark.parametrize("make", [lambda: Adaptive(1.0), lambda: "auto"])
def test_the_first_gradient_is_that_of_the_chosen_temperature(make: Callable[[], Any]) -> None:
    """Adam divides by the square root of the mean square of all gradients: one that is too large slows the training."""
    found = []
    layer = Perturbed(Enumerated(HYPERSIMPLEX), make(), samples=8)
    for _ in range(2):
        torch.manual_seed(0)
        theta = some_theta().requires_grad_()
        layer(theta).backward(some_theta(1))
        found.append(theta.grad)
        layer.sigma = float(layer.sigma)
    torch.testing.assert_close(*found)
    assert found[0] is not None
    assert bool(found[0].any())


def test_a_temperature_that_theta_has_outgrown_rises_until_y_moves_again() -> None:
    layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=8)
    schedule = layer.sigma = Adaptive()
    for factor, steps in ((1.0, 3), (1e5, 150)):
        theta = (factor * some_theta()).requires_grad_()
        for _ in range(steps):
            layer(theta).square().sum().backward()
            schedule.step()
        if factor == 1.0:
            before = schedule.advice.temperature
            assert float(schedule) == before
    assert float(schedule) > 10.0 * before
    assert told(layer, float(schedule), lambda layer: layer(theta)) == pytest.approx(0.1, rel=0.3)


def test_with_hold_theta_and_sigma_go_to_zero_together() -> None:
    """What `hold` is not for: on labels with noise more than 40 % of y moves, whatever θ/σ has been learned."""
    make, loss = TRAININGS["Fenchel–Young"]
    assert train(make(), Adaptive(0.3, 0.4, hold=True), loss, steps=300)[-1] < 0.03


def test_the_mean_is_taken_over_some_rows() -> None:
    """A batch of one row whose signal is lost by chance changes little; with `hold` it counts."""
    for hold in (False, True):
        schedule = Adaptive(1.0, target=0.2, hold=hold)
        schedule.feed(0.3, 64)
        schedule.step()
        before = float(schedule)
        schedule.feed(0.0)
        schedule.step()
        assert float(schedule) == pytest.approx(before * (math.exp(0.1) if hold else 1.0))


@pytest.mark.parametrize("hold", [False, True])
def test_only_hold_falls(hold: bool) -> None:
    schedule = Adaptive(1.0, target=0.4, hold=hold, most=2.0)
    for measured in [0.9] * 9:
        schedule.feed(measured, 64)
        schedule.step()
    assert (float(schedule) < 0.5) if hold else float(schedule) == 1.0
    for _ in range(30):
        schedule.feed(0.0, 64)
        schedule.step()
    assert float(schedule) == 2.0
    assert "moves" in repr(schedule)
