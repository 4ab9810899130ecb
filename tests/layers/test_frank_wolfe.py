"""Regularized argmin: closed forms, enumeration of the hull, derivatives, and its potential."""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import FenchelYoungLoss, FrankWolfe, Interpolation, Solutions, Solver, Status
from combdiff.errors import SolverError
from combdiff.layers.regularizers import Entropy, Quadratic, Regularizer
from combdiff.solvers import KSubset, Ranking, ShortestPath, TopK
from combdiff.temperature import Adaptive
from combdiff.testing import HYPERSIMPLEX, Enumerated, SmoothedLayerContract

GENERATOR = torch.Generator().manual_seed(0)
THETA = torch.randn(40, 4, generator=GENERATOR, dtype=torch.float64)


class Fourth(Regularizer):
    """Σ j μⱼ⁴ + ½ (Σ μ)² + ‖μ‖², of which only value and gradient are given."""

    def value(self, mu: Tensor) -> Tensor:
        scale = torch.arange(1.0, 1.0 + mu.shape[1]).to(mu)
        return (scale * mu**4 + mu**2).sum(-1) + mu.sum(-1) ** 2 / 2

    def gradient(self, mu: Tensor) -> Tensor:
        scale = torch.arange(1.0, 1.0 + mu.shape[1]).to(mu)
        return scale * 4 * mu**3 + 2 * mu + mu.sum(-1, keepdim=True)


class TestQuadratic(SmoothedLayerContract):
    calls = None
    options: ClassVar[dict[str, Any]] = {}

    def make(self, solver: Solver, on_failure: Any = "raise") -> FrankWolfe:
        return FrankWolfe(solver, epsilon=0.8, on_failure=on_failure, **self.options)


class TestEntropy(TestQuadratic):
    options: ClassVar[dict[str, Any]] = {"omega": "entropy"}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


class TestOwn(TestQuadratic):
    options: ClassVar[dict[str, Any]] = {"omega": Fourth()}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


def sparsemax(scores: Tensor) -> Tensor:
    """The projection onto the simplex, by sorting (Martins & Astudillo 2016, algorithm 1)."""
    ordered = scores.sort(-1, descending=True).values
    count = torch.arange(1, scores.shape[-1] + 1).to(scores)
    total = ordered.cumsum(-1) - 1
    size = (count * ordered > total).sum(-1, keepdim=True)
    return (scores - total.gather(-1, size - 1) / size).clamp(min=0)


def jacobian(function: Any, theta: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda part: function(part).sum(0), theta)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize(("omega", "exact"), [("quadratic", sparsemax), ("entropy", lambda x: torch.softmax(x, -1))])
def test_over_one_hot_vectors_it_is_sparsemax_and_softmax(omega: Any, exact: Any, sense: str) -> None:
    sign = 1.0 if sense == "max" else -1.0
    layer = FrankWolfe(TopK(4, 1, sense), 0.6, omega)
    torch.testing.assert_close(layer(THETA), exact(sign * THETA / 0.6))
    torch.testing.assert_close(jacobian(layer, THETA), jacobian(lambda x: exact(sign * x / 0.6), THETA))


def capped(scores: Tensor, k: int) -> Tensor:
    """The projection onto 0 ≤ μ ≤ 1, Σ μ = k, by bisection."""
    low, high = scores.amin(-1, keepdim=True) - 1, scores.amax(-1, keepdim=True)
    for _ in range(80):
        middle = (low + high) / 2
        much = (scores - middle).clamp(0, 1).sum(-1, keepdim=True) > k
        low, high = torch.where(much, middle, low), torch.where(much, high, middle)
    return (scores - low).clamp(0, 1)


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 5.0])
def test_over_subsets_it_is_the_projection_onto_the_capped_simplex(epsilon: float) -> None:
    theta = torch.randn(30, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layer = FrankWolfe(TopK(8, 3), epsilon)
    y = layer(theta)
    torch.testing.assert_close(y, capped(theta / epsilon, 3), rtol=0, atol=1e-9)
    assert layer.stats.solves < 30 * 20
    inside = (y > 1e-9) & (y < 1 - 1e-9)  # the derivative: the mean over these is taken off, the others stay
    gain = torch.randn(30, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    point = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(point), point, gain)
    centred = gain - (gain * inside).sum(-1, keepdim=True) / inside.sum(-1, keepdim=True).clamp(min=1)
    torch.testing.assert_close(gradient, centred * inside / epsilon, rtol=0, atol=1e-8)


@pytest.mark.parametrize("omega", ["quadratic", "entropy", Fourth()])
@pytest.mark.parametrize("solver", [Enumerated(HYPERSIMPLEX), Ranking(4)], ids=["subsets", "rankings"])
def test_optimality_and_gradcheck(solver: Any, omega: Any) -> None:
    """No vertex is better along the gradient at μ; the Jacobian is that of the function."""
    layer = FrankWolfe(solver, 0.7, omega)
    mu = layer(THETA).detach()
    sign = solver.sense.sign
    slope = sign * THETA + 0.7 * layer.omega.gradient(mu)
    best = torch.from_numpy(solver.solve((sign * slope).numpy()).y)
    gap, size = (slope * (mu - best)).sum(-1), (slope.abs() * (mu + best)).sum(-1)
    assert (gap < 1e-10 * size).all()
    assert torch.autograd.gradcheck(layer, THETA[:6].clone().requires_grad_(), atol=1e-5)


def test_the_mean_solution_is_in_the_hull_of_paths_and_positive_costs_stay_positive() -> None:
    layer = FrankWolfe(ShortestPath.grid(6, neighbors=4, negative="raise"), 0.5)
    costs = torch.rand(5, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = layer(costs)
    assert ((y >= 0) & (y <= 1 + 1e-12)).all()
    diagonals = [sum(y[:, i, d - i] for i in range(6) if 0 <= d - i < 6) for d in range(11)]
    flow = torch.stack([torch.as_tensor(one) for one in diagonals], 1)
    assert (flow >= 1 - 1e-9).all()  # every path crosses every diagonal
    assert not layer.needs.negative


def test_small_epsilon_is_the_solver_and_large_epsilon_the_point_of_least_omega() -> None:
    points = Enumerated(HYPERSIMPLEX)
    torch.testing.assert_close(FrankWolfe(points, 1e-6)(THETA).detach().numpy(), points.solve(THETA.numpy()).y)
    torch.testing.assert_close(FrankWolfe(points, 1e6)(THETA), torch.full_like(THETA, 0.5), rtol=0, atol=1e-5)


@pytest.mark.parametrize("omega", ["quadratic", "entropy"])
def test_the_fenchel_young_loss_is_at_least_zero_and_zero_at_its_target(omega: Any) -> None:
    layer = FrankWolfe(Enumerated(HYPERSIMPLEX), 0.7, omega)
    loss = FenchelYoungLoss(layer, "none")
    for target in (torch.from_numpy(HYPERSIMPLEX[torch.arange(40) % 6]), layer(THETA).detach().flip(0)):
        assert (loss(THETA, target) > -1e-12).all()
    torch.testing.assert_close(loss(THETA, layer(THETA).detach()), torch.zeros(40, dtype=torch.float64))


class Priced(Enumerated):
    """Each point has a price of its own beside ⟨θ, y⟩."""

    prices = np.array([0.0, 0.9, -0.4, 0.3, 1.1, 0.2])

    def solve_checked(self, theta: Any, instances: Any) -> Solutions:
        value = theta @ self.points.T + self.prices
        at = value.argmin(1)
        return Solutions(self.points[at], value.min(1), bound=value.min(1), status=np.zeros(len(theta), dtype=np.uint8))


def test_a_term_of_the_solver_counts() -> None:
    """Against a projected gradient on the weights of all points."""
    solver = Priced(HYPERSIMPLEX)
    layer = FrankWolfe(solver, 0.5)
    points, prices = torch.from_numpy(HYPERSIMPLEX), torch.from_numpy(solver.prices)
    weights = torch.full((40, 6), 1 / 6, dtype=torch.float64)
    for _ in range(3000):
        mu = weights @ points
        weights = sparsemax(weights - 0.2 * ((THETA + 0.5 * mu) @ points.T + prices))
    mu = weights @ points
    torch.testing.assert_close(layer(THETA), mu, rtol=0, atol=1e-6)
    least = (THETA * mu).sum(-1) + weights @ prices + 0.25 * mu.square().sum(-1)
    torch.testing.assert_close(layer.potential(THETA), least, rtol=0, atol=1e-9)


def test_instances_go_with_their_rows_through_the_rounds() -> None:
    allowed = torch.rand(20, 6, generator=torch.Generator().manual_seed(0)) < 0.8
    allowed[:, :3] = True
    theta = torch.randn(20, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    layer = FrankWolfe(KSubset(6, 2), 1.0)
    y = layer(theta, {"allowed": allowed})
    assert (y[~allowed] == 0).all()
    for row in range(20):
        open_ = allowed[row]
        torch.testing.assert_close(y[row, open_], capped(theta[row, open_], 2), rtol=0, atol=1e-9)


def test_rows_that_are_cut_short_say_so() -> None:
    layer = FrankWolfe(TopK(8, 3), 5.0, max_solves=2)
    layer(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
    assert layer.last is not None
    assert layer.last.status.tolist() == [Status.FEASIBLE] * 4
    assert "max_solves=2" in layer.last.messages[0]


class Later(Enumerated):
    """Fails in the second round of the second row."""

    rounds = 0

    def solve_checked(self, theta: Any, instances: Any) -> Solutions:
        self.rounds += 1
        found = super().solve_checked(theta, None)
        bad = (theta[:, 3] > 50) & (self.rounds > 1)
        y = np.where(bad[:, None], np.nan, found.y)
        status = np.where(bad, Status.ERROR, found.status).astype(np.uint8)
        return Solutions.from_y(y, theta, self.sense, status, {int(row): "broke" for row in np.flatnonzero(bad)})


def test_a_row_that_fails_in_a_later_round_is_named_or_masked() -> None:
    theta = torch.zeros(3, 4, dtype=torch.float64)
    theta[1, 3], theta[0, 0] = 100.0, 100.0  # row 0 is done at once, or nearly
    with pytest.raises(SolverError, match="row 1: ERROR: broke") as caught:
        FrankWolfe(Later(HYPERSIMPLEX), 1.0)(theta)
    assert caught.value.rows == [1]
    y = FrankWolfe(Later(HYPERSIMPLEX), 1.0, on_failure="mask")(theta)
    assert y.isnan().any(1).tolist() == [False, True, False]


def test_measured_temperatures() -> None:
    theta, gain = torch.randn(2, 40, 6, generator=torch.Generator().manual_seed(0))
    shares = []
    for epsilon in (0.01, 1.0, 100.0):
        schedule = Adaptive(epsilon, hold=True)
        FrankWolfe(TopK(6, 2), schedule)(theta.clone().requires_grad_())
        shares.append(schedule.measured)
    assert 0.0 <= shares[0] < shares[1] < shares[2] < 0.9
    layer = FrankWolfe(TopK(6, 2), "auto")
    layer(theta.clone().requires_grad_()).backward(gain)
    assert 0.01 < float(layer.epsilon) < 1e3
    loss = FenchelYoungLoss(layer := FrankWolfe(TopK(6, 2), "auto"))
    loss(theta, torch.eye(6)[:2].sum(0).expand(40, 6))
    assert 0.01 < float(layer.epsilon) < 1e4


def test_regularizers_have_the_derivatives_that_they_say() -> None:
    mu = torch.rand(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    for omega in (Quadratic(), Entropy(), Fourth()):
        (slope,) = torch.autograd.grad(omega.value(mu).sum(), mu)
        torch.testing.assert_close(slope, omega.gradient(mu.detach()))
        given, whole = omega.hessian(mu.detach()), Regularizer.hessian(omega, mu)
        torch.testing.assert_close(given if given.ndim == 3 else torch.diag_embed(given), whole)


def test_bad_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="use signal='moves'"):
        FrankWolfe(TopK(3), Adaptive(1.0, signal="snr"))(torch.rand(3, requires_grad=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"epsilon": 0.0}, "epsilon=0"), ({"omega": "cubic"}, "omega='cubic'"), ({"max_solves": 0}, "max_solves=0")],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrankWolfe(TopK(3), **options)


def test_bad_solutions_for_entropy_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not negative, but an entry is -1\.0"):
        FrankWolfe(Enumerated(HYPERSIMPLEX - 1.0), omega="entropy")(torch.rand(2, 4))


def test_bad_layers_for_a_fenchel_young_loss_are_refused_with_the_reason() -> None:
    with pytest.raises(TypeError, match=r"Interpolation has no potential \(its gradient is a finite difference"):
        FenchelYoungLoss(Interpolation(TopK(3)))  # type: ignore[arg-type]
