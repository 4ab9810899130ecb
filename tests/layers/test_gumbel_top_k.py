import itertools
import math
from typing import Any, ClassVar

import pytest
import torch

from combdiff import GumbelTopK, Solver
from combdiff.layers.gumbel_top_k import relaxed_subset
from combdiff.solvers import KSubset, Ranking, TopK
from combdiff.temperature import Adaptive
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract
from tests.layers.estimates import same_noise_in_every_row

THETA = torch.tensor([0.3, -0.5, 0.9, 0.2], dtype=torch.float64)


class TestHard(LayerContract):
    options: ClassVar[dict[str, Any]] = {}

    def make(self, solver: Solver, on_failure: Any = "raise") -> GumbelTopK:
        return GumbelTopK(solver, tau=0.7, on_failure=on_failure, **self.options)

    def freeze(self, layer: Any) -> Any:
        return same_noise_in_every_row(layer)


class TestRelaxed(TestHard):
    options: ClassVar[dict[str, Any]] = {"hard": False}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace

    def test_instances_are_of_their_rows(self) -> None:
        """Of the hard answers; the relaxation puts a little on every entry."""

    def test_answers_lie_in_the_hull(self) -> None:
        """The relaxation does not: it sums to k, and that is all."""
        y, gradient = self.value_and_gradient(self.layer(), self.theta(6))
        torch.testing.assert_close(y.sum(-1), torch.full_like(y.sum(-1), 2.0))
        assert (y >= 0).all()
        assert torch.isfinite(gradient).all()

    @pytest.mark.parametrize("sense", ["min", "max"])
    def test_gradcheck(self, sense: str) -> None:
        assert torch.autograd.gradcheck(self.layer(sense), self.theta(3))


@pytest.mark.parametrize("sense", ["min", "max"])
def test_the_subsets_are_drawn_without_replacement(sense: str) -> None:
    """Plackett–Luce: the probability of each pair, by enumeration of the orders, within 5 standard errors."""
    torch.manual_seed(0)
    sign, draws = 1.0 if sense == "max" else -1.0, 200_000
    y = GumbelTopK(TopK(4, 2, sense))(THETA.expand(draws, 4))
    weight = torch.exp(sign * THETA)
    for pair in itertools.combinations(range(4), 2):
        exact = 0.0
        for first, second in itertools.permutations(pair):
            exact += float(weight[first] / weight.sum() * weight[second] / (weight.sum() - weight[first]))
        share = float(y[:, pair].all(1).double().mean())
        assert abs(share - exact) < 5 * math.sqrt(exact * (1 - exact) / draws)


@pytest.mark.parametrize("hard", [True, False])
def test_the_gradient_is_that_of_successive_softmaxes(hard: bool) -> None:
    """By autograd through a plain loop; the sample of a maximum is of θ + Gumbel noise."""
    tau, gain = 0.6, torch.randn(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theta = torch.randn(20, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    layer = GumbelTopK(TopK(5, 2), tau, hard, torch.Generator().manual_seed(3))
    y = layer(theta)
    (gradient,) = torch.autograd.grad(y, theta, gain)
    assert layer.generator is not None
    noise = GumbelTopK(TopK(5, 2), generator=layer.generator.manual_seed(3)).sample_noise(theta)[0]
    keys = theta - noise
    first = torch.softmax(keys / tau, -1)
    total = first + torch.softmax((keys + torch.log(1 - first)) / tau, -1)
    torch.testing.assert_close(gradient, torch.autograd.grad(total, theta, gain)[0])
    chosen = torch.zeros_like(keys).scatter_(1, keys.topk(2).indices, 1.0)
    torch.testing.assert_close(y.detach(), chosen if hard else total.detach())


def test_one_of_n_is_the_gumbel_softmax() -> None:
    theta = torch.randn(10, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(relaxed_subset(theta, torch.ones(10), 0.3), torch.softmax(theta / 0.3, -1))


def test_the_relaxation_sums_to_k_and_tends_to_the_subset() -> None:
    theta = torch.randn(50, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    k = torch.arange(50) % 7
    for tau in (0.01, 1.0, 100.0):
        torch.testing.assert_close(relaxed_subset(theta, k, tau).sum(-1), k.double())
    hard = (theta.argsort(1, descending=True).argsort(1) < k[:, None]).double()
    assert (relaxed_subset(theta, k, 1e-3) - hard).abs().mean() < 0.01


def test_entries_that_an_instance_excludes_get_no_gradient_where_that_is_seen() -> None:
    theta = torch.zeros(2, 5)
    theta[:, 0] = 50.0  # would be chosen
    allowed = torch.tensor([[False, True, True, True, True], [True, True, True, True, True]])
    theta.requires_grad_()
    layer = GumbelTopK(KSubset(5, 2))
    y = layer(theta, {"allowed": allowed})
    assert y[:, 0].tolist() == [0.0, 1.0]
    (gradient,) = torch.autograd.grad((y * torch.arange(5.0)).sum(), theta)
    assert gradient[0, 0] == 0
    assert gradient[0, 1:].abs().sum() > 0


def test_measured_temperatures() -> None:
    torch.manual_seed(0)
    theta, gain = torch.randn(2, 40, 6)
    shares = []
    for tau in (0.01, 1.0, 100.0):
        schedule = Adaptive(tau, hold=True)
        GumbelTopK(TopK(6, 2), schedule)(theta.clone().requires_grad_())
        shares.append(schedule.measured)
    assert 0.0 <= shares[0] < shares[1] < shares[2] < 1.0
    layer = GumbelTopK(TopK(6, 2), "auto")
    layer(theta.clone().requires_grad_()).backward(gain)
    assert 1e-3 < float(layer.tau) < 1e3


@pytest.mark.parametrize("solver", [Ranking(4), Enumerated(HYPERSIMPLEX[:3])], ids=["ranking", "some subsets"])
def test_bad_solvers_are_refused(solver: Any) -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=r"not the k entries of least cost: .* use StraightThrough"):
        GumbelTopK(solver)(torch.randn(50, 4))


def test_bad_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="use signal='moves'"):
        GumbelTopK(TopK(3), Adaptive(1.0, signal="snr"))(torch.rand(3, requires_grad=True))


def test_bad_tau_is_refused() -> None:
    with pytest.raises(ValueError, match="tau=0"):
        GumbelTopK(TopK(3), 0.0)
