"""One set of solves used again, and scrambled Sobol points."""

import math
from typing import Any, ClassVar

import pytest
import torch

from combdiff import FenchelYoungLoss, Perturbed
from combdiff.layers.draws import sobol
from combdiff.solvers import Ranking, TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated
from tests.layers.estimates import repeated, standard_errors

THETA = torch.tensor([0.3, -0.5, 0.9, 0.2], dtype=torch.float64)


@pytest.mark.parametrize("noise", ["gaussian", "gumbel", "laplace", "logistic"])
@pytest.mark.parametrize("sense", ["min", "max"])
def test_draws_at_their_own_point_are_the_layer(sense: str, noise: Any) -> None:
    """The value exactly; the gradient up to (M − 1)/M, since the mean taken off holds the sample itself."""
    theta = THETA.expand(6, 4).clone().requires_grad_()
    gain, found = torch.linspace(-1.0, 2.0, 4).double(), []
    for again in (False, True):
        layer = Perturbed(Enumerated(HYPERSIMPLEX, sense), 0.6, 12, noise, generator=torch.Generator().manual_seed(0))
        y = layer.draw(theta).mean(theta) if again else layer(theta)
        found.append((y.detach(), torch.autograd.grad((y * gain).sum(), theta)[0]))
        assert layer.stats.solves == 6 * 12
    torch.testing.assert_close(found[1][0], found[0][0])
    torch.testing.assert_close(found[1][1], found[0][1] * 11 / 12)
    assert layer.stats.effective == pytest.approx(12)


@pytest.mark.parametrize("sense", ["min", "max"])
def test_weighed_samples_are_those_of_the_other_theta_and_sigma(sense: str) -> None:
    """With Gumbel noise over one-hot vectors: softmax, its Jacobian by autograd. Many draws of M = 2000, whose bias,
    of the order of 1/M, is below their standard error."""
    torch.manual_seed(0)
    sign = 1.0 if sense == "max" else -1.0
    layer = Perturbed(TopK(4, 1, sense), 0.7, 2000, noise="gumbel")
    other = (THETA + torch.tensor([0.05, -0.05, 0.02, 0.03])).expand(300, 4).clone().requires_grad_()
    y = layer.draw(THETA.expand(300, 4)).mean(other, sigma=0.72)
    exact = torch.softmax(sign * other / 0.72, -1)
    assert (standard_errors(y.detach(), exact[0].detach()) < 5).all()
    gain = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    (gradient,), (slope,) = (torch.autograd.grad(one @ gain, other, torch.ones(300).double()) for one in (y, exact))
    assert (standard_errors(gradient, slope[0]) < 5).all()
    assert 1000 < layer.stats.effective < 2000


def test_draws_are_a_function_of_theta_with_right_derivatives() -> None:
    torch.manual_seed(0)
    draws = Perturbed(Enumerated(HYPERSIMPLEX), 1.0, 30).draw(THETA.expand(3, 4))
    theta = (THETA + 0.02 * torch.randn(3, 4).double()).requires_grad_()
    assert torch.autograd.gradcheck(draws.mean, theta)
    assert torch.autograd.gradgradcheck(draws.mean, theta)


@pytest.mark.parametrize(("entries", "refused"), [(4, False), (40, True), (144, True)])
def test_too_few_effective_samples_are_refused(entries: int, refused: bool) -> None:
    """At 0.8 σ; the exact E[w²]/E[w]² of Gaussian noise is (ρ² √(2/ρ² − 1))⁻ⁿ with ρ = 0.8."""
    torch.manual_seed(0)
    layer = Perturbed(TopK(entries), 1.0, 4000)
    draws = layer.draw(torch.zeros(1, entries))
    if not refused:
        draws.mean(torch.zeros(1, entries), 0.8)
        exact = 4000 * (0.8**2 * math.sqrt(2 / 0.8**2 - 1)) ** entries
        assert layer.stats.effective == pytest.approx(exact, rel=0.1)
        return
    with pytest.raises(ValueError, match=r"of 4000 samples .* are left in row 0 .* less than half: draw again"):
        draws.mean(torch.zeros(1, entries), 0.8)
    assert layer.stats.effective < 2000
    assert math.isnan(layer.stats.reset().effective)


def test_rows_that_failed_stay_masked_and_bad_calls_are_refused() -> None:
    layer = Perturbed(Enumerated(HYPERSIMPLEX), 1.0, 4, on_failure="mask")
    draws = layer.draw(torch.zeros(2, 4), [range(6), []])
    assert draws.mean(torch.zeros(2, 4)).isnan().all(1).tolist() == [False, True]
    with pytest.raises(ValueError, match="theta has 3 rows, but 2 were drawn"):
        draws.mean(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="sigma=-1"):
        draws.mean(torch.zeros(2, 4), -1.0)
    with pytest.raises(ValueError, match="use mode='additive'"):
        Perturbed(TopK(4), mode="multiplicative").draw(torch.ones(2, 4))


class TestSobol:
    options: ClassVar[dict[str, Any]] = {"scrambles": 2}

    def test_each_sequence_is_evenly_spread_and_rows_are_independent(self) -> None:
        points = sobol((2, 16, 50, 3), torch.device("cpu"), torch.Generator().manual_seed(0))
        places = (points * 16).long().sort(1).values
        assert torch.equal(places, torch.arange(16)[None, :, None, None].expand_as(places))
        assert len({tuple(one.tolist()) for one in points[:, :, :, 0].transpose(1, 2).reshape(100, 16)}) == 100
        assert (points > 0).all()
        assert (points < 1).all()

    @pytest.mark.parametrize(("samples", "scrambles"), [(8, 1), (8, 2), (12, 4)])
    @pytest.mark.parametrize("noise", ["gumbel"])
    def test_value_and_jacobian_are_unbiased(self, noise: Any, samples: int, scrambles: int) -> None:
        """Softmax, within 5 standard errors, with the leave-one-out across the scrambles."""
        torch.manual_seed(0)
        layer = Perturbed(TopK(4), 0.7, samples, noise, scrambles=scrambles)
        assert layer.variance_reduction == (scrambles > 1)
        y, jacobian = repeated(layer, THETA, 20_000)
        exact = torch.softmax(THETA / 0.7, 0)
        slope = (torch.diag(exact) - torch.outer(exact, exact)) / 0.7
        assert (standard_errors(y, exact) < 5).all()
        assert (standard_errors(jacobian, slope) < 5).all()

    def test_sobol_points_lower_the_variance_of_y(self) -> None:
        """By more than 5 standard errors of the difference between groups of rows."""
        spread = []
        for scrambles in (None, 1):
            torch.manual_seed(0)
            y = Perturbed(Ranking(5), 1.0, 32, scrambles=scrambles)(torch.zeros(20, 200, 5))
            spread.append(y.var(1).sum(-1))
        error = torch.sqrt((spread[0].var() + spread[1].var()) / 20)
        assert spread[0].mean() - spread[1].mean() > 5 * error

    def test_a_fenchel_young_loss_takes_them(self) -> None:
        theta = torch.rand(3, 4, requires_grad=True)
        FenchelYoungLoss(Perturbed(TopK(4), samples=4, scrambles=2))(theta, torch.eye(4)[:3]).backward()
        assert theta.grad is not None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"samples": 4, "scrambles": 3}, "samples=4 must be a multiple of scrambles=3"),
            ({"samples": 4, "scrambles": 8}, "multiple"),
            ({"samples": 4, "scrambles": 0}, "scrambles=0"),
            ({"samples": 4, "scrambles": 2, "antithetic": True}, "without antithetic"),
            ({"samples": 4, "scrambles": 1, "variance_reduction": True}, "more than one"),
            ({"samples": 4, "scrambles": 2, "noise": "sum-of-gamma"}, "define its method quantile"),
        ],
    )
    def test_bad_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Perturbed(TopK(3), **options)

    def test_bad_sizes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="30000 entries, but a Sobol sequence at most 21201"):
            Perturbed(TopK(30_000), samples=2, scrambles=1)(torch.zeros(30_000))
