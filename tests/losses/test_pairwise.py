"""Losses of pairs: closed forms pair by pair, tails, ties, masks, dimensions and derivatives."""

# mypy: disable-error-code="no-untyped-call"
import math
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from scipy.stats import cauchy, logistic
from torch import Tensor

from combdiff import PairwiseLoss
from tests.derivatives import check_derivatives


def of_least_error(t: float) -> float:
    """Equation 15 of Petersen et al. (2022), for the slope ¼."""
    return -1 / (4 * t) if t < -1 else 1 - 1 / (4 * t) if t > 1 else 0.5 + t / 4


CHANCE: dict[str, Callable[[float], float]] = {
    "logistic": logistic.cdf,
    "cauchy": lambda t: float(cauchy.cdf(math.pi * t / 4)),
    "optimal": of_least_error,
}
METHODS = list(CHANCE)
HEAVY = ["cauchy", "optimal"]
PAIRS: list[Any] = ["all", "adjacent"]
each = pytest.mark.parametrize(("method", "pairs"), list(product(METHODS, PAIRS)))


def sample(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_loops(x: list[float], target: list[float], eps: float, method: str, pairs: str) -> float:
    total = 0.0
    for (a, s), (b, t) in product(zip(x, target, strict=True), repeat=2):
        if s > t and (pairs == "all" or not any(t < between < s for between in target)):
            total -= math.log(CHANCE[method]((a - b) / eps))
    return total


@each
def test_sum_over_pairs(method: str, pairs: Any) -> None:
    x = sample(5, 7)
    targets = sample(5, 7, seed=1)
    targets[2:] = targets[2:].round()  # with ties
    loss = PairwiseLoss(0.4, method=method, pairs=pairs, reduction="none")(x, targets)
    expected = [by_loops(a, t, 0.4, method, pairs) for a, t in zip(x.tolist(), targets.tolist(), strict=True)]
    assert loss.tolist() == pytest.approx(expected, rel=1e-12)
    mean, total = (PairwiseLoss(0.4, method=method, pairs=pairs, reduction=r)(x, targets) for r in ("mean", "sum"))
    torch.testing.assert_close(torch.stack([mean, total]), torch.stack([loss.mean(), loss.sum()]))


@each
def test_laws(method: str, pairs: Any) -> None:
    x, targets, order = sample(3, 6), sample(3, 6, seed=1), torch.randperm(6)
    loss = PairwiseLoss(0.5, method=method, pairs=pairs, reduction="none")
    found = loss(x, targets)
    assert (found > 0).all()
    torch.testing.assert_close(loss(x + 3.0, targets), found)
    torch.testing.assert_close(loss(x[:, order], targets[:, order]), found)
    torch.testing.assert_close(loss(x, targets.exp()), found)  # the order of the targets is all that counts
    scaled = PairwiseLoss(1.5, method=method, pairs=pairs, reduction="none")(3.0 * x, targets)
    torch.testing.assert_close(scaled, found)
    assert (loss(x, torch.zeros_like(x)) == 0).all()
    for eps in (1e-9, 0.0):
        hard = PairwiseLoss(eps, method=method, pairs=pairs, reduction="none")
        assert (hard(targets, targets) < 1e-6).all()
        assert (hard(-targets, targets) > 10).all()
        assert hard(x, targets).isfinite().all()
    leaves = x.requires_grad_(), torch.tensor(0.0, requires_grad=True)
    gradients = torch.autograd.grad(PairwiseLoss(leaves[1], method=method, pairs=pairs)(x, targets), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_in_a_strict_order_are_one_less_than_items(method: str) -> None:
    x = torch.zeros(2, 6).double()
    targets = torch.stack([torch.arange(6.0), torch.tensor([0.0, 0, 1, 1, 1, 5])])
    loss = PairwiseLoss(method=method, pairs="adjacent", reduction="none")
    assert loss(x, targets.double()).tolist() == pytest.approx([5 * math.log(2), (2 * 3 + 3 * 1) * math.log(2)])
    every = PairwiseLoss(method=method, reduction="none")
    assert every(x, targets.double()).tolist() == pytest.approx([15 * math.log(2), (2 * 4 + 3 * 1) * math.log(2)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_tails(method: str, dtype: torch.dtype) -> None:
    """A pair out of order by d has the gradient 1/ε (logistic), or 1/d: nothing underflows."""
    for gap in (1e3, 1e6, 1e9):
        x = torch.tensor([gap, 0.0], dtype=dtype, requires_grad=True)
        loss = PairwiseLoss(2.0, method=method)(x, torch.tensor([0.0, 1.0]))
        (gradient,) = torch.autograd.grad(loss, x)
        t = gap / 2
        expected = {"logistic": t, "cauchy": math.log(math.pi**2 * t / 4), "optimal": math.log(4 * t)}[method]
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        assert gradient.tolist() == pytest.approx([1 / gap, -1 / gap] if method in HEAVY else [0.5, -0.5], rel=1e-5)


@each
def test_masks_dimensions_and_precision(method: str, pairs: Any) -> None:
    x, targets = sample(4, 3, 6), sample(4, 3, 6, seed=1)
    mask = torch.rand(4, 3, 6, generator=torch.Generator().manual_seed(1)) < 0.6
    loss = PairwiseLoss(0.4, method=method, pairs=pairs, dim=1, reduction="none")
    spoilt = torch.where(mask, x, torch.nan).requires_grad_()
    found = loss(spoilt, torch.where(mask, targets, torch.nan), mask)
    assert found.shape == (4, 6)
    rows = PairwiseLoss(0.4, method=method, pairs=pairs)
    for row, column in product(range(4), range(6)):
        kept = mask[row, :, column]
        torch.testing.assert_close(found[row, column], rows(x[row, kept, column], targets[row, kept, column]))
    (gradient,) = torch.autograd.grad(found.sum(), spoilt)
    assert gradient.isfinite().all()
    assert (gradient[~mask] == 0).all()
    flat = PairwiseLoss(0.4, method=method, pairs=pairs, dim=None)
    torch.testing.assert_close(flat(x, targets, mask), rows(x[mask], targets[mask]))
    strength = torch.rand(4, 1, 6) + 0.2
    each_row = PairwiseLoss(strength, method=method, pairs=pairs, dim=1, reduction="none")(x, targets)
    alone = PairwiseLoss(float(strength[2, 0, 3]), method=method, pairs=pairs)(x[2, :, 3], targets[2, :, 3])
    torch.testing.assert_close(each_row[2, 3], alone)
    assert flat(x.bfloat16(), targets).dtype == torch.float32
    assert rows(x[0, :0, 0], targets[0, :0, 0]) == rows(x[0, :1, 0], targets[0, :1, 0]) == 0


@each
def test_derivatives(method: str, pairs: Any) -> None:
    x, targets = sample(2, 5).requires_grad_(), sample(2, 5, seed=1).round()
    eps = torch.tensor([[0.5], [0.9]], dtype=torch.float64, requires_grad=True)

    def loss(v: Tensor, e: Tensor) -> Tensor:
        result: Tensor = PairwiseLoss(e, method=method, pairs=pairs, reduction="none")(v, targets.expand(v.shape))
        return result

    check_derivatives(loss, (x, eps), lambda v, e: loss(v, e).sin())


def test_bad_values() -> None:
    x = torch.zeros(3)
    for words, message in (
        ({"method": "pav"}, "method='pav' is none of 'logistic', 'cauchy', 'optimal'"),
        ({"pairs": "some"}, "pairs='some' is none of 'all', 'adjacent'"),
        ({"reduction": "max"}, "reduction='max'"),
        ({"regularization_strength": -1.0}, "regularization_strength=-1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            PairwiseLoss(**words)
    with pytest.raises(ValueError, match="must agree"):
        PairwiseLoss()(x, torch.zeros(4))
    with pytest.raises(TypeError, match=r"torch\.bool"):
        PairwiseLoss()(x, x, torch.ones(3))


@pytest.mark.parametrize("method", ["logistic", "cauchy", "optimal"])
def test_what_is_softened_is_the_order_of_each_pair(method: str) -> None:
    loss, x = PairwiseLoss(method=method), torch.tensor([[0.0, 3.0, 1.0]])
    hard = loss.soften(x, 0.0)
    order = torch.where(x[:, :, None] == x[:, None, :], 0.5, (x[:, :, None] > x[:, None, :]).float())
    torch.testing.assert_close(hard, order)
    soft = loss.soften(x, 1.0)
    torch.testing.assert_close(soft + soft.mT, torch.ones_like(soft))
    assert loss.share_moved(x) == pytest.approx(6 / 9)  # all but the diagonal
