"""Schedules that are told what a layer measures, and the other new ones."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from combdiff import FenchelYoungLoss, Interpolation, Perturbed, SoftNDCGLoss, SoftTopKLoss, SpearmanLoss, TrimmedLoss
from combdiff.diagnostics import advise
from combdiff.soft import SoftPermutation, SoftRank, SoftSort, SoftTopK
from combdiff.solvers import Ranking, ShortestPath, TopK
from combdiff.temperature import Adaptive, Constant, Cosine, Geometric, OnPlateau, Schedule
from combdiff.testing import HYPERSIMPLEX, Enumerated

ROWS, LADDER = 64, [0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0]


def some_theta(seed: int = 0, n: int = 4) -> Tensor:
    return torch.randn(ROWS, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def told(method: nn.Module, temperature: float, call: Callable[[nn.Module], Any], signal: Any = "moves") -> float:
    """What a method measures at a temperature."""
    method.temperature = schedule = Adaptive(temperature, 0.4, signal, hold=True)  # type: ignore[assignment]
    torch.manual_seed(0)
    call(method)
    return schedule.measured


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown", "threshold"), [(0, 0, 0.0), (2, 0, 0.1), (1, 3, 1e-4)])
def test_on_plateau_counts_as_torch_does(mode: Any, patience: int, cooldown: int, threshold: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    options: dict[str, Any] = {"factor": 0.5, "patience": patience, "cooldown": cooldown, "threshold": threshold}
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, min_lr=0.01, eps=0.0, **options)
    ours = OnPlateau(1.0, mode, least=0.01, **options)
    for metric in np.random.default_rng(patience).random(60) + 0.1:
        theirs.step(metric)
        ours.step(metric)
        assert float(ours) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert float(ours) < 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(0.0), r"value=0\.0"),
        (lambda: Cosine(1.0, 0.1, 0), "steps=0"),
        (lambda: Cosine(1.0, 0.1, 1.5), r"steps=1\.5"),  # type: ignore[arg-type]
        (lambda: OnPlateau(1.0, "least"), "mode='least'"),  # type: ignore[arg-type]
        (lambda: OnPlateau(1.0, factor=1.0), r"factor=1\.0"),
        (lambda: OnPlateau(1.0, patience=-1), "patience=-1"),
        (lambda: OnPlateau(1.0, threshold=-0.1), r"threshold=-0\.1"),
        (lambda: Adaptive(-1.0), r"start=-1\.0"),
        (lambda: Adaptive(1.0, target=1.0), r"target=1\.0"),
        (lambda: Adaptive(1.0, signal="loss"), "signal='loss'"),  # type: ignore[arg-type]
        (lambda: Adaptive(1.0, least=2.0, most=1.0), "least=2"),
    ],
)
def test_bad_arguments_are_named(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_every_schedule_goes_on_from_a_checkpoint() -> None:
    makers: list[Callable[[], Any]] = [
        lambda: Constant(0.5),
        lambda: Cosine(1.0, 0.1, 9),
        lambda: OnPlateau(1.0, patience=1),
        lambda: Adaptive(1.0, 0.9),
        lambda: Adaptive(1.0, 0.9, hold=True),
    ]

    def steps(schedule: Any, number: int) -> Any:
        for k in range(number):
            if isinstance(schedule, Adaptive):
                schedule.feed(0.2 + 0.1 * k, 32)
            schedule.step(*([1.0] if isinstance(schedule, OnPlateau) else []))
        return schedule

    for make in makers:
        one, two = steps(make(), 5), make()
        two.load_state_dict(one.state_dict())
        assert two.state_dict() == one.state_dict()
        assert float(steps(one, 2)) == float(steps(two, 2))
        assert f"{float(one):g}" in repr(one)
    with pytest.raises(ValueError, match="of another schedule"):
        Adaptive(1.0).load_state_dict(Geometric(1.0, 0.1, 2).state_dict())


def test_the_chance_that_samples_differ_is_exact_over_a_simplex_and_grows() -> None:
    """1 − Σ p², with p = softmax(−c/σ), falls with 1/σ: its slope is that of a convex function at two places."""
    theta, exact = some_theta(), []
    for sigma in LADDER:
        chance = 1.0 - torch.softmax(-theta / sigma, -1).square().sum(-1)
        samples = 500
        measured = told(
            Perturbed(Enumerated(np.eye(4)), samples=samples, noise="gumbel"), sigma, lambda layer: layer(theta)
        )
        # of neighbours i, i + 1 and i + 1, i + 2 the covariance is at most the variance: 3 × that of independent pairs
        error = float((3 * chance * (1 - chance) / samples).sum().sqrt()) / ROWS
        assert measured == pytest.approx(float(chance.mean()), abs=5 * error + 1e-9)
        exact.append(float(chance.mean()))
    assert exact == sorted(exact)
    assert exact[0] < 0.05 < 0.7 < exact[-1]


@pytest.mark.parametrize(
    ("options", "most"),
    [({}, 0.5), ({"antithetic": True}, 0.5), ({"mode": "multiplicative"}, 0.2)],  # which keeps the signs of θ
)
def test_the_share_that_differs_grows_over_a_hypersimplex(options: dict[str, Any], most: float) -> None:
    theta = some_theta()
    method = Perturbed(Enumerated(HYPERSIMPLEX), samples=200, **options)
    ladder = [sigma for sigma in LADDER if sigma <= 3.0] if "mode" in options else LADDER
    shares = [told(method, sigma, lambda layer: layer(theta)) for sigma in ladder]
    assert shares == sorted(shares)
    assert shares[0] < 0.1 < most < shares[-1]


def test_the_limit_of_the_share_is_that_of_random_subsets() -> None:
    """Of two random pairs out of four, 1/6 are the same, 4/6 share one of three entries, 1/6 none."""
    layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=500)
    measured = told(layer, 1e4, lambda layer: layer(some_theta()))
    assert measured == pytest.approx(4 / 6 * 2 / 3 + 1 / 6, abs=5 * 0.5 / math.sqrt(500 * ROWS / 3))


def test_a_subset_and_its_complement_differ_by_the_same_share() -> None:
    """Of 5 out of 6 entries two samples share at least 4: what is left out tells them apart."""
    for k in (1, 2):
        few = told(Perturbed(TopK(6, k), samples=500), 1.0, lambda layer: layer(some_theta(0, 6)))
        many = told(Perturbed(TopK(6, 6 - k), samples=500), 1.0, lambda layer: layer(-some_theta(0, 6)))
        assert few == pytest.approx(many, abs=5 * 0.5 * math.sqrt(2 * 3 / (500 * ROWS)))


def test_long_rankings_that_all_differ_do_so_by_a_share() -> None:
    theta = some_theta(0, 30)
    shares = [told(Perturbed(Ranking(30), samples=20), sigma, lambda layer: layer(theta)) for sigma in (0.01, 0.1, 1.0)]
    assert shares == sorted(shares)
    assert 0.1 < shares[0] < 0.3 < 0.5 < shares[1] < 0.8 < shares[2] < 1.0


@pytest.mark.parametrize("options", [{"samples": 1}, {"samples": 2, "antithetic": True}])
def test_where_no_two_samples_are_independent_one_more_is_drawn(options: dict[str, Any]) -> None:
    theta = some_theta().repeat(50, 1)
    layer = Perturbed(Enumerated(np.eye(4)), noise="gaussian", **options)
    many = told(Perturbed(Enumerated(np.eye(4)), samples=100), 1.0, lambda layer: layer(theta))
    assert told(layer, 1.0, lambda layer: layer(theta)) == pytest.approx(many, abs=5 * 0.5 / math.sqrt(len(theta)))
    assert layer.stats.solves == len(theta) * (options["samples"] + 1)


def test_the_share_that_a_lambda_moves_grows_to_one() -> None:
    theta, gradient = some_theta(0), some_theta(1)
    gradient[::4] = 0.0  # rows without a gradient do not count
    shares = [
        told(
            Interpolation(Enumerated(HYPERSIMPLEX)), lam, lambda layer: layer(theta.requires_grad_()).backward(gradient)
        )
        for lam in LADDER
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] == pytest.approx(1.0)


def test_a_solver_that_refuses_a_gradient_tells_the_share_of_rows_that_moved() -> None:
    theta = torch.rand(8, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 10.0
    gradient = torch.zeros_like(theta)
    gradient[:4, 1, 1] = -1.0  # no λ = ∞ for a path, but at λ = 1 every row goes through the middle
    layer = Interpolation(ShortestPath.grid(3, neighbors=4))
    expected = 1.0 - float((ShortestPath.grid(3, neighbors=4).solve(theta[:4].flatten(1).numpy()).y[:, 4]).mean())
    share = told(layer, 5.0, lambda layer: (layer(theta.requires_grad_()) * gradient).sum().backward())
    assert share == expected > 0.0


SOFT: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = {
    "rank": (SoftRank, ()),
    "rank, sigmoid": (lambda: SoftRank(method="sigmoid"), ()),
    "sort": (SoftSort, ()),
    "top-k": (lambda: SoftTopK(2), ()),
    "permutation": (SoftPermutation, ()),
    "Spearman": (SpearmanLoss, (some_theta(1, 6),)),
    "NDCG": (SoftNDCGLoss, (some_theta(1, 6).abs(),)),
    "top-k loss": (lambda: SoftTopKLoss(2, method="pav"), (torch.zeros(ROWS, dtype=torch.long),)),
    "trimmed": (TrimmedLoss, ()),
}


@pytest.mark.parametrize("name", SOFT)
def test_the_share_of_soft_entries_grows(name: str) -> None:
    make, targets = SOFT[name]
    shares = [told(make(), strength, lambda module: module(some_theta(0, 6), *targets)) for strength in LADDER]
    assert shares == sorted(shares)
    assert shares[0] < 0.2 < 0.8 < shares[-1]


def test_a_mask_leaves_entries_out_of_the_share() -> None:
    theta = torch.tensor([[1.0, 1.1, 5.0, 9.0]])
    mask = torch.tensor([[True, True, False, False]])
    assert told(SoftRank(), 1.0, lambda module: module(theta)) == 0.5
    assert told(SoftRank(), 1.0, lambda module: module(theta, mask)) == 1.0


def finds(
    method: nn.Module, start: float, call: Callable[[nn.Module], Any], target: float = 0.4, steps: int = 150
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


PLACES: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], Any]]] = {
    "perturbed": (lambda: Perturbed(Enumerated(HYPERSIMPLEX), samples=4), lambda layer: layer(some_theta())),
    "Fenchel–Young": (
        lambda: FenchelYoungLoss(Perturbed(Enumerated(HYPERSIMPLEX), samples=16)),  # one batch decides
        lambda loss: loss(some_theta(), torch.from_numpy(HYPERSIMPLEX[:1]).expand(ROWS, 4)),
    ),
    "interpolation": (
        lambda: Interpolation(Enumerated(HYPERSIMPLEX)),
        lambda layer: layer(some_theta().requires_grad_()).backward(some_theta(1)),
    ),
    "soft rank": (SoftRank, lambda module: module(some_theta(0, 6))),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_start_wrong_by_a_hundred_ends_at_the_target(name: str) -> None:
    make, call = PLACES[name]
    target = 0.1 if name == "interpolation" else 0.4
    place = finds(make(), 1.0, call, target)
    for start in (place, 100.0 * place, 0.01 * place):
        assert told(make(), finds(make(), start, call, target), call) == pytest.approx(target, rel=0.25)


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
    one, low, high = (train(make(), Adaptive(start), loss) for start in (1.0, 0.01, 100.0))
    assert one == low == high
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


def test_a_fenchel_young_loss_measures_for_hold_alone() -> None:
    target = torch.from_numpy(HYPERSIMPLEX[:1]).expand(ROWS, 4)
    for hold, solves in ((True, 2 * ROWS), (False, ROWS)):
        sigma = Adaptive(1.0, hold=hold)
        loss = FenchelYoungLoss(Perturbed(Enumerated(HYPERSIMPLEX), samples=1, sigma=sigma))
        loss(some_theta(), target)
        assert loss.layer.stats.solves == solves


def test_signal_to_noise_grows_and_is_refused_without_samples() -> None:
    theta, gradient = some_theta().requires_grad_(), some_theta(1)

    def backward(layer: nn.Module) -> None:
        layer(theta).backward(gradient)

    ratios = [
        told(Perturbed(Enumerated(np.eye(4)), samples=500), sigma, backward, "snr") for sigma in LADDER[1:5]
    ]  # then it stays
    assert ratios == sorted(ratios)
    one, four = (told(Perturbed(Enumerated(np.eye(4)), samples=m), 1.0, backward, "snr") for m in (100, 400))
    assert four / one == pytest.approx(2.0, rel=0.2)  # of the mean: as √M
    with pytest.raises(ValueError, match="needs samples > 1"):
        told(Perturbed(Enumerated(np.eye(4))), 1.0, backward, "snr")
    with pytest.raises(ValueError, match="signal='moves'"):
        told(FenchelYoungLoss(Perturbed(Enumerated(np.eye(4)), samples=4)), 1.0, lambda loss: loss(theta, theta), "snr")
    with pytest.raises(ValueError, match="needs samples"):
        told(SoftRank(), 1.0, lambda module: module(theta), "snr")


@pytest.mark.parametrize("name", PLACES)
def test_nothing_is_measured_outside_training(name: str) -> None:
    make, call = PLACES[name]
    method = make()
    if name != "interpolation":  # which measures in a backward pass alone
        with torch.no_grad():
            assert math.isnan(told(method, 1.0, call))
    assert math.isnan(told(method.eval(), 1.0, call))
    assert not math.isnan(told(method.train(), 1.0, call))


def test_no_other_temperature_costs_a_solve_or_a_hook() -> None:
    layer = Interpolation(Enumerated(HYPERSIMPLEX), lam=Constant(1.0))
    layer(some_theta().requires_grad_()).backward(some_theta(1))
    assert layer.stats.solves == 2 * ROWS
    module = SoftRank(regularization_strength=Adaptive(1.0))
    assert len(module._forward_pre_hooks) == 1
    module.temperature = Constant(1.0)
    assert not module._forward_pre_hooks
