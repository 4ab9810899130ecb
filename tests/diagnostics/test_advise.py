"""What the adviser measures is what the method does, and what it proposes follows."""

import logging
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from combdiff import FenchelYoungLoss, GumbelTopK, Interpolation, Perturbed, SoftTopKLoss, SpearmanLoss
from combdiff.diagnostics import Advice, Rung, advise
from combdiff.diagnostics.advice import propose
from combdiff.soft import SoftRank, soft_rank
from combdiff.solvers import ShortestPath, TopK
from combdiff.temperature import Adaptive, Auto

ROWS, N = 48, 6


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*(shape or (ROWS, N)), generator=torch.Generator().manual_seed(seed))


THETA = draw(0)
SOLVER = TopK(N, 2)
TARGET = torch.from_numpy(SOLVER.solve(draw(1).double().numpy()).y).float()
RANKS = draw(1)
METHODS: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...], dict[str, Any]]] = {
    "Fenchel–Young": (lambda: FenchelYoungLoss(Perturbed(SOLVER, samples=4)), (TARGET,), {}),
    "perturbed": (lambda: Perturbed(SOLVER, samples=4), (TARGET,), {}),
    "perturbed, of a loss": (lambda: Perturbed(SOLVER, samples=4), (), {"loss": lambda y: (y - TARGET).abs().mean()}),
    "interpolation": (lambda: Interpolation(SOLVER), (TARGET,), {}),
    "interpolation, of a gradient": (lambda: Interpolation(SOLVER), (), {"gradient": draw(2)}),
    "soft rank": (
        SoftRank,
        (),
        {"loss": lambda r: (r - soft_rank(RANKS, regularization_strength=0.0)).square().mean()},
    ),
    "Spearman": (SpearmanLoss, (RANKS,), {}),
    "top-k loss": (lambda: SoftTopKLoss(2), (torch.zeros(ROWS, dtype=torch.long),), {}),
}


@pytest.mark.parametrize("name", METHODS)
def test_nine_temperatures_over_four_decades_and_one_is_proposed(name: str) -> None:
    make, args, kwargs = METHODS[name]
    advice = advise(make(), THETA, *args, **kwargs)
    ladder = [rung.temperature for rung in advice.table]
    assert len(ladder) == 9
    assert ladder[-1] / ladder[0] == pytest.approx(1e4)
    assert ladder[0] < advice.temperature <= ladder[-1]
    moves = [rung.moves for rung in advice.table]
    assert moves[0] < 0.3
    assert moves[-1] > 0.6
    assert max(rung.progress for rung in advice.table) > 0.1
    assert "hard loss" in advice.reason
    assert f"temperature {advice.temperature:.3g}" in repr(advice)
    assert (advice.samples is None) == ("Young" not in name and "perturbed" not in name)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_neither_a_wrong_start_nor_the_scale_misleads(name: str, factor: float) -> None:
    """The method's own temperature counts for nothing; that of θ, and of λ's ∂L/∂y, is met (a float32 apart)."""
    make, args, kwargs = METHODS[name]
    one, other = make(), make()
    other.temperature = factor * float(one.temperature)  # type: ignore[arg-type, assignment]
    advice = advise(one, THETA, *args, **kwargs)
    assert advise(other, THETA, *args, **kwargs).temperature == advice.temperature
    if "loss" not in name or name == "perturbed, of a loss":
        scaled = advise(one, factor * THETA, *args, **kwargs).temperature
        assert scaled == pytest.approx(factor * advice.temperature, rel=0.02)
    assert float(one.temperature) == float(make().temperature)  # type: ignore[arg-type]


def test_the_columns_are_what_they_say() -> None:
    """Against the limits: no noise moves nothing, and its Fenchel–Young gradient is ȳ − y(c), without bias."""
    advice = advise(FenchelYoungLoss(Perturbed(SOLVER, samples=8)), THETA, TARGET, temperatures=[1e-7, 1.0, 1e7])
    cold, warm, hot = advice.table
    assert cold.moves == cold.bias == 0.0
    assert math.isnan(cold.snr)  # no sample differs from another
    wrong = (torch.from_numpy(SOLVER.solve(THETA.double().numpy()).y) != TARGET).any(1)
    assert cold.zeros == pytest.approx(1.0 - float(wrong.double().mean()))
    assert 0.0 < warm.bias < hot.bias
    assert warm.snr > hot.snr > 0.0
    layer = Perturbed(SOLVER, 1.0, 8, generator=torch.Generator().manual_seed(0))
    layer.temperature = schedule = Adaptive(1.0, hold=True)
    copies = THETA.expand(200, ROWS, N).clone().requires_grad_()
    loss = FenchelYoungLoss(layer, reduction="sum")(copies, TARGET.expand_as(copies))
    assert warm.moves == pytest.approx(schedule.measured, abs=5 * 0.5 / math.sqrt(ROWS * 8))
    (gradients,) = torch.autograd.grad(loss, copies)
    noise = gradients.var(0).sum()
    signal = gradients.mean(0).square().sum() - noise / len(gradients)
    assert warm.snr == pytest.approx(float((signal / noise).sqrt()), rel=0.1)  # of four estimates: ± 3 %


PLACES = [10 ** (at / 2 - 1.5) for at in range(9)]  # 0.03 to 316
FLAT, NONE = [1.0] * 9, [math.nan] * 9
FALLING = [20.0, 10.0, 7.0, 4.2, 2.9, 2.8, 2.8, 2.8, 2.8]


@pytest.mark.parametrize(
    ("snr", "moves", "gain", "at"),
    [
        (NONE, [0.9] * 9, [0.3] * 9, 8),
        (FLAT, [0.9] * 9, [0.3] * 9, 8),
        (FLAT[::-1], [0.9] * 9, [0.3] * 6 + [0.2] * 3, 5),  # progress
        (FALLING, [0.9] * 9, [0.3] * 9, 7),  # a third of the growth
        ([*FALLING[:5], 2.8, 2.8, 1.9, 1.8], [0.9] * 9, [0.3] * 9, 6),  # clearer within a decade
        ([99.0, 99.0, *FLAT[2:]], [0.1, 0.2] + [0.9] * 7, [0.3] * 9, 8),  # nothing moves, and nothing is noise
        (NONE, [0.1] * 4 + [0.9] * 5, None, 8),  # of a task that is not known
        (NONE, [0.1] * 9, None, 4),
        (FLAT, [0.9] * 9, [-0.1] * 9, 4),
    ],
)
def test_as_high_as_progress_and_noise_allow(
    snr: list[float], moves: list[float], gain: list[float] | None, at: int
) -> None:
    nan = math.nan
    columns = zip(PLACES, moves, snr, gain or NONE, strict=True)
    table = [Rung(place, move, 0.0, ratio, nan, nan, progress) for place, move, ratio, progress in columns]
    assert propose(table, PLACES[8], PLACES[7])[0] == pytest.approx(PLACES[at])


def test_growth_is_the_limit_where_the_task_is_not_known() -> None:
    unit = float(THETA.std(1, correction=0).mean())
    for method in (SoftRank(), Perturbed(SOLVER, samples=4)):
        assert advise(method, THETA).temperature == pytest.approx(10**2.5 * unit)
        assert 0.1 * unit <= advise(method, THETA, growth=1.0).temperature <= 1.01 * unit


def test_interpolation_is_told_the_gradient_of_the_whole_batch() -> None:
    """A mean over 480 rows has a tenth of the gradient of a mean over 48: λ is ten times as large."""
    many, target = THETA.repeat(10, 1), TARGET.repeat(10, 1)
    one = advise(Interpolation(SOLVER), THETA, loss=lambda y: (y - TARGET).square().mean())
    ten = advise(Interpolation(SOLVER), many, target, loss=nn.functional.mse_loss)
    assert ten.temperature == pytest.approx(10 * one.temperature, rel=0.5)
    layer = Interpolation(SOLVER, lam=ten.temperature)
    theta = many.clone().requires_grad_()
    torch.autograd.backward(nn.functional.mse_loss(layer(theta), target))
    assert bool((theta.grad != 0).any(1).double().mean() > 0.3)  # type: ignore[union-attr]


def test_more_noise_needs_more_samples() -> None:
    wanted = [advise(Perturbed(TopK(n, 2), samples=4), draw(0, 64, n), draw(1, 64, n)).samples for n in (4, 64)]
    assert 1 <= wanted[0] < wanted[1] <= 128  # type: ignore[operator]


def test_batch_dimensions_and_the_shapes_of_a_solver_are_kept() -> None:
    solver = ShortestPath.grid(4, negative="clamp")
    theta = draw(0, 3, 5, 4, 4).abs() + 0.5
    target = draw(1, 3, 5, 4, 4)
    loss = FenchelYoungLoss(Perturbed(solver, samples=4))
    flat = advise(loss, theta.reshape(15, 4, 4), target.reshape(15, 4, 4))
    assert advise(loss, theta, target).temperature == flat.temperature
    assert advise(loss, theta[0, 0], target[0, 0]).temperature > 0  # no batch dimension
    shapes = []

    def task(y: Tensor, target: Tensor) -> Tensor:
        shapes.append(y.shape)
        return (y - target).square().sum()

    advise(Perturbed(solver, samples=4), theta, target, loss=task)
    assert set(shapes) == {theta.shape}


@pytest.mark.parametrize(
    ("make", "solves"),
    [
        (Interpolation, 1 + 1 + 9),  # y(c), the gradient, second solves
        (lambda solver: Perturbed(solver, samples=4), 2 + 9 * 32),  # y(c) of the batch and of the rows, samples
    ],
)
def test_the_solves_that_the_rungs_share_are_made_once(make: Callable[[TopK], nn.Module], solves: int) -> None:
    rows = 0

    class Counting(TopK):
        def solve_checked(self, theta: Any, instances: Any) -> Any:
            nonlocal rows
            rows += len(theta)
            return super().solve_checked(theta, instances)

    advise(make(Counting(N, 2)), THETA, TARGET)
    assert rows <= ROWS * (solves + 9 * 3)  # and three steps


@pytest.mark.parametrize("samples", [1, 4])
def test_every_rung_has_the_same_noise(samples: int) -> None:
    layer = Perturbed(SOLVER, samples=samples)
    low, high = advise(layer, THETA, TARGET, temperatures=[0.7, 0.7 + 1e-6]).table
    assert low.moves == high.moves > 0.2
    assert low.snr == pytest.approx(high.snr, rel=1e-4)


def test_the_layer_of_the_user_stays_as_it_is() -> None:
    layer = Perturbed(SOLVER, samples=4)
    loss = FenchelYoungLoss(layer)
    state = torch.random.get_rng_state()
    advise(loss, THETA, TARGET)
    assert layer.stats.solves == 0
    assert layer.last is None
    assert (loss.layer, loss.reduction, layer.sigma) == (layer, "mean", 1.0)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("name", METHODS)
def test_auto_measures_at_the_first_batch_and_says_so_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    make, args, kwargs = METHODS[name]
    method = make()
    method.temperature = "auto"  # type: ignore[assignment]
    auto: Any = method.temperature
    with pytest.raises(ValueError, match="before the first batch"):
        float(auto)
    with caplog.at_level(logging.INFO, "combdiff"):
        for factor in (1.0, 10.0):
            theta = (factor * THETA).requires_grad_()
            out = method(theta, *(args if "Young" in name or "loss" in name or name == "Spearman" else ()))
            (kwargs["loss"](out) if "loss" in kwargs else out.square().sum()).backward()
    (record,) = caplog.records
    assert type(method).__name__ in record.getMessage()
    assert auto.advice.reason in record.getMessage()
    assert float(auto) == auto.advice.temperature
    assert isinstance(auto.advice, Advice)
    other = Auto()
    other.load_state_dict(auto.state_dict())
    assert float(other) == float(auto)


@pytest.mark.parametrize("scale", [0.03, 1.0])
def test_a_temperature_beside_noise_of_its_own_does_not_follow_theta(scale: float) -> None:
    advice = advise(GumbelTopK(SOLVER), scale * THETA, TARGET)
    assert advice.unit == 0.1
    assert 0.1 <= advice.temperature <= 1.0


def test_the_plot_shows_what_was_measured() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    axes = advise(FenchelYoungLoss(Perturbed(SOLVER, samples=4)), THETA, TARGET).plot()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:5] == ["moves", "zeros", "snr", "bias", "cosine"]
    assert axes.get_xscale() == "log"


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="Linear has no temperature"):
        advise(nn.Linear(2, 2), THETA)
    with pytest.raises(ValueError, match="give target="):
        advise(FenchelYoungLoss(Perturbed(SOLVER)), THETA)
    with pytest.raises(ValueError, match="at least one row"):
        advise(Perturbed(SOLVER), THETA[:0])


def test_importing_the_package_loads_no_diagnostics() -> None:
    check = (
        "import combdiff, sys; assert not any('diagnostics' in name for name in sys.modules);"
        "combdiff.diagnostics.advise; assert 'matplotlib' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
